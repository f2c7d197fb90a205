"""Results as columns of text, shared by all output formats for people, and columns that several tables have."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import singledispatch
from typing import Protocol

import pandas as pd

from analysis.text import numbers


@dataclass(frozen=True)
class TextColumn:
    """One column of a table.

    Attributes:
        header: heading.
        cells: one text per row.
        numeric: whether to align the cells right.
        bold: index of the cell to show in bold, if any.
        wraps: whether cells can be broken into several lines.
        dispensable: whether the column can be left out where the table is too wide.
    """

    header: str
    cells: tuple[str, ...]
    numeric: bool = True
    bold: int | None = None
    wraps: bool = False
    dispensable: bool = False


class Result(Protocol):
    """A result that can be rendered: a frozen dataclass with at least a table and its footnotes."""

    @property
    def table(self) -> pd.DataFrame:
        """The numbers."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Footnotes: sentences without which the table would be misread."""


@singledispatch
def columns(result: Result, *, detailed: bool) -> list[TextColumn]:
    """The columns of a result, without those for which nothing was measured.

    Args:
        result: result to show; each type of result registers its own columns.
        detailed: whether to show intervals of means and full names of settings.
    """
    raise TypeError(f"no columns are registered for {type(result).__name__}")


def measured(candidates: Iterable[TextColumn]) -> list[TextColumn]:
    """The columns with at least one value."""
    return [column for column in candidates if set(column.cells) - {"", numbers.ABSENT}]


def printable(value: object) -> str:
    """`value` as text with control characters escaped, so that none reaches a terminal or breaks a row."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(value))


def settings(table: pd.DataFrame, axes: Iterable[str], *, short: bool) -> list[TextColumn]:
    """A column per axis; if `short`, headed by the last part of its key where that is unambiguous."""
    listed = list(axes)
    last_parts = [axis.rpartition(".")[2] for axis in listed]
    found = []
    for axis, last in zip(listed, last_parts, strict=True):
        values = table[axis].tolist()
        header = last if short and last_parts.count(last) == 1 else axis
        cells = tuple(printable(value) for value in values)
        found.append(TextColumn(printable(header), cells, numeric=all(map(numbers.is_number, values))))
    return found


def done(table: pd.DataFrame) -> TextColumn:
    """The column of finished and planned trials."""
    counts = zip(table["finished"], table["planned"], strict=True)
    return TextColumn("done", tuple(f"{finished}/{planned}" for finished, planned in counts))
