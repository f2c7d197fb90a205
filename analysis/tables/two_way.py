"""Two-way tables: one setting down, another across."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.lookup import known_metric
from analysis.tables.epoch_selection import LAST, RULES
from analysis.tables.footnotes import absent, selection
from analysis.tables.marginal_means import Marginal, marginal
from analysis.text import numbers
from analysis.text.columns import TextColumn, columns, printable
from ottt.errors import UserError
from ottt.schema import Metric


@dataclass(frozen=True)
class Crossing:
    """A metric by two settings.

    Attributes:
        sweep: its name.
        metric: what is shown, in finished trials.
        rule: key of `analysis.tables.epoch_selection.RULES`.
        rows, cols: the settings.
        notes: sentences without which the table would be misread.
        table: one row per cell of the crossing, see `analysis.tables.marginal_means.Marginal`.
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
        UserError: see `analysis.tables.marginal_means.marginal`; or twice the same setting.
    """
    if rows == cols:
        raise UserError(f"rows and cols must be two settings, got {rows} twice")
    measured, rule = known_metric(metric), runs.attrs.get("rule", LAST)
    found = marginal(runs, [rows, cols], metric=metric)
    notes = tuple(note for note in _notes(found, measured, RULES[rule]) if note)
    return Crossing(runs.attrs.get("sweep", ""), measured, rule, rows, cols, notes, found.table)


def averaging(found: Marginal) -> str:
    """What the means run over besides seeds; empty for nothing."""
    if not found.averaged:
        return ""
    names = ", ".join(found.averaged)
    dropped = "; ".join(" ".join(map(str, key)) for key in found.dropped)
    rest = f"; not planned everywhere and left out: {dropped}" if dropped else ""
    return f"Each seed's value is its mean over {len(found.blocks)} settings of {names}{rest}."


def _notes(found: Marginal, metric: Metric, rule: str) -> list[str]:
    spread = "± is the standard deviation over seeds, n their number."
    short = found.table[found.table["n"] < found.table["n"].max()]
    return [
        selection(metric, rule),
        spread if found.table["n"].max() > 1 else "No cell has two complete seeds: no spread.",
        averaging(found),
        "(n=) marks cells of fewer complete seeds than others." if len(short) else "",
        absent(found.table.assign(n=found.table["finished"]), metric),
    ]


@columns.register
def _of_crossing(result: Crossing, *, detailed: bool) -> list[TextColumn]:
    table = result.table
    down, across = _levels(table[result.rows]), _levels(table[result.cols])
    cells: Mapping[Any, Any] = {
        (repr(row[result.rows]), repr(row[result.cols])): row for row in table.to_dict("records")
    }
    most = int(table["n"].max())
    header = f"{result.rows} \\ {result.cols}"
    found = [TextColumn(header, tuple(printable(level) for level in down), numeric=False)]
    for level in across:
        texts = tuple(_cell(cells.get((repr(one), repr(level))), most) for one in down)
        found.append(TextColumn(printable(level), texts))
    return found


def _levels(values: pd.Series) -> Sequence[Any]:
    return list({repr(value): value for value in values.tolist()}.values())


def _cell(row: Mapping[str, Any] | None, most: int) -> str:
    if row is None:
        return ""
    text = numbers.with_spread(row["mean"], row["sd"])
    return text if row["n"] == most else f"{text} (n={row['n']})"
