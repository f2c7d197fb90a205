"""Numbers as text, rounded to the digits that are known."""

import math
from typing import Any

ABSENT = "-"
_NOISE = 1e-12  # smaller values are the rounding error of subtracting equal numbers


def is_number(value: Any) -> bool:
    """Whether it is shown as a number: True and False are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def with_spread(mean: float, spread: float) -> str:
    """`0.9731 ± 0.0042`: the spread to two digits, the mean to the same place; only the mean if there is no spread."""
    if math.isnan(mean):
        return ABSENT
    if math.isnan(spread):
        return plain(mean)
    places = _places(mean, spread)
    return f"{_fixed(mean, places)} ± {_fixed(spread, places)}"


def with_interval(value: float, low: float, high: float) -> str:
    """`+0.012 [-0.003, +0.027]`: rounded to two digits of half the width; only the value if there is no interval."""
    if math.isnan(value):
        return ABSENT
    if math.isnan(low) or math.isnan(high):
        return signed(value)
    places = _places(value, (high - low) / 2)
    return f"{_fixed(value, places, sign='+')} {_bounds(low, high, places, sign='+')}"


def signed(value: float, digits: int = 3) -> str:
    """`+0.0123`: with sign, to a number of significant digits."""
    return ABSENT if math.isnan(value) else f"{value:+#.{digits}g}".removesuffix(".")


def interval(low: float, high: float) -> str:
    """`[0.962, 0.984]`: rounded to two digits of half the width."""
    if math.isnan(low) or math.isnan(high):
        return ABSENT
    return _bounds(low, high, _places((low + high) / 2, (high - low) / 2))


def plain(value: float, digits: int = 4) -> str:
    """`0.9731`: to a number of significant digits."""
    return ABSENT if math.isnan(value) else f"{value:#.{digits}g}".removesuffix(".")


def quantity(value: float) -> str:
    """Three significant digits, and all digits before the point: `0.125`, `12`, `4830`, `1.20e+07`."""
    if math.isnan(value):
        return ABSENT
    whole = value == round(value) or abs(value) >= 1000
    return f"{value:.0f}" if whole and abs(value) < 1e6 else plain(value, 3)


def percent(share: float) -> str:
    """`41.3 %`."""
    return ABSENT if math.isnan(share) else f"{_fixed(100 * share, 1)} %"


def p_value(p: float) -> str:
    """`0.031`; `< 0.001` below that."""
    if math.isnan(p):
        return ABSENT
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def _bounds(low: float, high: float, places: int, sign: str = "") -> str:
    return f"[{_fixed(low, places, sign)}, {_fixed(high, places, sign)}]"


def _places(value: float, spread: float) -> int:
    """Decimal places up to the second digit of `spread`, without spread the fourth of `value`; negative for tens."""
    if spread > _NOISE:
        return 1 - _exponent(spread)
    return 3 - (_exponent(value) if abs(value) > _NOISE else 0)


def _exponent(value: float) -> int:
    """Power of ten of the first digit after rounding to two digits: 0.0996 -> -1."""
    return int(f"{abs(value):.1e}".partition("e")[2])


def _fixed(value: float, places: int, sign: str = "") -> str:
    rounded = round(value, places) + 0.0  # + 0.0: no "-0.00"
    return f"{rounded:{sign}.{max(places, 0)}f}"
