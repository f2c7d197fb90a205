"""What `ottt sweep plan` says of the differences that its seeds can detect."""

import json
import math
import sys
from pathlib import Path

import pytest

from analysis.statistics.power import detectable_difference
from experiments.cli import main
from experiments.planning.detectable import detectable
from experiments.planning.plan import expand
from experiments.results.folder import Results
from ottt.schema import Status
from tests.experiments.specs import recorded, spec

AXES = {"axes": {"neuron.tau": [2.0, 4.0]}, "base": {"data.name": "digits", "epochs": 2}}
VALUES = {2.0: [0.5, 0.6, 0.7], 4.0: [0.51, 0.62, 0.73]}  # differences 0.01, 0.02, 0.03 in the last epoch


@pytest.fixture
def place(tmp_path: Path) -> Results:
    """A folder in which the sweep ran with three seeds and the baseline tau = 2."""
    results, ran = Results(tmp_path), spec(**AXES, seeds=3, baseline={"neuron.tau": 2.0})
    for trial in expand(ran).trials:
        recorded(results.records, trial, values=[0.1 * trial.seed, VALUES[trial.config.neuron.tau][trial.seed]])
    results.write_plan(expand(ran), ran.to_yaml())
    return results


def test_the_trials_of_the_plan_answer(place: Results) -> None:
    found = detectable(expand(spec(**AXES, seeds=3)), place, seeds=3)
    assert found is not None
    assert found.sd == pytest.approx(0.01)
    assert found.differences[0] == (3, pytest.approx(detectable_difference(0.01, 3)))
    more = detectable(expand(spec(**AXES, seeds=12)), place, seeds=12)
    assert more is not None
    assert [size for size, _ in more.differences] == [12, 20, 50]


def test_if_none_of_them_ran_the_sweep_as_it_last_ran_answers(place: Results, tmp_path: Path) -> None:
    changed = expand(spec(**AXES, seeds=3, name="s").model_copy(update={"metric": "val/top1"}))
    other = expand(spec(axes=AXES["axes"], base={"data.name": "digits", "epochs": 9}, seeds=3))
    assert {trial.trial for trial in other.trials}.isdisjoint(trial.trial for trial in changed.trials)
    assert detectable(other, place, seeds=3) == detectable(changed, place, seeds=3)
    assert detectable(other, Results(tmp_path / "empty"), seeds=3) is None


def test_only_finished_trials_with_a_value_count(place: Results) -> None:
    trials = expand(spec(**AXES, seeds=3)).trials
    recorded(place.records, trials[-1], Status.FAILED, values=[0.9])
    assert detectable(expand(spec(**AXES, seeds=3)), place, seeds=3) is None  # one degree of freedom is left
    recorded(place.records, trials[-1], values=[0.1, math.nan])
    assert detectable(expand(spec(**AXES, seeds=3)), place, seeds=3) is None


def test_the_command_shows_it(place: Results, tmp_path: Path, monkeypatch, capsys) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(spec(**AXES, seeds=3, baseline={"neuron.tau": 2.0}).to_yaml(), encoding="utf-8")
    call = ["ottt", "sweep", "plan", str(file), "--no-estimate", "--results"]
    monkeypatch.setattr(sys, "argv", [*call, str(place.root)])
    assert main() == 0
    line = "val/top1 of trials that ran: detectable with 80% power: 0.033 with 3 seeds, 0.017 with 5 seeds, 0.010 with"
    assert line in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*call, str(tmp_path / "empty")])
    assert main() == 0
    assert "detectable" not in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*call, str(place.root), "--json"])
    assert main() == 0
    assert json.loads(capsys.readouterr().out)["detectable"]["sd"] == pytest.approx(0.01)
