import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.statistics import estimate, mean_intervals

shares = st.lists(st.floats(0, 1), min_size=2, max_size=8)


def interval(values, *, share=True):
    x = np.asarray(values, dtype=float)
    low, high = mean_intervals([x.mean()], [x.std(ddof=1)], [x.size], share=share)
    return low[0], high[0]


def test_interval_by_hand():
    # 0.97, 0.98, 0.99: mean 0.98, sd 0.01; t(2, 0.975) = 4.302653, margin 4.302653 * 0.01 / sqrt(3) = 0.0248414;
    # on the logit scale ln(0.98 / 0.02) = 3.8918203 -+ 0.0248414 / 0.0196 = 1.2674172
    low, high = interval([0.97, 0.98, 0.99])
    assert low == pytest.approx(1 / (1 + math.exp(-(3.8918203 - 1.2674172))), abs=1e-7)
    assert high == pytest.approx(1 / (1 + math.exp(-(3.8918203 + 1.2674172))), abs=1e-7)
    assert (round(low, 4), round(high, 4)) == (0.9324, 0.9943)
    past = estimate([0.97, 0.98, 0.99])
    assert (round(past.low, 4), round(past.high, 4)) == (0.9552, 1.0048)  # the t interval leaves [0, 1]


@given(shares)
def test_interval_stays_between_0_and_1_and_contains_the_mean(values):
    low, high = interval(values)
    assert 0 <= low <= np.mean(values) + 1e-9
    assert np.mean(values) - 1e-9 <= high <= 1


@given(shares)
def test_swapping_right_and_wrong_mirrors_the_interval(values):
    low, high = interval(values)
    mirrored = interval(1 - np.asarray(values))
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-6)


def test_small_spread_gives_the_t_interval():
    values = 0.6 + 1e-5 * np.array([-1.0, 0.3, 0.9, 0.2])
    t = estimate(values)
    assert interval(values) == pytest.approx((t.low, t.high), abs=1e-9)
    wide = 0.6 + 0.1 * np.array([-1.0, 0.3, 0.9, 0.2])
    assert interval(wide) != pytest.approx((estimate(wide).low, estimate(wide).high), abs=1e-3)


def test_without_bounds_it_is_the_t_interval():
    values = [0.1, 0.4, 0.2]
    t = estimate(values)
    assert interval(values, share=False) == pytest.approx((t.low, t.high))
    assert t.low < 0


@pytest.mark.parametrize("value", [0.0, 1.0, 0.3])
def test_equal_values_have_width_zero(value):
    assert interval([value] * 3) == pytest.approx((value, value))


def test_one_value_has_no_interval():
    low, high = mean_intervals([0.5, 0.9], [math.nan, 0.1], [1, 3], share=True)
    assert math.isnan(low[0])
    assert math.isnan(high[0])
    assert 0 < low[1] < 0.9 < high[1] < 1


def test_a_value_that_is_no_share_is_refused():
    with pytest.raises(ValueError, match=r"lies in \[0, 1\], got a mean of 1.2"):
        mean_intervals([0.5, 1.2], [0.1, 0.1], [3, 3], share=True)


def test_it_covers_the_mean_of_accuracies_near_1():
    a, b = 40, 2  # accuracies of a beta distribution with mean 0.952 and standard deviation 0.032
    drawn = np.random.default_rng(3).beta(a, b, size=(4000, 5))
    low, high = mean_intervals(drawn.mean(axis=1), drawn.std(axis=1, ddof=1), np.full(4000, 5), share=True)
    assert np.mean((low <= a / (a + b)) & (a / (a + b) <= high)) == pytest.approx(0.95, abs=0.03)
    narrow = mean_intervals(drawn.mean(axis=1), drawn.std(axis=1, ddof=1), np.full(4000, 5), share=True, level=0.8)
    assert np.mean((narrow[0] <= a / (a + b)) & (a / (a + b) <= narrow[1])) < 0.9
