"""A comparison as columns of text, the same for every format that people read."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis import rounding
from analysis.notes import left_out
from analysis.statistics import LEVEL
from analysis.tables import Comparison


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


def columns(comparison: Comparison, *, interval: bool, short: bool) -> list[TextColumn]:
    """The columns to show; what nothing was measured of is left out.

    Args:
        comparison: what to show.
        interval: whether to show the interval of the mean.
        short: whether to leave the group out of a setting's name where that is not ambiguous.
    """
    table = comparison.table
    unfinished = tuple(left_out(row) for _, row in table.iterrows())
    optional = [
        _extra("rate", table["rate"]),
        _extra("s/epoch", table["epoch_s"]),
        TextColumn("left out", unfinished, numeric=False, wraps=True),
    ]
    return [
        *_settings(comparison, short=short),
        _done(table),
        _mean(comparison),
        *([_interval(table)] if interval and table["ci_low"].notna().any() else []),
        *_differences(table),
        *(one for one in optional if set(one.cells) - {"", rounding.ABSENT}),
    ]


def printable(value: object) -> str:
    """`value` as text with control characters spelled out: none reaches a terminal or breaks a row."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in str(value))


def _extra(header: str, values: "pd.Series[float]") -> TextColumn:
    return TextColumn(header, tuple(rounding.plain(value, 3) for value in values), dispensable=True)


def _settings(comparison: Comparison, *, short: bool) -> list[TextColumn]:
    last_parts = [axis.rpartition(".")[2] for axis in comparison.axes]
    found = []
    for axis, last in zip(comparison.axes, last_parts, strict=True):
        values = comparison.table[axis].tolist()
        header = last if short and last_parts.count(last) == 1 else axis
        cells = tuple(printable(value) for value in values)
        found.append(TextColumn(printable(header), cells, numeric=all(map(_is_number, values))))
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _done(table: pd.DataFrame) -> TextColumn:
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
