"""How many seeds a difference needs: the power of the paired t test, from the spread of differences already measured.

A paired t test at ALPHA finds a difference where the 95 % interval of `few_seeds.paired_difference` excludes 0. With n
pairs, a true difference d and differences of standard deviation sd, its statistic has Student's t distribution with
n - 1 degrees of freedom and noncentrality sqrt(n) d / sd (Cohen, Statistical Power Analysis, 1988, chapter 2).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import ncfdtr, stdtrit

from analysis.statistics.few_seeds import ALPHA
from analysis.text import numbers

POWER = 0.8  # chance to find the difference that is called detectable
LARGER = (5, 10, 20, 50)  # numbers of seeds beside those that there are
MOST_SHOWN = 3
LEAST_DF = 2  # degrees of freedom of a pooled standard deviation; one alone says nothing


@dataclass(frozen=True)
class Detectable:
    """The differences that a sweep can detect.

    Attributes:
        sd: standard deviation of the paired differences, pooled over variants.
        variants: number of variants that it is pooled over.
        differences: by number of seeds, the smallest true difference that is found with probability POWER.
    """

    sd: float
    variants: int
    differences: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, differences: Iterable[ArrayLike], *, seeds: int) -> Self | None:
        """From the paired differences of each variant to the baseline [variants][pairs].

        The variances are pooled by degrees of freedom; each variant may have a mean of its own.

        Args:
            differences: of each variant; those with fewer than two do not count.
            seeds: number of seeds of the sweep; the answer is for these and for larger numbers.

        Returns:
            None if there are fewer than LEAST_DF degrees of freedom, if no difference varies, or for fewer than two
            seeds.
        """
        groups = [values for one in differences if (values := np.asarray(one, dtype=np.float64)).size > 1]
        df = sum(values.size - 1 for values in groups)
        if df < LEAST_DF or seeds < 2 or all(np.ptp(values) == 0 for values in groups):
            return None
        sd = math.sqrt(sum(float(((values - values.mean()) ** 2).sum()) for values in groups) / df)
        sizes = [seeds, *(size for size in LARGER if size > seeds)][:MOST_SHOWN]
        return cls(sd, len(groups), tuple((size, detectable_difference(sd, size)) for size in sizes))

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"sd": self.sd, "variants": self.variants, "power": POWER, "differences": dict(self.differences)}

    def text(self) -> str:
        """In words, without a full stop."""
        found = ", ".join(f"{numbers.plain(value, 2)} with {size} seeds" for size, value in self.differences)
        return (
            f"detectable with {POWER:.0%} power: {found} (one difference, paired t test at {ALPHA}, two-sided;"
            f" standard deviation of paired differences {numbers.plain(self.sd, 2)},"
            f" pooled over {self.variants} variant{'s' if self.variants > 1 else ''})"
        )


def paired_t_power(difference: float, sd: float, pairs: int, *, alpha: float = ALPHA) -> float:
    """The probability that a two-sided paired t test finds a true difference.

    Args:
        difference: the true difference, in the unit of `sd`.
        sd: standard deviation of the differences, > 0.
        pairs: number of pairs, at least 2.
        alpha: level of the test.
    """
    limit = float(stdtrit(pairs - 1, 1 - alpha / 2))
    noncentrality = pairs * (difference / sd) ** 2  # t squared is F with 1 and pairs - 1 degrees of freedom
    return float(1 - ncfdtr(1, pairs - 1, noncentrality, limit**2))


def detectable_difference(sd: float, pairs: int, *, power: float = POWER, alpha: float = ALPHA) -> float:
    """The true difference that a two-sided paired t test finds with probability `power`; see `paired_t_power`."""
    top = 1.0  # in standard deviations
    while paired_t_power(top, 1.0, pairs, alpha=alpha) < power:
        top *= 2
    return sd * float(brentq(lambda size: paired_t_power(size, 1.0, pairs, alpha=alpha) - power, 0.0, top))
