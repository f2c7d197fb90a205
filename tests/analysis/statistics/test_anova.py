"""The analysis of variance against hand computations, scipy and an independent least-squares fit."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from analysis.statistics.anova import HIGHER, RESIDUAL, analyse


def by_name(terms):
    return {term.name: term for term in terms}


def crossing(*levels, repeats):
    """The factors of a full crossing, and the number of each observation's repeat."""
    cells = [(*cell, repeat) for cell in itertools.product(*map(range, levels)) for repeat in range(repeats)]
    *factors, repeat = zip(*cells, strict=True)
    return {name: list(values) for name, values in zip("abc", factors, strict=False)}, list(repeat)


def test_two_by_two_by_hand():
    # means 2, 4, 6, 12: a explains (9 - 3)^2 * 8 / 4, b (8 - 4)^2 * 8 / 4, their interaction (1 - 3)^2 * 8 / 4 ...
    factors = {"a": [0, 0, 0, 0, 1, 1, 1, 1], "b": [0, 0, 1, 1, 0, 0, 1, 1]}
    y = [1, 3, 3, 5, 5, 7, 11, 13]
    found = by_name(analyse(factors, y))
    assert {name: term.df for name, term in found.items()} == {"a": 1, "b": 1, "a x b": 1, RESIDUAL: 4}
    sums = {name: term.sum_of_squares for name, term in found.items()}
    assert sums == pytest.approx({"a": 72, "b": 32, "a x b": 8, RESIDUAL: 8})
    assert found["a"].f == pytest.approx(72 / 2)
    assert found["a"].p == pytest.approx(scipy.stats.f.sf(36, 1, 4))
    assert found["a"].share == pytest.approx((72 - 2) / 120)  # epsilon squared
    assert found[RESIDUAL].share == pytest.approx(7 * 2 / 120)


def test_one_factor_is_scipys_one_way_analysis():
    groups = np.random.default_rng(0).normal(size=(4, 5)) + np.arange(4)[:, None] / 2
    factor = np.repeat(list("wxyz"), 5)
    expected = scipy.stats.f_oneway(*groups)
    found = by_name(analyse({"a": factor.tolist()}, groups.ravel()))["a"]
    assert (found.f, found.p) == pytest.approx((expected.statistic, expected.pvalue))


def test_the_block_takes_what_seeds_share():
    factors, seed = crossing(3, repeats=4)
    effect, shared = np.array([0.0, 1.0, 3.0]), np.array([5.0, -5.0, 2.0, 8.0])
    noise = np.random.default_rng(1).normal(0, 0.1, 12)
    y = effect[factors["a"]] + shared[seed] + noise
    blocked = by_name(analyse(factors | {"seed": seed}, y, block="seed"))
    alone = by_name(analyse(factors, y))
    assert blocked["a"].sum_of_squares == pytest.approx(alone["a"].sum_of_squares)
    assert blocked["seed"].df == 3
    assert blocked["a"].p < 1e-6 < alone["a"].p
    friedman_like = scipy.stats.f.sf(blocked["a"].f, 2, 6)
    assert blocked["a"].p == pytest.approx(friedman_like)


def test_shares_of_a_balanced_design_sum_to_one():
    factors, seed = crossing(2, 3, 2, repeats=3)
    y = np.random.default_rng(2).normal(size=36)
    terms = analyse(factors | {"seed": seed}, y, block="seed")
    assert [term.name for term in terms] == ["a", "b", "c", "a x b", "a x c", "b x c", HIGHER, "seed", RESIDUAL]
    assert sum(term.share for term in terms) == pytest.approx(1)
    assert sum(term.sum_of_squares for term in terms) == pytest.approx(((y - y.mean()) ** 2).sum())
    assert sum(term.df for term in terms) == 35


def test_unbalanced_sums_of_squares_are_of_type_two():
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 2, 25), rng.integers(0, 3, 25)
    y = rng.normal(size=25) + a + b

    def residual(*columns):
        design = np.column_stack([np.ones(25), *columns])
        return float(((y - design @ np.linalg.lstsq(design, y, rcond=None)[0]) ** 2).sum())

    dummies = [b == 1, b == 2]
    found = by_name(analyse({"a": a.tolist(), "b": b.tolist()}, y))
    assert found["a"].sum_of_squares == pytest.approx(residual(*dummies) - residual(a, *dummies))
    assert found["b"].sum_of_squares == pytest.approx(residual(a) - residual(a, *dummies))
    products = [a * one for one in dummies]
    assert found["a x b"].sum_of_squares == pytest.approx(residual(a, *dummies) - residual(a, *dummies, *products))
    assert found[RESIDUAL].sum_of_squares == pytest.approx(residual(a, *dummies, *products))


def test_constant_values_explain_nothing_and_warn_of_nothing():
    factors, _ = crossing(2, 2, repeats=3)
    terms = analyse(factors, [0.1] * 12)
    assert [term.share for term in terms] == [0, 0, 0, 0]
    assert all(math.isnan(term.p) for term in terms)


def test_one_repeat_leaves_no_noise_to_test_against():
    factors, _ = crossing(2, 2, repeats=1)
    found = by_name(analyse(factors, [1.0, 2.0, 3.0, 7.0]))
    assert found[RESIDUAL].df == 0
    assert math.isnan(found["a"].p)
    assert math.isnan(found["a"].low)
    assert sum(term.share for term in found.values()) == pytest.approx(1)


def test_factors_that_move_together_are_told_by_zero_degrees_of_freedom():
    a = [0, 0, 1, 1, 2, 2]
    found = by_name(analyse({"a": a, "b": [f"is {one}" for one in a]}, [1, 2, 3, 4, 6, 7]))
    assert found["a"].df == found["b"].df == 0


@pytest.mark.parametrize("effect", [0.0, 0.5, 2.0])
def test_interval_covers_the_share_in_95_of_100_experiments(effect):
    """One factor of three levels, five repeats each: the true share is that of the effects' variance."""
    rng = np.random.default_rng(4)
    factors, _ = crossing(3, repeats=5)
    means = effect * np.array([-1.0, 0.0, 1.0])
    truth = means.var() / (means.var() + 1)
    hits = []
    for _ in range(600):
        found = by_name(analyse(factors, means[factors["a"]] + rng.normal(size=15)))["a"]
        hits.append(found.low <= truth <= found.high)
    # at the edge, a true share of 0, the interval [0, high] misses on one side only
    assert np.mean(hits) == pytest.approx(0.975 if effect == 0 else 0.95, abs=0.025)
