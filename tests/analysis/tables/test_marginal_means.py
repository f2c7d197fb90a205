"""Marginal means, and the two-way tables made of them."""

import math

import pytest
import scipy.stats

from analysis import render
from analysis.tables.marginal_means import marginal
from analysis.tables.two_way import cross
from ottt.errors import UserError

GOLDEN = """\
neuron.tau \\ rule.update     accumulate               online
────────────────────────────────────────────────────────────
1.25                      0.910 ± 0.010  0.875 ± 0.035 (n=2)
2.0                       0.945 ± 0.015              - (n=0)

test/top1 at the last epoch of finished trials; higher is better.
± is the standard deviation over seeds, n their number.
(n=) marks cells of fewer complete seeds than others.
Left out of the means: 1 failed, 1 missing.
"""


def test_each_seed_is_averaged_over_the_other_axes_first(make_runs):
    runs = make_runs(
        {
            ("accumulate", 1.0): [0.1, 0.2],
            ("accumulate", 2.0): [0.3, 0.6],
            ("online", 1.0): [0.5, 0.5],
            ("online", 2.0): [0.7, 0.9],
        }
    )
    found = marginal(runs, ["rule.update"])
    assert found.averaged == ("neuron.tau",)
    assert found.table["values"].tolist()[0] == pytest.approx({0: 0.2, 1: 0.4})
    interval = scipy.stats.ttest_1samp([0.2, 0.4], 0).confidence_interval()
    row = found.table.iloc[0]
    assert (row["n"], row["mean"]) == (2, pytest.approx(0.3))
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((interval.low, interval.high))


def test_a_seed_that_lacks_one_setting_is_left_out_of_that_row_only(make_runs):
    runs = make_runs(
        {
            ("accumulate", 1.0): [0.1, "failed"],
            ("accumulate", 2.0): [0.3, 0.9],
            ("online", 1.0): [0.5, 0.5],
            ("online", 2.0): [0.7, 0.7],
        }
    )
    table = marginal(runs, ["rule.update"]).table
    assert table["n"].tolist() == [1, 2]
    assert table["mean"].tolist() == pytest.approx([0.2, 0.6])  # not 0.433: seed 1 would weigh on tau = 2 alone


def test_means_run_over_settings_that_all_rows_plan(make_runs):
    runs = make_runs(
        {("accumulate", 1.0): [0.1], ("accumulate", 2.0): [0.3], ("accumulate", 4.0): [0.9], ("online", 1.0): [0.5]}
    )
    found = marginal(runs, ["rule.update"])
    assert found.blocks == ((1.0,),)
    assert found.dropped == ((2.0,), (4.0,))
    assert found.table["mean"].tolist() == [0.1, 0.5]
    disjoint = make_runs({("accumulate", 1.0): [0.1], ("accumulate", 2.0): [0.1], ("online", 4.0): [0.5]})
    with pytest.raises(UserError, match=r"no values of neuron\.tau are planned for all"):
        marginal(disjoint, ["rule.update"])


def test_axes_that_move_together_are_not_averaged_over(make_runs):
    runs = make_runs({("accumulate", 1.0): [0.1, 0.2], ("online", 2.0): [0.5, 0.7]})
    found = marginal(runs, ["rule.update"])
    assert found.averaged == ()
    assert found.table["mean"].tolist() == pytest.approx([0.15, 0.6])


def test_two_way_text(make_runs):
    runs = make_runs(
        {
            ("accumulate", 1.25): [0.90, 0.91, 0.92],
            ("accumulate", 2.0): [0.93, 0.96, 0.945],
            ("online", 1.25): [0.85, "failed", 0.90],
            ("online", 2.0): ["missing"],
        }
    )
    assert render.text(cross(runs, rows="neuron.tau", cols="rule.update")) == GOLDEN


def test_a_combination_that_is_not_planned_is_an_empty_cell(make_runs):
    runs = make_runs({("accumulate", 1.0): [0.9], ("online", 2.0): [0.8], ("online", 1.0): [0.7]})
    first, second = render.text(cross(runs, rows="neuron.tau", cols="rule.update")).splitlines()[2:4]
    assert first.split() == ["1.0", "0.9000", "0.7000"]
    assert second.split() == ["2.0", "0.8000"]


def test_a_metric_that_nobody_measured_gives_empty_means(make_runs):
    found = marginal(make_runs({("accumulate", 1.0): [0.9]}), ["rule.update"], metric="val/top1")
    assert found.table["n"].tolist() == [0]
    assert math.isnan(found.table["mean"].tolist()[0])


def test_mistakes_are_refused(make_runs):
    runs = make_runs({("accumulate", 1.0): [0.9], ("online", 2.0): [0.8]})
    with pytest.raises(UserError, match=r"neuron\.tua is not a setting"):
        cross(runs, rows="neuron.tua", cols="rule.update")
    with pytest.raises(UserError, match=r"two settings, got neuron\.tau twice"):
        cross(runs, rows="neuron.tau", cols="neuron.tau")
