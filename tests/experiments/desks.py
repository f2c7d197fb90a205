"""Drivers without workers: what a worker would report is said by the test."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from experiments.interrupt import Ending
from experiments.planning.plan import expand
from experiments.results.disk import Disk
from experiments.results.folder import Results
from experiments.results.trial_locks import TrialLocks
from experiments.results.trial_records import Epoch, TrialRecords
from experiments.run.driver import Driver
from experiments.run.effects import Effects
from experiments.run.grouping import Grouping
from experiments.run.progress_bar import ProgressDisplay
from experiments.run.queue import Task, TaskQueue
from experiments.run.resume import ResumePolicy, WhichTrials
from experiments.run.state import SweepState
from experiments.run.training import variant_source
from experiments.sinks.sweep_sinks import SweepSinks
from experiments.sweep_spec.spec import SweepSpec
from experiments.tracking.sweep_runs import SweepRuns
from experiments.tracking.writer import BackgroundWriter
from experiments.worker.step_report import StepReport
from ottt.schema import Status
from tests.experiments.mlflow_sweeps import REPORT
from tests.experiments.specs import HERE


class Killed(BaseException):
    """Stands for the end of the process."""


class Unread(BackgroundWriter):
    """The writer of a store that these tests do not look at: it stays closed, and nothing waits for it."""

    @property
    def has_begun(self) -> bool:
        return True


@dataclass
class Desk:
    """A driver with what it needs, and what it said."""

    driver: Driver
    said: io.StringIO

    @property
    def records(self) -> TrialRecords:
        return self.driver.effects.records

    def next(self) -> Task | None:
        """The trial to start now, of a sweep that fuses none."""
        tasks = self.driver.next()
        assert len(tasks) < 2
        return tasks[0] if tasks else None

    def take(self) -> str:
        """The next trial, begun."""
        task = self.next()
        assert task is not None
        self.driver.started(task.trial)
        return task.trial

    def epochs(self, trial: str, *numbers: int, end: Status = Status.RUNNING) -> None:
        """Reports of those epochs; the last with the status `end`."""
        for number in numbers:
            status = end if number == numbers[-1] else Status.RUNNING
            epoch = Epoch(number, float(number), {"val/top1": number / 10})
            evaluation = REPORT if status is Status.FINISHED else None
            self.driver.reported(trial, StepReport(status, epoch, "cpu", evaluation=evaluation))

    def status(self, trial: str) -> Status:
        record = self.records.read(trial)
        assert record is not None
        return record.status


def make_desk(folder: Path, sweep: SweepSpec, *, fail_fast: bool = False, workers: int = 1, gpu: float = 0.0) -> Desk:
    """A driver of `sweep`, as a new process makes it, with so many workers that have each so much of a GPU."""
    results, plan, ending, said = Results(folder), expand(sweep), Ending(), io.StringIO()
    state = SweepState(plan)
    resume = ResumePolicy(results.records, HERE, WhichTrials.MISSING)
    resume.take_stock(state, plan.trials)
    display = ProgressDisplay(state, Console(file=said, width=200))
    sweep_runs = SweepRuns(plan, "", HERE, store=results.store, artifacts=results.artifacts)
    tracking = Unread(sweep_runs, results.records)
    disk, locks = Disk(folder, ending=ending, say=display.print), TrialLocks(results.records.folder)
    sinks = SweepSinks(plan, results, say=display.print)
    effects = Effects(results, state, display, tracking, sinks, disk, locks)
    queue = TaskQueue(retries=sweep.retries)
    source = variant_source(sweep, state, queue, resume)
    grouping = Grouping(sweep.resources.fuse, lambda share: workers, display.print)
    return Desk(Driver(state, queue, source, resume, effects, grouping, ending, gpu=gpu, fail_fast=fail_fast), said)


def killing(original: Callable[..., object], call: int) -> Callable[..., object]:
    """The function, which ends the process before its `call`-th call."""
    calls = iter(range(1, call + 1))

    def counted(*args: object, **named: object) -> object:
        if next(calls) == call:
            raise Killed
        return original(*args, **named)

    return counted
