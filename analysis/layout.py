"""Results as columns of text, the same for every format that people read."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, Protocol

import pandas as pd

from analysis import rounding
from analysis.notes import left_out
from analysis.statistics import LEVEL
from analysis.tables import Comparison

# Dispensable columns of a comparison and their headings, the least needed last.
_EXTRAS = {
    "rate": "rate",
    "improvement": "P(better)",
    "synops": "synops",
    "energy_nj": "nJ",
    "epoch_s": "s/epoch",
    "images_per_s": "images/s",
    "peak_mib": "MiB",
    "epochs": "epochs",
    "hours": "hours",
}


@dataclass(frozen=True)
class TextColumn:
    """One column.

    Attributes:
        header: its heading.
        cells: one text per row.
        numeric: whether to align it right.
        bold: index of the cell to stress, if any.
        wraps: whether its cells may be spread over lines.
        dispensable: whether the table makes sense without it.
    """

    header: str
    cells: tuple[str, ...]
    numeric: bool = True
    bold: int | None = None
    wraps: bool = False
    dispensable: bool = False


class Result(Protocol):
    """What can be shown: a frozen dataclass with at least a table and what must be said under it."""

    @property
    def table(self) -> pd.DataFrame:
        """The numbers."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences without which the table would be misread."""


@singledispatch
def columns(result: Result, *, detailed: bool) -> list[TextColumn]:
    """The columns to show; what nothing was measured of is left out.

    Args:
        result: what to show. Each kind of result registers its own layout.
        detailed: whether there is room for intervals of means and full names of settings.
    """
    raise TypeError(f"no layout is known for {type(result).__name__}")


@columns.register
def _of_comparison(result: Comparison, *, detailed: bool) -> list[TextColumn]:
    table = result.table
    unfinished = TextColumn("left out", tuple(left_out(row) for _, row in table.iterrows()), numeric=False, wraps=True)
    return [
        *settings(table, result.axes, short=not detailed),
        done(table),
        *measured([unfinished] if detailed else []),
        _mean(result),
        *([_interval(table)] if detailed and table["ci_low"].notna().any() else []),
        *_differences(table),
        *measured(_extra(header, table[name]) for name, header in _EXTRAS.items()),
        *measured([] if detailed else [unfinished]),
    ]


def measured(candidates: Iterable[TextColumn]) -> list[TextColumn]:
    """Those that say anything."""
    return [one for one in candidates if set(one.cells) - {"", rounding.ABSENT}]


def printable(value: object) -> str:
    """`value` as text with control characters spelled out: none reaches a terminal or breaks a row."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in str(value))


def settings(table: pd.DataFrame, axes: Iterable[str], *, short: bool) -> list[TextColumn]:
    """A column per axis; `short`: named without its group where that is not ambiguous."""
    listed = list(axes)
    last_parts = [axis.rpartition(".")[2] for axis in listed]
    found = []
    for axis, last in zip(listed, last_parts, strict=True):
        values = table[axis].tolist()
        header = last if short and last_parts.count(last) == 1 else axis
        cells = tuple(printable(value) for value in values)
        found.append(TextColumn(printable(header), cells, numeric=all(map(_is_number, values))))
    return found


def _extra(header: str, values: "pd.Series[float]") -> TextColumn:
    return TextColumn(header, tuple(rounding.quantity(value) for value in values), dispensable=True)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def done(table: pd.DataFrame) -> TextColumn:
    """Finished of planned trials."""
    counts = zip(table["finished"], table["planned"], strict=True)
    return TextColumn("done", tuple(f"{finished}/{planned}" for finished, planned in counts))


def _mean(comparison: Comparison) -> TextColumn:
    table, metric = comparison.table, comparison.metric
    spread = " ± sd" if table["sd"].notna().any() else ""
    cells = tuple(rounding.with_spread(mean, sd) for mean, sd in zip(table["mean"], table["sd"], strict=True))
    best = None
    if metric.better and table["mean"].notna().any():
        best = int(table["mean"].argmax() if metric.better == "higher" else table["mean"].argmin())
    return TextColumn(f"{metric.name}{spread}", cells, bold=best)


def _interval(table: pd.DataFrame) -> TextColumn:
    bounds = zip(table["ci_low"], table["ci_high"], strict=True)
    return TextColumn(f"{LEVEL:.0%} interval", tuple(rounding.interval(low, high) for low, high in bounds))


def _differences(table: pd.DataFrame) -> list[TextColumn]:
    """Difference to the baseline, whose own row says that it is it, and the test of it where there is one."""
    if len(table) == 1:
        return []
    records = table.to_dict("records")
    interval = f" [{LEVEL:.0%}]" if table["difference_low"].notna().any() else ""
    differences = tuple("baseline" if row["is_baseline"] else _difference(row) for row in records)
    found = [TextColumn(f"difference{interval}", differences)]
    if table["p"].notna().any():
        found.append(TextColumn("p (Holm)", tuple(_test(row) for row in records)))
    return found


def _difference(row: dict[Any, Any]) -> str:
    return rounding.with_interval(row["difference"], row["difference_low"], row["difference_high"])


def _test(row: dict[Any, Any]) -> str:
    return "n too small" if row["too_few"] and row["pairs"] else rounding.p_value(row["p_holm"])
