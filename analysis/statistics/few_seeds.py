"""Statistics for few seeds: intervals, paired differences and tests, as pure functions of 1-D arrays.

Intervals are Student's t, as a bootstrap is too narrow below six values; tests are exact.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

FloatArray = NDArray[np.float64]

LEVEL = 0.95  # confidence level of intervals
ALPHA = 0.05  # significance level
MAX_PAIRS = 32  # limit of the sign-flip test, which counts 2^32 sign patterns in well under a second


@dataclass(frozen=True)
class Estimate:
    """A mean with its spread and interval.

    Attributes:
        n: number of values.
        mean: mean; NaN for no values.
        sd: sample standard deviation (n - 1 in the denominator); NaN for fewer than two values.
        low: lower end of the interval of the mean; NaN for fewer than two values.
        high: upper end, likewise.
    """

    n: int
    mean: float
    sd: float
    low: float
    high: float


def estimate(values: ArrayLike, *, level: float = LEVEL) -> Estimate:
    """Mean, standard deviation and t interval: mean -+ t(n - 1, (1 + level) / 2) sd / sqrt(n).

    Equal values give sd 0 and an interval of width 0.
    """
    x = _vector(values)
    n = x.size
    if n < 2:
        return Estimate(n, float(x[0]) if n else math.nan, math.nan, math.nan, math.nan)
    mean = float(x.mean())
    sd = 0.0 if np.ptp(x) == 0 else float(x.std(ddof=1))
    margin = float(stdtrit(n - 1, (1 + level) / 2)) * sd / math.sqrt(n)
    return Estimate(n, mean, sd, mean - margin, mean + margin)


def paired_difference(x: ArrayLike, y: ArrayLike, *, level: float = LEVEL) -> Estimate:
    """Mean of x - y, with the t interval of the pairs' differences.

    Raises:
        ValueError: x and y differ in length.
    """
    left, right = _vector(x), _vector(y)
    if left.size != right.size:
        raise ValueError(f"pairs need equally many values on both sides, got {left.size} and {right.size}")
    return estimate(left - right, level=level)


def sign_flip_p(differences: ArrayLike) -> float:
    """Exact two-sided p value of the hypothesis that differences are symmetric around 0.

    The share of all 2^n sign patterns whose sum is at least as far from 0 as the observed sum: between
    `smallest_sign_flip_p(n)` and 1.

    Raises:
        ValueError: no differences, or more than MAX_PAIRS.
    """
    d = _vector(differences)
    if not 1 <= d.size <= MAX_PAIRS:
        raise ValueError(f"the sign-flip test takes 1 to {MAX_PAIRS} differences, got {d.size}")
    rounding = 1e-12 * float(np.abs(d).sum())
    threshold = abs(float(d.sum())) - rounding
    if threshold <= 0:
        return 1.0
    # Each sum is a sum of the first half plus one of the second: searching 2^(n/2) of each covers all 2^n.
    first = _signed_sums(d[: d.size // 2])
    second = np.sort(_signed_sums(d[d.size // 2 :]))
    above = second.size - np.searchsorted(second, threshold - first, side="left")
    below = np.searchsorted(second, -threshold - first, side="right")
    return float((above + below).sum()) / 2.0**d.size


def smallest_sign_flip_p(pairs: int) -> float:
    """The smallest p value that `sign_flip_p` can give: 2 / 2^pairs."""
    return min(1.0, 2.0 / 2.0**pairs)


def holm(p_values: ArrayLike) -> FloatArray:
    """Holm's adjusted p values, in the given order; they control the family-wise error rate.

    The k-th smallest of m is multiplied by m - k + 1, made no smaller than the one before, and capped at 1.
    """
    p = _vector(p_values)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)))
    return adjusted


def probability_of_improvement(x: ArrayLike, y: ArrayLike) -> float:
    """P(X > Y) + P(X = Y) / 2 over all pairs of values of x and y (Mann-Whitney U / (n m)).

    Raises:
        ValueError: x or y is empty.
    """
    left, right = _vector(x)[:, None], _vector(y)[None, :]
    if left.size == 0 or right.size == 0:
        raise ValueError(f"both samples must hold values, got {left.size} and {right.size}")
    return float((left > right).mean() + (left == right).mean() / 2)


def _vector(values: ArrayLike) -> FloatArray:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1:
        raise ValueError(f"values must form a 1-D array, got shape {x.shape}")
    return x


def _signed_sums(d: FloatArray) -> FloatArray:
    """The sums of `d` under all sign patterns [2^n]."""
    sums = np.zeros(1)
    for value in d:
        sums = np.concatenate((sums + value, sums - value))
    return sums
