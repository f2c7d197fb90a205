"""Analysis of variance of a designed experiment by least squares, as pure functions of arrays."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import qr
from scipy.optimize import brentq
from scipy.special import fdtr, fdtrc, ncfdtr

from analysis.statistics.few_seeds import LEVEL, FloatArray

HIGHER = "higher interactions"
RESIDUAL = "residual"
_NOISE = 1e-10  # sums of squares below this share of the total are rounding errors
_RANK = 1e-9  # diagonal elements of R below this share of the largest count as 0


@dataclass(frozen=True)
class Term:
    """A source of variance.

    Attributes:
        name: a factor, `a x b`, HIGHER or RESIDUAL.
        df: degrees of freedom; 0 if it is confounded with other terms.
        sum_of_squares: type II: explained beyond all terms that do not contain it.
        share: share of the variance (epsilon squared), less the share that noise alone would explain, so that it can be
            negative; for RESIDUAL the total share of noise. In a balanced design the shares sum to 1.
        low, high: interval of the share; NaN without a residual.
        f: its mean square over that of the residual; NaN without a residual or df.
        p: p value of the hypothesis that it explains nothing, by Fisher's F; NaN where f is NaN.
    """

    name: str
    df: int
    sum_of_squares: float
    share: float
    low: float
    high: float
    f: float
    p: float


def analyse(
    factors: Mapping[str, Sequence[object]], y: ArrayLike, *, block: str | None = None, level: float = LEVEL
) -> list[Term]:
    """The variance of `y`, by factor and interaction.

    y = sum of main effects + two-way interactions + all higher ones (one term) + block + noise. If `y` is
    constant, all shares are 0.

    Args:
        factors: values of each factor [n].
        y: values [n].
        block: factor without interactions, such as the seed that variants share.
        level: confidence level of the intervals.
    """
    values = np.asarray(y, dtype=np.float64)
    names = [name for name in factors if name != block]
    coded = {name: _contrasts(factors[name]) for name in factors}
    groups: dict[str, tuple[frozenset[str], FloatArray]] = {
        " x ".join(chosen): (frozenset(chosen), _product([coded[name] for name in chosen]))
        for size in (1, 2)
        for chosen in combinations(names, size)
    }
    if len(names) > 2:
        larger = chain.from_iterable(combinations(names, size) for size in range(3, len(names) + 1))
        designs = [_product([coded[name] for name in chosen]) for chosen in larger]
        groups[HIGHER] = (frozenset(names), np.hstack(designs))
    if block is not None:
        groups[block] = (frozenset([block]), coded[block])
    full_rank, residual = _fit([design for _, design in groups.values()], values)
    total = float(((values - values.mean()) ** 2).sum())
    explained = {}
    for name, (own, design) in groups.items():
        others = [one for key, (its, one) in groups.items() if key != name and not its >= own]
        rank_without, without = _fit(others, values)
        rank_with, with_it = _fit([*others, design], values)
        explained[name] = (rank_with - rank_without, without - with_it)
    return _terms(explained, (values.size - full_rank, residual), total, values.size, level)


def _contrasts(values: Sequence[object]) -> FloatArray:
    """Deviation coding of a factor [n, levels - 1]: 1 at a level, -1 at the last."""
    levels = {key: index for index, key in enumerate(dict.fromkeys(map(repr, values)))}
    coding = np.vstack([np.eye(len(levels) - 1), -np.ones(len(levels) - 1)])
    return coding[[levels[repr(value)] for value in values]]


def _product(designs: Sequence[FloatArray]) -> FloatArray:
    """The products of one column of each design, for all choices [n, product of numbers of columns]."""
    found = designs[0]
    for design in designs[1:]:
        found = (found[:, :, None] * design[:, None, :]).reshape(len(found), -1)
    return found


def _fit(designs: Sequence[FloatArray], y: FloatArray) -> tuple[int, float]:
    """Rank of a linear model with a constant, and its residual sum of squares."""
    design = np.hstack([np.ones((y.size, 1)), *designs])
    basis, triangle, _ = qr(design, mode="economic", pivoting=True)
    diagonal = np.abs(np.diag(triangle))
    rank = int((diagonal > _RANK * diagonal[0]).sum())
    centred = y - y.mean()
    residual = centred - basis[:, :rank] @ (basis[:, :rank].T @ centred)
    return rank, float(residual @ residual)


def _terms(
    explained: Mapping[str, tuple[int, float]], residual: tuple[int, float], total: float, n: int, level: float
) -> list[Term]:
    df_e, ss_e = residual
    exact = total <= 0 or ss_e <= _NOISE * total
    ms_e = 0.0 if exact or df_e == 0 else ss_e / df_e
    tested = df_e > 0 and not exact
    ratios = {name: ss / df / ms_e if tested and df else math.nan for name, (df, ss) in explained.items()}
    noncentralities = {name: _noncentrality_estimate(ratios[name], df, df_e) for name, (df, _) in explained.items()}
    terms = []
    for name, (df, raw) in explained.items():
        ss = 0.0 if raw <= _NOISE * total else raw
        share = (ss - df * ms_e) / total if total > 0 else 0.0
        rest = sum(value for key, value in noncentralities.items() if key != name)
        low, high = _share_interval(ratios[name], df, df_e, n + rest, level)
        p = float(fdtrc(df, df_e, ratios[name])) if not math.isnan(ratios[name]) else math.nan
        terms.append(Term(name, df, ss, share, low, high, ratios[name], p))
    noise = (df_e + sum(df for df, _ in explained.values())) * ms_e / total if total > 0 else 0.0
    return [*terms, Term(RESIDUAL, df_e, 0.0 if exact else ss_e, noise, *[math.nan] * 4)]


def _noncentrality_estimate(f: float, df: int, df_e: int) -> float:
    """Estimated noncentrality of a term: n times the variance that it explains over that of the noise."""
    if math.isnan(f):
        return 0.0
    unbiased = df * (f * (df_e - 2) / df_e - 1) if df_e > 2 else df * (f - 1)
    return max(0.0, unbiased)


def _share_interval(f: float, df: int, df_e: int, rest: float, level: float) -> tuple[float, float]:
    """Interval of a share, from the interval of the noncentrality of F (Steiger, Psychological Methods 9, 2004).

    A noncentrality l explains l / (l + rest), where `rest` is n plus the estimated noncentralities of the other terms.
    """
    if math.isnan(f):
        return math.nan, math.nan
    low, high = (_noncentrality(f, df, df_e, 0.5 + sign * level / 2) for sign in (1, -1))
    return low / (low + rest), high / (high + rest)


def _noncentrality(f: float, df: int, df_e: int, probability: float) -> float:
    """The noncentrality at which a ratio of at most `f` has `probability`; 0 if there is none."""
    if fdtr(df, df_e, f) <= probability:
        return 0.0
    top = max(1.0, df * f)
    while ncfdtr(df, df_e, top, f) > probability:
        top *= 2
    return float(brentq(lambda value: ncfdtr(df, df_e, value, f) - probability, 0.0, top))
