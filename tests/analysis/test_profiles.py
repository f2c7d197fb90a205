import math

import pandas as pd
import pytest
import scipy.stats

from analysis.lookup import is_share
from analysis.profiles import PROFILE_COLUMNS, accuracy_by_steps, by_setting, layer_rates, learning_curves
from ottt.errors import UserError
from ottt.schema import METRICS


@pytest.fixture
def runs(make_runs):
    return make_runs({("b", 1.0): [0.9, 0.8, "stopped-early"], ("a", 1.0): [0.7]})


def history(runs, metric, values):
    rows = [
        (runs["trial"][place], epoch, metric, value)
        for place, curve in values.items()
        for epoch, value in enumerate(curve, start=1)
    ]
    return pd.DataFrame(rows, columns=["trial", "epoch", "metric", "value"])


def test_curves_are_means_with_scipys_interval_of_finished_trials(runs):
    values = {0: [0.1, 0.5], 1: [0.3, 0.9], 2: [9.0, 9.0], 3: [0.2, math.nan]}
    found = learning_curves(runs, history(runs, "val/loss", values), metric="val/loss")
    assert tuple(found.columns) == PROFILE_COLUMNS
    assert found[["label", "x", "n"]].to_numpy().tolist() == [
        ["rule.update=b neuron.tau=1.0", 1, 2],
        ["rule.update=b neuron.tau=1.0", 2, 2],
        ["rule.update=a neuron.tau=1.0", 1, 1],
    ]
    assert found["mean"].tolist() == pytest.approx([0.2, 0.7, 0.2])
    interval = scipy.stats.ttest_1samp([0.1, 0.3], 0).confidence_interval()
    assert (found["low"][0], found["high"][0]) == pytest.approx((interval.low, interval.high))
    assert math.isnan(found["low"][2])


@pytest.mark.parametrize("metric", ["val/top1", "rate/total"])
def test_bands_of_shares_are_those_of_the_logit_scale(runs, metric):
    found = learning_curves(runs, history(runs, metric, {0: [0.1, 1.0], 1: [0.3, 0.98]}), metric=metric)
    # 0.1 and 0.3: margin 12.706205 * 0.1 = 1.2706, over 0.2 * 0.8: 7.9414; logit(0.2) = -1.3863
    assert found["low"][0] == pytest.approx(1 / (1 + math.exp(1.3862944 + 7.9413779)), rel=1e-6)
    assert found["high"][0] == pytest.approx(1 / (1 + math.exp(1.3862944 - 7.9413779)), rel=1e-6)
    assert 0 < found["low"][1] < 0.99 < found["high"][1] < 1


def test_accuracies_and_rates_are_shares_and_nothing_else():
    assert all(map(is_share, ["val/top1", "test/top5", "train/top1", "test/top1_at_06", "rate/total", "rate/layer_12"]))
    others = set(METRICS) - {"train/top1", "val/top1", "val/top5", "test/top1", "test/top5", "rate/total"}
    assert not any(map(is_share, others))
    assert {"optim/lr", "perf/cpu_share", "val/loss"} <= others


def test_layers_are_counted_by_their_number(runs):
    runs["rate/layer_10"], runs["rate/layer_02"], runs["rate/total"] = [0.4] * 4, [0.1, 0.3, 9.0, 0.2], [0.5] * 4
    found = layer_rates(runs)
    assert found["x"].tolist() == [2, 10, 2, 10]
    assert found["mean"].tolist() == pytest.approx([0.2, 0.4, 0.2, 0.4])


def test_steps_are_counted_by_their_number(runs):
    runs["test/top1_at_02"], runs["test/top1_at_12"] = [0.5, 0.7, 0.0, 0.9], [0.8, 0.9, 0.0, 0.95]
    found = accuracy_by_steps(runs)
    assert found["x"].tolist() == [2, 12, 2, 12]
    assert found["mean"].tolist() == pytest.approx([0.6, 0.85, 0.9, 0.95])


def test_what_nobody_measured_is_refused(runs):
    empty = pd.DataFrame(columns=["trial", "epoch", "metric", "value"])
    with pytest.raises(UserError, match="no finished trial has measured val/top1"):
        learning_curves(runs, empty)
    with pytest.raises(UserError, match="no finished trial has measured rate/layer_NN"):
        layer_rates(runs)


def grown(make_runs, **more):
    """Memory of two rules at two numbers of time steps, of which `rule.k` is the half."""
    values = {("ottt", 4, 2): [1, 1], ("ottt", 8, 4): [1, 1], ("bptt", 4, 2): [1, "failed"], ("bptt", 8, 4): [1, 1]}
    runs = make_runs(values, axes=["rule.name", "T", "rule.k"])
    return runs.assign(**{"mem/peak_rss_mib": [500.0, 502.0, 501.0, 503.0, 600.0, 9999.0, 700.0, 704.0]}, **more)


def test_a_cost_by_a_setting_has_a_line_for_what_else_differs(make_runs):
    found = by_setting(grown(make_runs), metric="mem/peak_rss_mib")
    assert tuple(found.columns) == PROFILE_COLUMNS
    assert found[["label", "x", "n", "mean"]].to_numpy().tolist() == [
        ["rule.name=ottt", 4, 2, 501.0],
        ["rule.name=ottt", 8, 2, 502.0],
        ["rule.name=bptt", 4, 1, 600.0],
        ["rule.name=bptt", 8, 2, 702.0],
    ]
    interval = scipy.stats.ttest_1samp([700.0, 704.0], 0).confidence_interval()
    assert (found["low"][3], found["high"][3]) == pytest.approx((interval.low, interval.high))


def test_a_sweep_of_nothing_else_has_one_line(make_runs):
    runs = make_runs({(4,): [0.5], (8,): [0.7]}, axes=["T"])
    found = by_setting(runs, metric="test/top1")
    assert found[["label", "x", "mean"]].to_numpy().tolist() == [["test/top1", 4, 0.5], ["test/top1", 8, 0.7]]


@pytest.mark.parametrize(
    ("axis", "metric", "line"),
    [
        ("rule.name", "mem/peak_rss_mib", "rule.name must be varied, by numbers"),
        ("neuron.tau", "mem/peak_rss_mib", "neuron.tau must be varied, by numbers"),
        ("T", "mem/peak_mib", "no finished trial has measured mem/peak_mib"),
    ],
)
def test_what_has_no_numbers_is_no_curve(make_runs, axis, metric, line):
    with pytest.raises(UserError, match=f"^{line}$"):
        by_setting(grown(make_runs), axis=axis, metric=metric)
