import math

import pandas as pd
import pytest
import scipy.stats

from analysis.profiles import PROFILE_COLUMNS, accuracy_by_steps, layer_rates, learning_curves
from ottt.errors import UserError


@pytest.fixture
def runs(make_runs):
    return make_runs({("b", 1.0): [0.9, 0.8, "stopped-early"], ("a", 1.0): [0.7]})


def test_curves_are_means_with_scipys_interval_of_finished_trials(runs):
    values = {0: [0.1, 0.5], 1: [0.3, 0.9], 2: [9.0, 9.0], 3: [0.2, math.nan]}
    rows = [
        (runs["trial"][place], epoch, "val/top1", value)
        for place, curve in values.items()
        for epoch, value in enumerate(curve, start=1)
    ]
    found = learning_curves(runs, pd.DataFrame(rows, columns=["trial", "epoch", "metric", "value"]))
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
