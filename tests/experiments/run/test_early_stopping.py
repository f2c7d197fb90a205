from pathlib import Path
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler

from experiments.planning.plan import SweepPlan, expand
from experiments.results.trial_records import TrialRecords
from experiments.run.early_stopping import _Past, build_scheduler
from experiments.sweep_spec.run_settings import Scheduler
from experiments.worker.step_report import EPOCH, SCORE
from ottt.schema import Status
from tests.experiments.specs import recorded, spec

ASHA = {"name": "asha", "grace_epochs": 2, "reduction": 2.0}
MEDIAN = {"name": "median", "grace_epochs": 2, "min_trials": 3}


def plan(scheduler: dict[str, Any], metric: str) -> SweepPlan:
    return expand(spec(axes={"neuron.tau": [1.25, 2.0, 3.0]}, base={"epochs": 4}, scheduler=scheduler, metric=metric))


def decisions(scheduler: TrialScheduler, values: list[float]) -> list[str]:
    """What a new trial with those values is told after each epoch."""
    trial = _Past("new")
    scheduler.on_trial_add(None, trial)
    return [
        str(scheduler.on_trial_result(None, trial, {EPOCH: epoch, SCORE: value}))
        for epoch, value in enumerate(values, start=1)
    ]


@pytest.mark.parametrize("settings", [ASHA, MEDIAN])
@pytest.mark.parametrize(("metric", "bad", "good"), [("val/top1", 0.1, 0.9), ("val/loss", 0.9, 0.1)])
def test_trials_that_are_done_judge_new_ones(
    tmp_path: Path, settings: dict[str, Any], metric: str, bad: float, good: float
) -> None:
    records, planned = TrialRecords(tmp_path), plan(settings, metric)
    for trial in planned.trials:
        recorded(records, trial, values=[0.5] * 4, metric=metric)
    made = Scheduler.model_validate(settings)
    assert decisions(build_scheduler(made, planned, records), [bad, bad]) == ["CONTINUE", "STOP"]
    assert decisions(build_scheduler(made, planned, records), [good] * 4) == ["CONTINUE"] * 4


@pytest.mark.parametrize("settings", [ASHA, MEDIAN])
def test_without_any_the_first_goes_on(tmp_path: Path, settings: dict[str, Any]) -> None:
    scheduler = build_scheduler(Scheduler.model_validate(settings), plan(settings, "val/top1"), TrialRecords(tmp_path))
    assert decisions(scheduler, [0.1] * 4) == ["CONTINUE"] * 4


def test_what_failed_judges_nothing(tmp_path: Path) -> None:
    records, planned = TrialRecords(tmp_path), plan(ASHA, "val/top1")
    for trial in planned.trials:
        recorded(records, trial, Status.FAILED, values=[0.5] * 4)
    scheduler = build_scheduler(Scheduler.model_validate(ASHA), planned, records)
    assert decisions(scheduler, [0.1, 0.1]) == ["CONTINUE", "CONTINUE"]
