"""Carries out what events change: records, display, tracking store, sinks, locks, in one fixed order."""

from contextlib import suppress
from dataclasses import dataclass

from experiments.interrupt import Interrupted
from experiments.planning.plan import SweepPlan
from experiments.results.disk import Disk
from experiments.results.folder import Results
from experiments.results.trial_locks import TrialLocks
from experiments.results.trial_records import TrialRecords
from experiments.run.progress_bar import ProgressDisplay
from experiments.run.state import Change, End, SweepState
from experiments.sinks.sweep_sinks import SweepSinks
from experiments.sweep_spec.spec import SweepSpec
from experiments.tracking.writer import BackgroundWriter
from ottt.errors import UserError
from ottt.schema import Status


@dataclass(frozen=True)
class Effects:
    """Everything that a running sweep writes, shows or locks.

    Attributes:
        results: folder of results.
        state: state of the sweep.
        display: shows progress.
        tracking: fills the tracking store from the records.
        sinks: give epochs to the spec's sinks, from the records.
        disk: waits while there is no room.
        locks: the trials that other sweeps must not train.
    """

    results: Results
    state: SweepState
    display: ProgressDisplay
    tracking: BackgroundWriter
    sinks: SweepSinks
    disk: Disk
    locks: TrialLocks

    @property
    def spec(self) -> SweepSpec:
        """The sweep's spec."""
        return self.state.plan.spec

    @property
    def records(self) -> TrialRecords:
        """Records of all trials."""
        return self.results.records

    def open(self) -> None:
        """Begin to write, if that has not happened: the plan, and the trials that are done already.

        It waits for the tracking store. The first attempt at a trial comes here, so that workers start meanwhile and
        nothing is trained for a store that cannot be opened.

        Raises:
            experiments.tracking.writer.StoreError: the tracking store cannot be opened.
        """
        if self.tracking.has_begun:
            return
        self.tracking.begin(say=self.display.print)
        self.sinks.begin()
        self._write_plan(self.state.plan)
        for one in self.state:
            if one.status is not None:
                self._publish(one.trial.trial)

    def grow(self, plan: SweepPlan) -> None:
        """The sweep has a larger plan: it is written before a trial of it starts."""
        self.tracking.extend(plan)
        self.sinks.extend(plan)
        if self.tracking.has_begun:
            self._write_plan(plan)

    def apply(self, change: Change) -> None:
        """Carry out a change.

        The order is such that the process can end between any two steps. Until `records.end`, the next run resumes the
        trial from its last checkpoint, or from nothing, and it gives the same numbers again; a trial that has all its
        epochs and its evaluation lacks nothing but its end, which the next run adds. The tracking store is filled from
        the records, so the next run writes what it lacks.
        """
        self.open()
        trial, records = change.trial, self.records
        if change.attempt is not None:
            begin = records.begin if change.attempt.resumed is None else records.resume
            self.disk.write(begin, change.attempt.record)
        if change.fork is not None:
            self.disk.write(records.fork, change.fork.record, change.fork.parent, change.fork.epochs)
        if change.epoch is not None:
            if change.epoch.epoch <= self.state[trial].epochs:  # the worker went back to a checkpoint
                self.disk.write(records.truncate_epochs, trial, change.epoch.epoch - 1)
            self.disk.write(records.append, trial, change.epoch)
        if change.origin is not None:
            self.disk.write(records.describe, trial, **vars(change.origin))
        if change.evaluation is not None:
            self.disk.write(records.keep_evaluation, trial, change.evaluation)
        if change.drops_checkpoint:
            records.drop_checkpoint(trial)
        if change.end is not None:
            end = change.end
            self.disk.write(records.end, trial, end.status, reason=end.reason, traceback=end.traceback)
        self.state.apply(change)
        for message in change.messages:
            self.display.print(message)
        self.display.update()
        self._publish(trial)
        if change.releases:
            self.locks.release(trial)

    def adopt(self, trial: str, status: Status) -> None:
        """Take over a result that another sweep recorded while this one waited for the trial."""
        self.state.adopt(trial, status, self.records.epochs(trial))
        self.announce(trial)
        self.locks.release(trial)

    def announce(self, trial: str) -> None:
        """Show and track a trial whose record another run wrote."""
        self.display.update()
        self._publish(trial)

    def interrupt(self) -> None:
        """Note the trials under way as interrupted, once their workers are gone, and release all locks.

        Where that cannot be written, the next run takes a trial that seems to be running for an interrupted one.
        """
        for trial in self.state.running():
            with suppress(Interrupted, UserError):
                self.apply(Change(trial, end=End(Status.INTERRUPTED), releases=True))
        self.locks.close()

    def _publish(self, trial: str) -> None:
        self.tracking.update(trial)
        self.sinks.update(trial)

    def _write_plan(self, plan: SweepPlan) -> None:
        self.disk.write(self.results.write_plan, plan, self.spec.to_yaml())
