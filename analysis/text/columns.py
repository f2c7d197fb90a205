"""Results as columns of text, the same for every format that people read."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, Protocol

import pandas as pd

from analysis.text import numbers


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


def measured(candidates: Iterable[TextColumn]) -> list[TextColumn]:
    """Those that say anything."""
    return [one for one in candidates if set(one.cells) - {"", numbers.ABSENT}]


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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def done(table: pd.DataFrame) -> TextColumn:
    """Finished of planned trials."""
    counts = zip(table["finished"], table["planned"], strict=True)
    return TextColumn("done", tuple(f"{finished}/{planned}" for finished, planned in counts))
