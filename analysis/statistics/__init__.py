"""Statistics for few seeds and for designed experiments, as pure functions of arrays.

Main entries: `estimate`, `mean_intervals`, `paired_difference`, `sign_flip_p`, `holm`, and `anova.analyse`.
"""

from analysis.statistics.bounded import mean_intervals
from analysis.statistics.few_seeds import (
    ALPHA,
    LEVEL,
    MAX_PAIRS,
    Estimate,
    FloatArray,
    estimate,
    holm,
    paired_difference,
    probability_of_improvement,
    sign_flip_p,
    smallest_sign_flip_p,
)

__all__ = [
    "ALPHA",
    "LEVEL",
    "MAX_PAIRS",
    "Estimate",
    "FloatArray",
    "estimate",
    "holm",
    "mean_intervals",
    "paired_difference",
    "probability_of_improvement",
    "sign_flip_p",
    "smallest_sign_flip_p",
]
