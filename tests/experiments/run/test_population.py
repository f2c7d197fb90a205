"""A population whose driver ends before any of its writes: the same copies, epochs and ends as undisturbed.

Workers are not started: what they would report is a function of the rate in force and the epoch.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from experiments.planning.plan import Trial
from experiments.results.trial_records import STATE, Epoch, TrialRecords
from experiments.run.queue import Task
from experiments.sweep_spec.spec import SweepSpec
from experiments.worker.step_report import StepReport
from ottt.schema import Status
from tests.experiments.desks import Desk, Killed, killing, make_desk
from tests.experiments.mlflow_sweeps import REPORT
from tests.experiments.specs import spec

EPOCHS = 4
WRITES = {  # of a whole run: five trials, two of which are copies, and two that are replaced
    "begin": 5,
    "fork": 2,
    "append": 18,
    "describe": 9,
    "keep_evaluation": 3,
    "drop_checkpoint": 10,
    "end": 13,
    "_rewrite": 8,
}


def population() -> SweepSpec:
    scheduler = {"name": "pbt", "period_epochs": 2, "quantile": 0.34}
    return spec(axes={"optim.lr": [0.4, 0.1, 0.01]}, base={"epochs": 2 * EPOCHS - 2}, scheduler=scheduler)


def run(folder: Path) -> Desk:
    """Train what is missing, as one driver with one worker does."""
    desk = make_desk(folder, population())
    with closed(desk):
        desk.driver.effects.results.write_plan(desk.driver.state.plan, desk.driver.effects.spec.to_yaml())
        while (task := desk.next()) is not None:
            work(desk, task)
    return desk


@contextmanager
def closed(desk: Desk) -> Iterator[None]:
    try:
        yield
    finally:
        desk.driver.effects.locks.close()


def work(desk: Desk, task: Task) -> None:
    """What a worker does with a trial until it is paused or done."""
    trial, records = task.trial, desk.records
    desk.driver.started(trial)
    state = records.checkpoint(trial) / STATE
    saved = int(state.read_text(encoding="utf-8")) if state.is_file() else 0
    done = saved if saved <= len(records.epochs(trial)) else 0
    until = task.until or task.config.epochs
    for epoch in range(done + 1, until + 1):
        value = 1 - abs(math.log10(task.config.at(epoch - 1).optim.lr) + 1) / 3 + epoch / 100
        is_last = epoch == task.config.epochs
        status, evaluation = (Status.FINISHED, REPORT) if is_last else (Status.RUNNING, None)
        made = Epoch(epoch, float(epoch), {"val/top1": value})
        desk.driver.reported(trial, StepReport(status, made, "cpu", evaluation=evaluation))
    if until < task.config.epochs:
        state.parent.mkdir(exist_ok=True)
        state.write_text(str(until), encoding="utf-8")
        desk.driver.reported(trial, StepReport(Status.INTERRUPTED))
    elif done == until:
        desk.driver.reported(trial, StepReport(Status.FINISHED, evaluation=REPORT))


def content(desk: Desk) -> dict[str, Any]:
    """What was decided and recorded of every planned trial."""
    return {trial.trial: (trial.config.flat(), *_outcome(desk, trial)) for trial in desk.driver.state.plan.trials}


def _outcome(desk: Desk, trial: Trial) -> tuple[Status, str | None, list[tuple[int, dict[str, float]]]]:
    record = desk.records.read(trial.trial)
    assert record is not None
    epochs = [(epoch.epoch, dict(epoch.metrics)) for epoch in desk.records.epochs(trial.trial)]
    return record.status, record.reason, epochs


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return content(run(tmp_path_factory.mktemp("whole")))


def test_a_population_as_it_should_be(undisturbed: dict[str, Any]) -> None:
    ends = [(status, len(epochs)) for _, status, _, epochs in undisturbed.values()]
    assert ends.count((Status.FINISHED, 6)) == 3
    assert [epochs for status, epochs in ends if status is not Status.FINISHED] == [4, 2]


@pytest.mark.parametrize("write", WRITES)
def test_a_killed_driver_changes_nothing(
    write: str, undisturbed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = 0
    while True:
        call += 1
        folder = tmp_path / str(call)
        with monkeypatch.context() as patch:
            patch.setattr(TrialRecords, write, killing(getattr(TrialRecords, write), call))
            try:
                run(folder)
                break  # fewer calls than that
            except Killed:
                pass
        assert content(run(folder)) == undisturbed, call
    assert call - 1 == WRITES[write]
