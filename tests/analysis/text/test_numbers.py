import math

import pytest

from analysis.text import numbers


@pytest.mark.parametrize(
    ("mean", "spread", "expected"),
    [
        (0.97314, 0.00421, "0.9731 ± 0.0042"),
        (0.95, 0.012, "0.950 ± 0.012"),
        (0.95, 0.00996, "0.950 ± 0.010"),  # the spread's own rounding moves its first digit
        (12.3456, 1.49, "12.3 ± 1.5"),
        (1234567.0, 23456.0, "1235000 ± 23000"),
        (0.9, 0.0, "0.9000 ± 0.0000"),
        (0.0, 0.0, "0.000 ± 0.000"),
        (0.9, math.nan, "0.9000"),
        (math.nan, math.nan, "-"),
    ],
)
def test_a_mean_is_rounded_with_its_spread(mean, spread, expected):
    assert numbers.with_spread(mean, spread) == expected


def test_a_difference_shows_its_sign_and_interval():
    assert numbers.with_interval(0.0171, -0.0239, 0.0581) == "+0.017 [-0.024, +0.058]"
    assert numbers.with_interval(-0.0171, math.nan, math.nan) == "-0.0171"
    assert numbers.with_interval(math.nan, math.nan, math.nan) == "-"


def test_what_rounds_to_zero_has_no_minus():
    assert numbers.with_interval(-0.0004, -0.0504, 0.0496) == "+0.000 [-0.050, +0.050]"


def test_equal_differences_do_not_show_digits_of_float_noise():
    nearly = numbers.with_interval(0.0037, 0.0037 - 1e-18, 0.0037 + 1e-18)
    assert nearly == "+0.003700 [+0.003700, +0.003700]"
    assert numbers.with_interval(1e-17, -1e-17, 3e-17) == "+0.000 [+0.000, +0.000]"


def test_p_values():
    assert [numbers.p_value(p) for p in (1, 0.03125, 0.0004, math.nan)] == ["1.000", "0.031", "< 0.001", "-"]
