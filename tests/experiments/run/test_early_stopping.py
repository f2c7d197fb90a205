from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from experiments.planning.plan import SweepPlan, expand
from experiments.results.trial_records import TrialRecords
from experiments.run.early_stopping import EveryEpochOnce, build_scheduler
from experiments.run.resume import ResumePolicy, WhichTrials
from experiments.run.state import SweepState
from experiments.sweep_spec.run_settings import Scheduler
from experiments.worker.step_report import OPEN, SCORES
from ottt.schema import Status
from tests.experiments.specs import HERE, recorded, spec

ASHA = {"name": "asha", "grace_epochs": 2, "reduction": 2.0}
MEDIAN = {"name": "median", "grace_epochs": 2, "min_trials": 3}


def plan(scheduler: dict[str, Any], metric: str) -> SweepPlan:
    return expand(spec(axes={"neuron.tau": [1.25, 2.0, 3.0]}, base={"epochs": 4}, scheduler=scheduler, metric=metric))


@dataclass(frozen=True)
class Attempt:
    """Tune's trial, of which the scheduler needs nothing: its results name ours."""


def scheduler(settings: dict[str, Any], planned: SweepPlan, records: TrialRecords) -> EveryEpochOnce:
    state = SweepState(planned)
    ResumePolicy(records, HERE, WhichTrials.MISSING).take_stock(state, planned.trials)
    return build_scheduler(Scheduler.model_validate(settings), state, records)


def decisions(judge: EveryEpochOnce, values: list[float], *, trial: str = "new", first: int = 1) -> list[str]:
    """What an attempt with those values, from the epoch `first` on, is told after each, until it is to stop."""
    told: list[str] = []
    for epoch, value in enumerate(values, start=first):
        told.append(judge.on_trial_result(None, Attempt(), {SCORES: [(trial, epoch, value)], OPEN: [trial]}))
        if told[-1] == "STOP":
            break
    return told


@pytest.mark.parametrize("settings", [ASHA, MEDIAN])
@pytest.mark.parametrize(("metric", "bad", "good"), [("val/top1", 0.1, 0.9), ("val/loss", 0.9, 0.1)])
def test_trials_that_are_done_judge_new_ones(
    tmp_path: Path, settings: dict[str, Any], metric: str, bad: float, good: float
) -> None:
    records, planned = TrialRecords(tmp_path), plan(settings, metric)
    for trial in planned.trials:
        recorded(records, trial, values=[0.5] * 4, metric=metric)
    assert decisions(scheduler(settings, planned, records), [bad, bad]) == ["CONTINUE", "STOP"]
    assert decisions(scheduler(settings, planned, records), [good] * 4) == ["CONTINUE"] * 4


@pytest.mark.parametrize("settings", [ASHA, MEDIAN])
def test_without_any_the_first_goes_on(tmp_path: Path, settings: dict[str, Any]) -> None:
    assert (
        decisions(scheduler(settings, plan(settings, "val/top1"), TrialRecords(tmp_path)), [0.1] * 4)
        == ["CONTINUE"] * 4
    )


def test_what_failed_judges_nothing(tmp_path: Path) -> None:
    records, planned = TrialRecords(tmp_path), plan(ASHA, "val/top1")
    for trial in planned.trials:
        recorded(records, trial, Status.FAILED, values=[0.5] * 4)
    assert decisions(scheduler(ASHA, planned, records), [0.1, 0.1]) == ["CONTINUE", "CONTINUE"]


# Values of three trials: the second is worse than the first at every epoch, the third better.
COURSES = [[0.5, 0.5, 0.5, 0.5], [0.1, 0.2, 0.3, 0.4], [0.6, 0.6, 0.7, 0.7]]


@pytest.mark.parametrize("settings", [ASHA, MEDIAN | {"min_trials": 1}])
@pytest.mark.parametrize("resumed", [0, 1])
@pytest.mark.parametrize("killed_after", [1, 2, 3])
def test_a_trial_that_is_resumed_is_judged_as_if_it_had_not_stopped(
    tmp_path: Path, settings: dict[str, Any], killed_after: int, resumed: int
) -> None:
    planned = plan(settings, "val/top1")
    names = [trial.trial for trial in planned.trials]
    whole = scheduler(settings, planned, TrialRecords(tmp_path / "whole"))
    expected = [decisions(whole, values, trial=name) for name, values in zip(names, COURSES, strict=True)]
    assert expected[1][1] == "STOP"
    assert "STOP" not in expected[0]

    records = TrialRecords(tmp_path / "killed")  # during the second trial, whose state after `resumed` epochs is kept
    recorded(records, planned.trials[0], values=COURSES[0])
    recorded(records, planned.trials[1], Status.RUNNING, values=COURSES[1][:killed_after])
    again = scheduler(settings, planned, records)
    assert decisions(again, COURSES[1][resumed:], trial=names[1], first=resumed + 1) == expected[1][resumed:]
    assert decisions(again, COURSES[2], trial=names[2]) == expected[2]


@pytest.mark.parametrize("settings", [ASHA, MEDIAN | {"min_trials": 1}])
def test_a_second_attempt_does_not_count_twice(tmp_path: Path, settings: dict[str, Any]) -> None:
    judge = scheduler(settings, plan(settings, "val/top1"), TrialRecords(tmp_path))
    assert decisions(judge, [0.9] * 4, trial="good") == ["CONTINUE"] * 4
    assert decisions(judge, [0.5], trial="lost") == ["CONTINUE"]
    assert decisions(judge, [0.5, 0.5], trial="lost") == ["CONTINUE", "STOP"]


@pytest.mark.parametrize("settings", [ASHA, MEDIAN | {"min_trials": 1}])
def test_an_end_without_an_epoch_judges_nothing(tmp_path: Path, settings: dict[str, Any]) -> None:
    judge = scheduler(settings, plan(settings, "val/top1"), TrialRecords(tmp_path))
    judge.on_trial_complete(None, Attempt(), {"done": True, SCORES: [], OPEN: []})
    assert decisions(judge, [0.1] * 4) == ["CONTINUE"] * 4


@pytest.mark.parametrize("settings", [ASHA, MEDIAN | {"min_trials": 1}])
def test_what_finished_beside_better_ones_is_not_stopped_afterwards(tmp_path: Path, settings: dict[str, Any]) -> None:
    records, planned = TrialRecords(tmp_path), plan(settings, "val/top1")
    for trial, value in zip(planned.trials, (0.9, 0.1, 0.5), strict=True):  # the second began first
        recorded(records, trial, values=[value] * 4)
    assert decisions(scheduler(settings, planned, records), [0.6, 0.6]) == ["CONTINUE", "CONTINUE"]
    assert decisions(scheduler(settings, planned, records), [0.2, 0.2]) == ["CONTINUE", "STOP"]


def test_what_is_to_run_again_is_judged_anew(tmp_path: Path) -> None:
    records, planned = TrialRecords(tmp_path), plan(ASHA, "val/top1")
    for trial in planned.trials:
        recorded(records, trial, values=[0.5] * 4)
    state = SweepState(planned)
    ResumePolicy(records, HERE, WhichTrials.ALL).take_stock(state, planned.trials)
    judge = build_scheduler(Scheduler.model_validate(ASHA), state, records)
    first, second, _ = planned.trials
    assert decisions(judge, [0.5] * 4, trial=first.trial) == ["CONTINUE"] * 4
    assert decisions(judge, [0.4] * 4, trial=second.trial) == ["CONTINUE", "STOP"]


@pytest.mark.parametrize("settings", [ASHA, MEDIAN | {"min_trials": 1}])
def test_of_several_that_train_as_one_each_is_judged(tmp_path: Path, settings: dict[str, Any]) -> None:
    planned = plan(settings, "val/top1")
    names = [trial.trial for trial in planned.trials]
    apart = scheduler(settings, planned, TrialRecords(tmp_path))
    expected = {name: decisions(apart, values, trial=name) for name, values in zip(names, COURSES, strict=True)}
    assert sorted(len(told) for told in expected.values()) == [2, 4, 4]

    judge, left = scheduler(settings, planned, TrialRecords(tmp_path)), list(names)
    for epoch in range(1, 5):
        scores = [(name, epoch, values[epoch - 1]) for name, values in zip(names, COURSES, strict=True) if name in left]
        assert judge.on_trial_result(None, Attempt(), {SCORES: scores, OPEN: left}) == "CONTINUE"
        left = [name for name in left if not judge.has_stopped(name)]
        assert left == [name for name in names if len(expected[name]) > epoch or expected[name][-1] == "CONTINUE"]


def test_they_end_together_only_when_all_are_stopped(tmp_path: Path) -> None:
    judge = scheduler(ASHA, plan(ASHA, "val/top1"), TrialRecords(tmp_path))
    assert decisions(judge, [0.9] * 2, trial="good") == ["CONTINUE"] * 2
    ends = {SCORES: [("a", 2, 0.1), ("b", 2, 0.2)], OPEN: ["a", "b"]}
    assert judge.on_trial_result(None, Attempt(), ends) == "STOP"
    finished = {SCORES: [("c", 2, 0.1)], OPEN: []}  # what has trained all its epochs cannot be stopped any more
    judge.on_trial_complete(None, Attempt(), finished)
    assert [judge.has_stopped(name) for name in ("good", "a", "b", "c")] == [False, True, True, False]
