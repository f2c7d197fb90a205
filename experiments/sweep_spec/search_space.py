"""Domains of a search: `loguniform(0.01, 1)`, `uniform(0, 0.5)`, `randint(2, 6)`, or a list of values."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ottt.errors import brief

LARGEST = 2.0**53  # beyond it not every whole number is a float

_RANGE = re.compile(r"\s*(\w+)\s*\(\s*([^,()\s]+)\s*,\s*([^,()\s]+)\s*\)\s*")


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        is_log: whether the logarithm is uniform.
        is_whole: whether the numbers are whole.
    """

    low: float
    high: float
    is_log: bool = False
    is_whole: bool = False

    @property
    def ends(self) -> tuple[Any, ...]:
        """Representative values: if these are valid, all are."""
        return self.low, self.high


@dataclass(frozen=True)
class Categorical:
    """One of `values`."""

    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        """All values."""
        return self.values


Domain = Range | Categorical

_KINDS: Mapping[str, Callable[[float, float], Range]] = {
    "uniform": lambda low, high: Range(low, high),
    "loguniform": lambda low, high: Range(low, high, is_log=True),
    "randint": lambda low, high: Range(_whole(low), _whole(high), is_whole=True),
}


def domain(given: object) -> Domain:
    """Parse a domain of a spec.

    Raises:
        ValueError: not a domain; the message says what it must be.
    """
    if isinstance(given, list | tuple):
        if not given:
            raise ValueError("must have at least one value, got []")
        return Categorical(tuple(given))
    found = _RANGE.fullmatch(given) if isinstance(given, str) else None
    if found is None or found[1] not in _KINDS:
        kinds = ", ".join(f"{kind}(low, high)" for kind in _KINDS)
        is_cut = isinstance(given, str) and "(" in given and ")" not in given
        hint = " (inside braces a range needs quotes)" if is_cut else ""
        raise ValueError(f"must be a list, or {kinds}{hint}; got {brief(given)}")
    try:
        low, high = float(found[2]), float(found[3])
    except ValueError:
        raise ValueError(f"must have two numbers as its ends, got {brief(given)}") from None
    if not (math.isfinite(low) and math.isfinite(high) and max(abs(low), abs(high)) < LARGEST):
        raise ValueError(f"must have ends between -{LARGEST:g} and {LARGEST:g}, got {brief(given)}")
    if not low < high:
        raise ValueError(f"must have its lower end first, got {brief(given)}")
    if found[1].startswith("log") and low <= 0:
        raise ValueError(f"must be above 0, got {brief(given)}")
    return _KINDS[found[1]](low, high)


def _whole(value: float) -> int:
    if not value.is_integer():
        raise ValueError(f"must have whole numbers as its ends, got {value:g}")
    return int(value)
