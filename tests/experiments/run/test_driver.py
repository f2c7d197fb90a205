"""What the driver does with what its workers tell, without workers."""

import errno
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from experiments.interrupt import Interrupted
from experiments.planning.plan import expand
from experiments.results import disk as disk_module
from experiments.results.folder import Results
from experiments.results.trial_locks import TrialLocks
from experiments.results.trial_records import Epoch, TrialRecords
from experiments.worker.step_report import FailureKind, StepReport
from ottt.errors import UserError
from ottt.schema import Status
from tests.experiments.desks import Desk, Killed, killing, make_desk
from tests.experiments.mlflow_sweeps import REPORT
from tests.experiments.specs import recorded, spec

AXES = {"axes": {"neuron.tau": [1.25, 2.0]}, "base": {"epochs": 3}, "retries": 1}


MakeDesk = Callable[..., Desk]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[MakeDesk]:
    """Makes drivers of one sweep with one folder of results."""
    made: list[Desk] = []

    def make(*, fail_fast: bool = False, keep: bool = False) -> Desk:
        sweep = spec(**AXES, checkpoints={"keep": keep})
        made.append(make_desk(tmp_path, sweep, fail_fast=fail_fast))
        return made[-1]

    yield make
    for one in made:
        one.driver.effects.locks.close()


def test_epochs_are_recorded_and_the_trial_ends(desk: MakeDesk) -> None:
    here = desk()
    trial = here.take()
    here.epochs(trial, 1, 2, 3, end=Status.FINISHED)
    assert [epoch.epoch for epoch in here.records.epochs(trial)] == [1, 2, 3]
    assert here.status(trial) is Status.FINISHED


def test_a_lost_worker_s_trial_comes_back_and_repeats_epochs_in_place(desk: MakeDesk) -> None:
    here = desk()
    trial = here.take()
    here.epochs(trial, 1, 2)
    here.driver.crashed(
        trial, StepReport(Status.FAILED, reason="worker died", traceback="...", failure=FailureKind.WORKER)
    )
    assert here.status(trial) is Status.INTERRUPTED
    assert "worker died; again in 2 s, from its last checkpoint" in here.said.getvalue()
    other = here.take()
    assert other != trial
    assert here.next() is None  # not yet
    task = here.driver.queue.next(float("inf"))
    assert task is not None
    assert here.driver.effects.locks.acquire(trial)
    here.driver.started(trial)
    here.epochs(trial, 2, 3, end=Status.FINISHED)
    assert [epoch.epoch for epoch in here.records.epochs(trial)] == [1, 2, 3]
    assert not (here.records.folder / trial / "error.txt").exists()


def test_an_error_fails_at_once_and_the_rest_continues(desk: MakeDesk) -> None:
    here = desk()
    trial = here.take()
    here.driver.reported(
        trial, StepReport(Status.FAILED, reason="ValueError: no", traceback="T", failure=FailureKind.ERROR)
    )
    assert here.status(trial) is Status.FAILED
    assert not here.driver.ending.is_asked
    assert here.take() != trial


def test_fail_fast_stops_at_the_first(desk: MakeDesk) -> None:
    here = desk(fail_fast=True)
    here.driver.reported(here.take(), StepReport(Status.FAILED, reason="no", failure=FailureKind.ERROR))
    assert here.driver.ending.now.is_set()


@pytest.mark.parametrize(("keep", "stays"), [(False, False), (True, True)])
def test_the_checkpoint_of_a_finished_trial_stays_on_request(desk: MakeDesk, keep: bool, stays: bool) -> None:
    here = desk(keep=keep)
    trial = here.take()
    here.records.checkpoint(trial).mkdir()
    here.epochs(trial, 1, 2, 3, end=Status.FINISHED)
    assert here.records.checkpoint(trial).exists() is stays


def test_an_interrupted_sweep_notes_what_was_under_way(desk: MakeDesk) -> None:
    here = desk()
    trial = here.take()
    here.epochs(trial, 1)
    here.driver.effects.interrupt()
    assert here.status(trial) is Status.INTERRUPTED
    others = TrialLocks(here.records.folder)
    assert others.acquire(trial)
    others.close()


def test_a_trial_that_another_sweep_trains_is_left_to_it(desk: MakeDesk) -> None:
    here, there = desk(), desk()
    theirs = there.take()
    assert here.take() != theirs
    assert here.next() is None
    there.epochs(theirs, 1, 2, 3, end=Status.FINISHED)
    here.driver.queue._waiting = {trial: (0.0, one) for trial, (_, one) in here.driver.queue._waiting.items()}
    assert here.next() is None
    assert here.driver.state[theirs].status is Status.FINISHED


def test_a_full_disk_pauses_new_trials_and_says_so_once(desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    here = desk()
    with monkeypatch.context() as patch:
        patch.setattr(disk_module, "MIN_FREE_MIB", 1e12)
        assert here.next() is None
        assert here.next() is None
    assert here.said.getvalue().count("paused: ") == 1
    assert here.next() is not None
    assert here.said.getvalue().splitlines()[-1] == "there is room again: the sweep continues"


def test_what_cannot_be_written_is_written_later(desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_module, "WAIT_S", 0.0)
    here = desk()
    trial = here.take()
    append, failures = TrialRecords.append, [OSError(errno.ENOSPC, "No space left on device")] * 2

    def full(self: TrialRecords, trial: str, epoch: Epoch) -> None:
        if failures:
            raise failures.pop()
        append(self, trial, epoch)

    monkeypatch.setattr(TrialRecords, "append", full)
    here.epochs(trial, 1)
    assert [epoch.epoch for epoch in here.records.epochs(trial)] == [1]
    assert here.said.getvalue().count("No space left on device") == 1


def test_other_errors_of_the_disk_are_not_waited_for(desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    here = desk()
    trial = here.take()

    def broken(self: TrialRecords, trial: str, epoch: Epoch) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(TrialRecords, "append", broken)
    with pytest.raises(UserError, match=r"must be writable while the sweep runs, got \[Errno 5\] Input/output error"):
        here.epochs(trial, 1)


def test_results_deleted_under_a_sweep_are_one_line(desk: MakeDesk, tmp_path: Path) -> None:
    here = desk()
    trial = here.take()
    shutil.rmtree(tmp_path / "trials")
    with pytest.raises(UserError, match=r"must be writable while the sweep runs, got .*No such file.*metrics.jsonl"):
        here.epochs(trial, 1)
    shutil.rmtree(tmp_path)
    with pytest.raises(UserError, match="must stay while the sweep runs, but it was deleted"):
        here.next()
    here.driver.effects.interrupt()  # writes nothing, and raises nothing
    assert not tmp_path.exists()


def test_asked_to_end_while_the_disk_is_full_it_ends(desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    here = desk()
    trial = here.take()

    def full(self: TrialRecords, *args: object, **named: object) -> None:
        here.driver.ending.now.set()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(TrialRecords, "append", full)
        patch.setattr(TrialRecords, "end", full)
        with pytest.raises(Interrupted):
            here.epochs(trial, 1)
        here.driver.effects.interrupt()
    assert here.status(trial) is Status.RUNNING  # the next run takes it for interrupted


def test_an_earlier_attempt_of_other_code_is_forgotten(desk: MakeDesk, tmp_path: Path) -> None:
    trial = expand(spec(**AXES)).trials[0]
    records = Results(tmp_path).records
    recorded(records, trial, Status.INTERRUPTED, values=[0.5], code="dead" * 4)
    records.checkpoint(trial.trial).mkdir()
    here = desk()
    assert here.take() == trial.trial
    assert records.epochs(trial.trial) == []
    assert not records.checkpoint(trial.trial).exists()


@pytest.mark.parametrize(
    ("write", "call"),
    [
        ("begin", 1),
        ("append", 1),
        ("describe", 1),
        ("append", 3),
        ("keep_evaluation", 1),
        ("end", 1),
        ("drop_checkpoint", 2),  # the first one is of `begin`
    ],
)
def test_a_kill_before_any_write_loses_nothing(
    desk: MakeDesk, monkeypatch: pytest.MonkeyPatch, write: str, call: int
) -> None:
    here = desk()
    other, task = here.take(), here.next()
    here.epochs(other, 1, 2, 3, end=Status.FINISHED)
    assert task is not None
    with monkeypatch.context() as patch:
        patch.setattr(TrialRecords, write, killing(getattr(TrialRecords, write), call))
        with pytest.raises(Killed):
            train(here, task.trial)
    here.driver.effects.locks.close()

    again = desk()
    if (left := again.next()) is not None:  # its worker resumes from the checkpoint after the second epoch
        assert left.trial == task.trial
        again.driver.started(left.trial)
        again.epochs(left.trial, *range(min(again.driver.state[left.trial].epochs, 2) + 1, 4), end=Status.FINISHED)
    assert again.status(task.trial) is Status.FINISHED
    assert [epoch.epoch for epoch in again.records.epochs(task.trial)] == [1, 2, 3]
    assert again.records.evaluation(task.trial) == REPORT
    assert not again.records.checkpoint(task.trial).exists()
    assert again.next() is None
    assert again.driver.state.done == 2


def train(here: Desk, trial: str) -> None:
    here.driver.started(trial)
    here.records.checkpoint(trial).mkdir()
    here.epochs(trial, 1, 2, 3, end=Status.FINISHED)
