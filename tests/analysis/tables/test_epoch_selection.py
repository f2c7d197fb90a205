import math

import pandas as pd
import pytest

from analysis.dtypes import column
from analysis.tables.comparison import compare
from analysis.tables.epoch_selection import PAPER, RULES, select
from ottt.errors import UserError


@pytest.fixture
def runs(make_runs):
    return make_runs({("accumulate", 2.0): [0.90, 0.91], ("online", 2.0): [0.80, "diverged"]})


@pytest.fixture
def history(runs):
    """val/top1 is best at epoch 2 (again at 3), test/top1 at epoch 1 for the first trial."""
    curves = {
        0: {"val/top1": [0.5, 0.8, 0.8], "test/top1": [0.99, 0.7, 0.90], "test/loss": [3.0, 2.0, 2.5]},
        1: {"val/top1": [0.9, 0.8, 0.7], "test/top1": [0.60, 0.7, 0.91], "test/loss": [1.0, 2.0, 3.0]},
        2: {"val/top1": [math.nan, 0.1, math.inf], "test/top1": [0.1, 0.2, 0.80], "test/loss": [1.0, 2.0, 3.0]},
    }
    rows = [
        (runs["trial"][place], runs["variant"][place], int(runs["seed"][place]), epoch, metric, value)
        for place, metrics in curves.items()
        for metric, values in metrics.items()
        for epoch, value in enumerate(values, start=1)
    ]
    return pd.DataFrame(rows, columns=["trial", "variant", "seed", "epoch", "metric", "value"])


def test_last_changes_nothing(runs, history):
    assert select(runs, history, rule="last", metric="test/top1") is runs


def test_best_val_is_the_first_of_the_best_epochs_of_each_trial(runs, history):
    found = select(runs, history, rule="best-val", metric="test/top1")
    assert found["selected_epoch"].tolist() == pytest.approx([2, 1, 2, math.nan], nan_ok=True)
    assert found["test/top1"].tolist() == pytest.approx([0.7, 0.6, 0.2, math.nan], nan_ok=True)
    assert found["test/loss"].tolist() == pytest.approx([2.0, 1.0, 2.0, math.nan], nan_ok=True)
    assert runs["test/top1"].tolist()[:2] == [0.90, 0.91]  # the given frame is as it was


def test_paper_is_the_best_epoch_of_the_metric_itself(runs, history):
    highest = select(runs, history, rule="paper", metric="test/top1")
    assert highest["test/top1"].tolist()[:3] == [0.99, 0.91, 0.8]
    lowest = select(runs, history, rule="paper", metric="test/loss")
    assert lowest["test/loss"].tolist()[:3] == [2.0, 1.0, 1.0]
    assert lowest["test/top1"].tolist()[:3] == [0.7, 0.6, 0.1]


def test_the_order_of_the_history_does_not_matter(runs, history):
    shuffled = history.sample(frac=1, random_state=0)
    expected = select(runs, history, rule="best-val", metric="test/top1")
    pd.testing.assert_frame_equal(select(runs, shuffled, rule="best-val", metric="test/top1"), expected)


def test_the_rule_is_said_under_the_table(runs, history):
    comparison = compare(select(runs, history, rule="paper", metric="test/top1"))
    assert comparison.rule == PAPER
    assert comparison.notes[0] == f"test/top1 {RULES[PAPER]}; higher is better."
    assert "OPTIMISTIC" in comparison.notes[0]
    assert compare(runs).rule == "last"
    assert "OPTIMISTIC" not in " ".join(compare(runs).notes)


def test_settings_keep_their_types(runs, history):
    runs["neuron.v_reset"] = column([None, 0.5, None, 0.5])
    found = select(runs, history, rule="best-val", metric="test/top1")
    assert found["neuron.v_reset"].tolist() == [None, 0.5, None, 0.5]
    assert found.attrs["axes"] == runs.attrs["axes"]


@pytest.mark.parametrize(
    ("rule", "metric", "message"),
    [
        ("best", "test/top1", "rule must be one of last, best-val, paper, got 'best'"),
        ("paper", "test/top2", "metric must be one of"),
        ("paper", "optim/lr", "rule paper needs a metric with a better direction, optim/lr has none"),
        ("paper", "test/top5", "rule paper needs test/top5, which no trial of this sweep has measured"),
    ],
)
def test_mistakes_are_refused(runs, history, rule, metric, message):
    with pytest.raises(UserError, match=message):
        select(runs, history, rule=rule, metric=metric)
