"""Finds equal values among many, without comparing each with each."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def repeated(rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The rows that are equal to an earlier one."""
    seen: set[object] = set()
    for row in rows:
        if (form := hashable(row)) in seen:
            yield row
        seen.add(form)


def hashable(value: object) -> object:
    """A form of plain values that is equal where they are, and can be looked up."""
    if isinstance(value, Mapping):
        return frozenset((key, hashable(item)) for key, item in value.items())
    return tuple(map(hashable, value)) if isinstance(value, list | tuple) else value
