"""Some columns of a result, chosen by name."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, TypeVar

import pandas as pd

from analysis.text.columns import Result, TextColumn, columns
from analysis.text.notebook import InNotebooks
from ottt.errors import UserError

_SomeResult = TypeVar("_SomeResult", bound=Result)


@dataclass(frozen=True)
class Selected(InNotebooks):
    """A result of which these columns are shown, in this order; none is left out for lack of width.

    Attributes:
        result: whole result.
        names: headings of the columns, or their first or last words: `difference` is `difference [95%]`. A setting
            can be abbreviated or not, and the interval named, whatever the usual table does.
        adds: whether they are shown behind the usual columns.
    """

    result: Result
    names: Sequence[str]
    adds: bool = False

    @property
    def table(self) -> pd.DataFrame:
        """Of the whole result."""
        return self.result.table

    @property
    def notes(self) -> tuple[str, ...]:
        """Of the whole result."""
        return self.result.notes


@columns.register
def _selected_columns(selected: Selected, *, detailed: bool) -> list[TextColumn]:
    usual, other = columns(selected.result, detailed=detailed), columns(selected.result, detailed=not detailed)
    known = [*usual, *(column for column in other if column not in usual)]
    chosen = [replace(_named(name, known), dispensable=False) for name in selected.names]
    before = [column for column in usual if selected.adds and column.header not in {one.header for one in chosen}]
    return [*before, *{column.header: column for column in chosen}.values()]


def _named(name: str, known: Sequence[TextColumn]) -> TextColumn:
    for column in known:
        if column.header == name:
            return column
    for column in known:
        if column.header.startswith(f"{name} ") or column.header.endswith(f" {name}"):
            return column
    raise _unknown(name, [column.header for column in known])


def with_columns(result: _SomeResult, names: Sequence[str], *, adds: bool = False) -> _SomeResult:
    """The result with these columns of its table only; with `adds` it stays whole, and the names are checked.

    Raises:
        UserError: no such column.
    """
    known = [str(name) for name in result.table.columns]
    for name in names:
        if name not in known:
            raise _unknown(name, known)
    changed: Any = {} if adds else {"table": result.table[list(dict.fromkeys(names))]}
    made: _SomeResult = replace(result, **changed)  # type: ignore[type-var]  # every Result is a dataclass
    return made


def _unknown(name: str, known: Sequence[str]) -> UserError:
    near = get_close_matches(name, known, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return UserError(f"columns must be among {', '.join(known)}; got {name!r}{hint}")
