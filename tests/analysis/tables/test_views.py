"""Tables of a sweep: variance explained, importance, Pareto front, published numbers."""

import math

import numpy as np
import pytest

from analysis import render
from analysis.tables.importance import importance
from analysis.tables.paper import against_paper, published
from analysis.tables.pareto import dominated_by, front
from analysis.tables.variance_explained import effects
from ottt.errors import UserError

UPDATES, TAUS = ("accumulate", "online"), (1.0, 2.0, 4.0)


@pytest.fixture
def crossed(make_runs):
    """tau has a large effect, the update a small one; the rest is noise."""
    rng = np.random.default_rng(0)
    effect = {1.0: 0.0, 2.0: 0.1, 4.0: 0.05}
    return make_runs(
        {
            (update, tau): (0.8 + effect[tau] + 0.02 * (update == "online") + rng.normal(0, 0.005, 4)).tolist()
            for update in UPDATES
            for tau in TAUS
        }
    )


def test_effects_name_axes_interaction_seed_and_noise(crossed):
    table = effects(crossed).table.set_index("name")
    assert table.index.tolist() == ["rule.update", "neuron.tau", "rule.update x neuron.tau", "seed", "residual"]
    assert table["df"].tolist() == [1, 2, 2, 3, 15]
    assert table.loc["neuron.tau", "share"] > 0.9 > 0.05 > table.loc["rule.update", "share"] > 0.02
    assert table["share"].sum() == pytest.approx(1)


def test_effects_of_trials_that_are_missing_are_said(crossed):
    crossed.loc[3, "status"] = "failed"
    notes = effects(crossed).notes
    assert any("need not sum to 1" in note for note in notes)
    assert notes[-1] == "Left out of the means: 1 failed."


def test_effects_of_one_seed_have_no_test_and_say_so(make_runs):
    found = effects(make_runs({(update, tau): [tau] for update in UPDATES for tau in TAUS}))
    assert found.table["p"].isna().all()
    assert "No degrees of freedom are left for the noise: no interval, no test." in found.notes
    assert "interval" not in render.text(found).splitlines()[0]


def test_effects_need_trials_that_differ(make_runs):
    with pytest.raises(UserError, match="differ in an axis, got 2"):
        effects(make_runs({("online", 2.0): [0.9, 0.8]}))


def test_importance_ranks_what_matters_first(crossed):
    table = importance(crossed, metric="test/top1").table
    assert table["setting"].tolist() == ["neuron.tau", "rule.update"]
    assert table["importance"].sum() == pytest.approx(1)
    assert table["importance"].tolist()[0] > 0.8
    again = importance(crossed, metric="test/top1").table
    assert again.equals(table)


def test_importance_refuses_to_learn_from_nine_trials(crossed):
    with pytest.raises(UserError, match="needs 10 finished trials with a test/top1 that differ, got 9"):
        importance(crossed[:9], metric="test/top1")


def test_dominance_by_hand():
    scores = np.array([[1.0, 1.0], [2.0, 1.0], [1.0, 2.0], [2.0, 1.0], [math.nan, 9.0], [0.0, 0.0]])
    assert dominated_by(scores) == [1, None, None, None, None, 0]


def test_front_by_direction(make_runs):
    runs = make_runs({("a", 1.0): [0.9, 0.9], ("b", 1.0): [0.8, 0.8], ("c", 1.0): [0.7, 0.7], ("d", 1.0): ["failed"]})
    runs["energy/synops"] = [5.0, 5.0, 3.0, 3.0, 4.0, 4.0, 1.0]
    found = front(runs, metrics=("test/top1", "energy/synops"))
    assert found.table["front"].tolist() == [True, True, False, False]
    assert found.table["beaten_by"].tolist() == [None, None, "rule.update=b neuron.tau=1.0", None]
    text = render.text(found)
    assert "higher test/top1, lower energy/synops" in text
    assert text.splitlines()[5].split()[-1] == "-"  # without a mean, neither on the front nor beaten
    assert "1 failed" in text


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (["test/top1"], "two or more different metrics, got test/top1"),
        (["test/top1", "test/top1"], "two or more different metrics"),
        (["test/top1", "optim/lr"], "a better direction, optim/lr has none"),
        (["test/top1", "energy/nj"], "no finished trial has energy/nj"),
        (["test/top1", "energy"], "metric must be one of"),
    ],
)
def test_pareto_mistakes_are_refused(make_runs, metrics, message):
    with pytest.raises(UserError, match=message):
        front(make_runs({("a", 1.0): [0.9]}), metrics=metrics)


@pytest.fixture
def like_the_paper(make_runs):
    runs = make_runs({("accumulate", 2.0): [0.93, 0.94, 0.95], ("online", 2.0): [0.9], ("odd", 2.0): [0.5]})
    constants = {"data.name": "cifar10", "model.name": "vgg11_ws", "T": 6, "rule.name": "ottt", "epochs_done": 300}
    found = runs.assign(**constants)
    found.attrs = runs.attrs
    return found


def test_measured_beside_published(like_the_paper):
    found = against_paper(like_the_paper)
    table = found.table
    assert table["label"].tolist() == ["rule.update=accumulate neuron.tau=2.0", "rule.update=online neuron.tau=2.0"]
    assert table["published"].tolist() == [0.9352, 0.9349]
    error = math.sqrt(0.01**2 / 3 + 0.0006**2 / 3)
    assert table["standard_errors"].tolist() == pytest.approx([(0.94 - 0.9352) / error, math.nan], nan_ok=True)
    assert any("NeurIPS 2022" in note and "--rule paper" in note for note in found.notes)
    assert "Without a published number: 1 of 3 variants." in found.notes


def test_other_time_steps_are_not_the_papers(like_the_paper):
    like_the_paper["T"] = 4
    with pytest.raises(UserError, match="which there is for cifar10, cifar100"):
        against_paper(like_the_paper)


def test_published_numbers_are_fractions_with_their_spread():
    table = published()
    assert table["mean"].between(0.5, 1).all()
    assert not table.duplicated(["data", "model", "T", "rule", "update", "metric"]).any()
    assert (table["sd"].isna() == table["n"].isna()).all()
    dvs = table[(table["data"] == "cifar10_dvs") & (table["update"] == "online")].iloc[0]
    assert (dvs["mean"], dvs["sd"], dvs["best"], dvs["T"]) == (0.7663, 0.0034, 0.771, 10)
