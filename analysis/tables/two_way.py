"""Two-way tables: a metric by two settings, one in the rows and one in the columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.lookup import known_metric
from analysis.tables.epoch_selection import LAST, RULES
from analysis.tables.footnotes import left_out_note, metric_note
from analysis.tables.marginal_means import Marginal, marginal
from analysis.text import numbers
from analysis.text.columns import TextColumn, columns, printable
from analysis.text.notebook import InNotebooks
from ottt.errors import UserError
from ottt.schema import Metric


@dataclass(frozen=True)
class Crossing(InNotebooks):
    """A metric by two settings.

    Attributes:
        sweep: name of the sweep.
        metric: metric that is shown, in finished trials.
        rule: key of `analysis.tables.epoch_selection.RULES`.
        rows, cols: settings in the rows and in the columns.
        notes: footnotes of the table.
        table: one row per cell, see `analysis.tables.marginal_means.Marginal`.
    """

    sweep: str
    metric: Metric
    rule: str
    rows: str
    cols: str
    notes: tuple[str, ...]
    table: pd.DataFrame


def cross(runs: pd.DataFrame, *, rows: str, cols: str, metric: str = "test/top1") -> Crossing:
    """`metric` by the settings `rows` and `cols`, over the seeds, averaged over the sweep's other axes.

    Raises:
        UserError: see `analysis.tables.marginal_means.marginal`; or the same setting twice.
    """
    if rows == cols:
        raise UserError(f"rows and cols must be two settings, got {rows} twice")
    known, rule = known_metric(metric), runs.attrs.get("rule", LAST)
    found = marginal(runs, [rows, cols], metric=metric)
    notes = tuple(note for note in _notes(found, known, RULES[rule]) if note)
    return Crossing(runs.attrs.get("sweep", ""), known, rule, rows, cols, notes, found.table)


def averaging_note(found: Marginal) -> str:
    """The axes that are averaged over besides seeds; empty if there are none."""
    if not found.averaged:
        return ""
    names = ", ".join(found.averaged)
    dropped = "; ".join(" ".join(map(str, key)) for key in found.dropped)
    rest = f"; not planned everywhere and left out: {dropped}" if dropped else ""
    return f"Each seed's value is its mean over {len(found.blocks)} settings of {names}{rest}."


def _notes(found: Marginal, metric: Metric, rule: str) -> list[str]:
    spread = "± is the standard deviation over seeds, n their number."
    incomplete = found.table[found.table["n"] < found.table["n"].max()]
    return [
        metric_note(metric, rule),
        spread if found.table["n"].max() > 1 else "No cell has two complete seeds: no spread.",
        averaging_note(found),
        "(n=) marks cells of fewer complete seeds than others." if len(incomplete) else "",
        left_out_note(found.table.assign(n=found.table["finished"]), metric),
    ]


@columns.register
def _crossing_columns(result: Crossing, *, detailed: bool) -> list[TextColumn]:
    table = result.table
    down, across = _levels(table[result.rows]), _levels(table[result.cols])
    cells: Mapping[Any, Any] = {
        (repr(row[result.rows]), repr(row[result.cols])): row for row in table.to_dict("records")
    }
    most = int(table["n"].max())
    header = f"{result.rows} \\ {result.cols}"
    shown = [TextColumn(header, tuple(printable(level) for level in down), numeric=False)]
    for level in across:
        texts = tuple(_cell(cells.get((repr(row), repr(level))), most) for row in down)
        shown.append(TextColumn(printable(level), texts))
    return shown


def _levels(values: pd.Series) -> Sequence[Any]:
    return list({repr(value): value for value in values.tolist()}.values())


def _cell(row: Mapping[str, Any] | None, most: int) -> str:
    if row is None:
        return ""
    text = numbers.with_spread(row["mean"], row["sd"])
    return text if row["n"] == most else f"{text} (n={row['n']})"
