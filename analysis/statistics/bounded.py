"""Intervals of means of shares, which lie between 0 and 1 as the shares do.

Student's t interval of an accuracy of 0.99 can reach past 1. Here its margin is carried to the logit scale, where
nothing is out of range, and its ends are carried back:

    logit(mean) -+ t(n - 1, (1 + level) / 2) * sd / sqrt(n) / (mean (1 - mean))

by the delta method, as Stata's `proportion` and `svyciprop(method = "logit")` of R's package survey do. The interval
contains the mean, is longer on the side of 0.5, and tends to the t interval as its margin gets small against
mean (1 - mean). A transform of each seed's value would have none for a seed that scores 1.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit, stdtrit

from analysis.statistics.few_seeds import LEVEL, FloatArray

_ROUNDING = 1e-9


def mean_intervals(
    mean: ArrayLike, sd: ArrayLike, n: ArrayLike, *, share: bool, level: float = LEVEL
) -> tuple[FloatArray, FloatArray]:
    """Lower and upper ends of the intervals of means [m]; NaN for fewer than two values.

    Args:
        mean, sd, n: of each mean its value, and standard deviation and number of the values behind it [m].
        share: whether the values lie between 0 and 1. If not, the t interval of `few_seeds.estimate`.
        level: confidence level.

    Raises:
        ValueError: a mean of shares outside [0, 1].
    """
    centre, spread, count = (np.asarray(one, dtype=np.float64) for one in (mean, sd, n))
    margin = np.full(centre.shape, np.nan)
    several = count > 1
    margin[several] = stdtrit(count[several] - 1, (1 + level) / 2) * spread[several] / np.sqrt(count[several])
    if not share:
        return centre - margin, centre + margin
    if (outside := (centre < -_ROUNDING) | (centre > 1 + _ROUNDING)).any():
        raise ValueError(f"a share lies in [0, 1], got a mean of {centre[outside][0]}")
    centre = np.clip(centre, 0, 1)
    low, high = np.where(several, centre, np.nan), np.where(several, centre, np.nan)  # width 0 without spread
    spread_out = margin > 0  # so that the mean is neither 0 nor 1
    middle, inner = logit(centre[spread_out]), centre[spread_out] * (1 - centre[spread_out])
    low[spread_out] = expit(middle - margin[spread_out] / inner)
    high[spread_out] = expit(middle + margin[spread_out] / inner)
    return low, high
