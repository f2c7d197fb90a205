"""What the driver does with what its workers tell, without workers."""

import errno
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from experiments.interrupt import Ending
from experiments.planning.plan import expand
from experiments.planning.resume import Choice, Standing
from experiments.results.folder import Results
from experiments.results.trial_locks import TrialLocks
from experiments.results.trial_records import Epoch, TrialRecords
from experiments.run import disk as disk_module
from experiments.run.disk import Disk
from experiments.run.display import Display
from experiments.run.follower import Follower
from experiments.run.progress import Progress
from experiments.run.queue import Agenda
from experiments.run.runner import tasks
from experiments.tracking.sink import MlflowSink
from experiments.tracking.writer import BackgroundWriter
from experiments.worker.step_report import FailureKind, StepReport
from ottt.schema import Status
from tests.experiments.specs import HERE, recorded, spec

SWEEP = spec(axes={"neuron.tau": [1.25, 2.0]}, base={"epochs": 3})


@dataclass
class Desk:
    """A follower with what it needs, and what it said."""

    follower: Follower
    said: io.StringIO

    @property
    def records(self) -> TrialRecords:
        return self.follower.records

    def take(self) -> str:
        """The next trial, begun."""
        task = self.follower.next()
        assert task is not None
        self.follower.started(task.trial)
        return task.trial

    def epochs(self, trial: str, *numbers: int, end: Status = Status.RUNNING) -> None:
        """Reports of those epochs; the last with the status `end`."""
        for number in numbers:
            status = end if number == numbers[-1] else Status.RUNNING
            self.follower.reported(
                trial, StepReport(status, Epoch(number, float(number), {"val/top1": number / 10}), "cpu")
            )

    def status(self, trial: str) -> Status:
        record = self.records.read(trial)
        assert record is not None
        return record.status


MakeDesk = Callable[..., Desk]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[MakeDesk]:
    """Makes followers of one sweep with one folder of results."""
    made: list[Desk] = []

    def make(*, fail_fast: bool = False, keep: bool = False) -> Desk:
        made.append(_desk(tmp_path, fail_fast=fail_fast, keep=keep))
        return made[-1]

    yield make
    for one in made:
        one.follower.claims.close()


def _desk(folder: Path, *, fail_fast: bool, keep: bool) -> Desk:
    results, plan = Results(folder), expand(SWEEP)
    progress, ending, said = Progress(plan), Ending(), io.StringIO()
    standing = Standing(results.records, HERE, Choice.MISSING)
    display = Display(progress, Console(file=said, width=200))
    sink = MlflowSink(plan, "", HERE, store=results.store, artifacts=results.artifacts)
    follower = Follower(
        agenda=Agenda(retries=1),
        standing=standing,
        progress=progress,
        records=results.records,
        provenance=HERE,
        writer=BackgroundWriter(sink, results.records),
        display=display,
        disk=Disk(folder, ending=ending, say=display.say),
        claims=TrialLocks(results.records.folder),
        ending=ending,
        keep=keep,
        fail_fast=fail_fast,
    )
    follower.agenda.add(tasks(SWEEP, standing.take_in(progress, plan.trials), gpu=0.0))
    return Desk(follower, said)


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
    here.follower.crashed(
        trial, StepReport(Status.FAILED, reason="worker died", traceback="...", failure=FailureKind.WORKER)
    )
    assert here.status(trial) is Status.INTERRUPTED
    assert "worker died; again in 2 s, from its last checkpoint" in here.said.getvalue()
    other = here.take()
    assert other != trial
    assert here.follower.next() is None  # not yet
    task = here.follower.agenda.next(float("inf"))
    assert task is not None
    assert here.follower.claims.acquire(trial)
    here.follower.started(trial)
    here.epochs(trial, 2, 3, end=Status.FINISHED)
    assert [epoch.epoch for epoch in here.records.epochs(trial)] == [1, 2, 3]
    assert not (here.records.folder / trial / "error.txt").exists()


def test_an_error_fails_at_once_and_the_rest_goes_on(desk: MakeDesk) -> None:
    here = desk()
    trial = here.take()
    here.follower.reported(
        trial, StepReport(Status.FAILED, reason="ValueError: no", traceback="T", failure=FailureKind.ERROR)
    )
    assert here.status(trial) is Status.FAILED
    assert not here.follower.ending.is_asked
    assert here.take() != trial


def test_fail_fast_stops_at_the_first(desk: MakeDesk) -> None:
    here = desk(fail_fast=True)
    here.follower.reported(here.take(), StepReport(Status.FAILED, reason="no", failure=FailureKind.ERROR))
    assert here.follower.ending.now.is_set()
    assert here.follower.failed_fast


@pytest.mark.parametrize(("keep", "stays"), [(False, False), (True, True)])
def test_the_checkpoint_of_a_finished_trial_stays_on_request(desk: MakeDesk, keep: bool, stays: bool) -> None:
    here = desk(keep=keep)
    trial = here.take()
    here.records.checkpoint(trial).mkdir()
    here.epochs(trial, 1, 2, 3, end=Status.FINISHED)
    assert here.records.checkpoint(trial).exists() is stays


def test_leaving_notes_what_was_under_way(desk: MakeDesk) -> None:
    here = desk()
    trial = here.take()
    here.epochs(trial, 1)
    here.follower.leave()
    assert here.status(trial) is Status.INTERRUPTED
    others = TrialLocks(here.records.folder)
    assert others.acquire(trial)
    others.close()


def test_a_trial_that_another_sweep_trains_is_left_to_it(desk: MakeDesk) -> None:
    here, there = desk(), desk()
    theirs = there.take()
    assert here.take() != theirs
    assert here.follower.next() is None
    there.epochs(theirs, 1, 2, 3, end=Status.FINISHED)
    here.follower.agenda._waiting = {trial: (0.0, one) for trial, (_, one) in here.follower.agenda._waiting.items()}
    assert here.follower.next() is None
    assert here.follower.progress.statuses[theirs] is Status.FINISHED


def test_a_full_disk_pauses_new_trials_and_says_so_once(desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    here = desk()
    with monkeypatch.context() as patch:
        patch.setattr(disk_module, "MIN_FREE_MIB", 1e12)
        assert here.follower.next() is None
        assert here.follower.next() is None
    assert here.said.getvalue().count("paused: ") == 1
    assert here.follower.next() is not None
    assert here.said.getvalue().splitlines()[-1] == "there is room again: the sweep goes on"


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
    with pytest.raises(OSError, match="Input/output"):
        here.epochs(trial, 1)


def test_an_earlier_attempt_of_other_code_is_forgotten(desk: MakeDesk, tmp_path: Path) -> None:
    trial = expand(SWEEP).trials[0]
    records = Results(tmp_path).records
    recorded(records, trial, Status.INTERRUPTED, values=[0.5], commit="dead" * 10)
    records.checkpoint(trial.trial).mkdir()
    here = desk()
    assert here.take() == trial.trial
    assert records.epochs(trial.trial) == []
    assert not records.checkpoint(trial.trial).exists()
