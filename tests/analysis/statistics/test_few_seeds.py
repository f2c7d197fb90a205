import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

from analysis.statistics.few_seeds import (
    MAX_PAIRS,
    estimate,
    holm,
    paired_difference,
    probability_of_improvement,
    sign_flip_p,
    smallest_sign_flip_p,
)

numbers = st.floats(-1e3, 1e3, allow_nan=False, width=32)
samples = st.lists(numbers, min_size=2, max_size=9)


def test_estimate_by_hand():
    # 2, 4, 9: mean 5, squares 9 + 1 + 16, variance 13, t(2, 0.975) = 4.302653
    found = estimate([2, 4, 9])
    assert (found.n, found.mean) == (3, 5)
    assert found.sd == pytest.approx(math.sqrt(13))
    assert found.high - found.mean == pytest.approx(4.302652729911275 * math.sqrt(13 / 3))
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_interval_is_that_of_scipy(level):
    x = np.random.default_rng(1).normal(3, 2, size=7)
    found = estimate(x, level=level)
    expected = scipy.stats.ttest_1samp(x, 0).confidence_interval(level)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_paired_difference_is_that_of_scipy():
    x, y = np.random.default_rng(2).normal(size=(2, 6))
    found = paired_difference(x, y)
    expected = scipy.stats.ttest_rel(x, y).confidence_interval(0.95)
    assert found.mean == pytest.approx((x - y).mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_interval_covers_the_mean_in_95_of_100_samples_of_five():
    samples_of_five = np.random.default_rng(3).normal(10, 4, size=(4000, 5))
    found = [estimate(x) for x in samples_of_five]
    assert np.mean([one.low <= 10 <= one.high for one in found]) == pytest.approx(0.95, abs=0.02)
    normal = [abs(one.mean - 10) <= 1.96 * one.sd / math.sqrt(5) for one in found]
    assert np.mean(normal) < 0.92  # the normal interval, which would pass for it, is too narrow


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, -7e9])
def test_constant_values_have_an_interval_of_width_zero(value):
    found = estimate([value] * 3)
    assert found.sd == 0
    assert found.low == found.high == found.mean == pytest.approx(value)


def test_too_few_values_have_no_spread():
    one, none = estimate([0.5]), estimate([])
    assert (one.n, one.mean) == (1, 0.5)
    assert math.isnan(one.sd)
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    assert none.n == 0
    assert math.isnan(none.mean)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="1-D"):
        estimate([[1.0, 2.0]])
    with pytest.raises(ValueError, match="got 2 and 3"):
        paired_difference([1, 2], [1, 2, 3])


@given(samples, numbers)
def test_shifting_values_shifts_the_interval(x, shift):
    before, after = estimate(x), estimate(np.asarray(x) + shift)
    assert after.sd == pytest.approx(before.sd, abs=1e-9)
    assert after.low == pytest.approx(before.low + shift, abs=1e-8)


@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=9))
def test_swapping_the_sides_flips_the_sign(pairs):
    x, y = np.array(pairs).T
    forth, back = paired_difference(x, y), paired_difference(y, x)
    assert back.mean == -forth.mean
    assert (back.low, back.high) == pytest.approx((-forth.high, -forth.low))
    assert sign_flip_p(x - y) == sign_flip_p(y - x)


def test_sign_flip_by_hand():
    # |1 + 2 + 4| = 7 is reached by +++ and --- only; 1 + 2 - 4 = -1 by all 8 patterns
    assert sign_flip_p([1, 2, 4]) == 2 / 8
    assert sign_flip_p([1, 2, -4]) == 1
    assert sign_flip_p([1, 1, 1, -1]) == 10 / 16
    assert sign_flip_p([0, 0]) == 1


@given(st.lists(numbers, min_size=1, max_size=8))
def test_sign_flip_is_the_share_of_all_patterns(d):
    patterns = np.array(list(itertools.product([1, -1], repeat=len(d)))) @ np.array(d)
    seen = abs(math.fsum(d)) - 1e-12 * np.abs(d).sum()
    p = sign_flip_p(d)
    assert p == pytest.approx((np.abs(patterns) >= seen).mean())
    assert smallest_sign_flip_p(len(d)) <= p <= 1


def test_sign_flip_is_that_of_scipy():
    d = np.random.default_rng(4).normal(0.4, 1, size=10)
    expected = scipy.stats.permutation_test((d,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p(d) == pytest.approx(expected.pvalue)


def test_sign_flip_sees_ties_through_rounding():
    # in floats 0.1 + 0.2 - 0.3 is not 0: patterns that tie with the one seen must count
    assert sign_flip_p([0.1, 0.2, -0.3]) == 1
    assert sign_flip_p([0.3, 0.1, 0.2, -0.6]) == 1


def test_sign_flip_limits():
    assert sign_flip_p(np.ones(MAX_PAIRS)) == 2 / 2**MAX_PAIRS
    for size in (0, MAX_PAIRS + 1):
        with pytest.raises(ValueError, match=f"got {size}"):
            sign_flip_p(np.ones(size))


def test_smallest_p_passes_five_percent_at_six_pairs():
    assert [smallest_sign_flip_p(n) for n in (0, 1, 3, 5, 6)] == [1, 1, 0.25, 0.0625, 0.03125]


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1, 1])
    assert holm([]).size == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm_keeps_the_order_and_lies_between_raw_and_bonferroni(p):
    adjusted = holm(p)
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
    assert (adjusted >= np.array(p)).all()
    assert (adjusted <= np.minimum(1, len(p) * np.array(p)) + 1e-12).all()


def test_probability_of_improvement_by_hand():
    # 3 > 1, 3 > 2, 2 > 1, 2 = 2
    assert probability_of_improvement([3, 2], [1, 2]) == 3.5 / 4
    with pytest.raises(ValueError, match="got 0 and 1"):
        probability_of_improvement([], [1])


@given(samples, samples)
def test_probability_of_improvement_is_mann_whitneys_u(x, y):
    assume(len({*x, *y}) > 1)  # scipy warns of samples without any difference
    u = scipy.stats.mannwhitneyu(x, y, method="asymptotic").statistic
    assert probability_of_improvement(x, y) == pytest.approx(u / (len(x) * len(y)))
    assert probability_of_improvement(x, y) + probability_of_improvement(y, x) == pytest.approx(1)
