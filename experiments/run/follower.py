"""Keeping up with the trials while they run: records, progress, display, tracking store, and what runs next."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from experiments.interrupt import Ending
from experiments.planning.resume import Standing
from experiments.results.provenance import Provenance
from experiments.results.trial_locks import TrialLocks
from experiments.results.trial_records import Epoch, Record, TrialRecords
from experiments.run.disk import Disk
from experiments.run.display import Display
from experiments.run.progress import Progress
from experiments.run.queue import Agenda, Task
from experiments.tracking.writer import BackgroundWriter
from experiments.worker.step_report import StepReport
from ottt.schema import SETTLED, Status

BUSY_WAIT_S = 5.0  # until a trial that another sweep trains is looked at again


@dataclass
class Follower:
    """See `experiments.run.ray_tune.Events`.

    Attributes:
        agenda: the trials to run.
        standing: says which of them begin anew.
        keep: whether a finished trial's last state stays.
        ending: set when the sweep should end early.
        fail_fast: whether the first failed trial does that.
        failed_fast: whether one did.
        ended: told of every trial that has ended for good.
        since: seconds since 1970, when the records were looked at.
    """

    agenda: Agenda
    standing: Standing
    progress: Progress
    records: TrialRecords
    provenance: Provenance
    writer: BackgroundWriter
    display: Display
    disk: Disk
    claims: TrialLocks
    ending: Ending
    keep: bool
    fail_fast: bool
    failed_fast: bool = False
    ended: Callable[[str], None] = lambda trial: None
    since: float = field(default_factory=time.time)
    _begun: set[str] = field(default_factory=set)
    _described: set[str] = field(default_factory=set)

    @property
    def finished(self) -> bool:
        """Whether all trials have ended for good."""
        return self.agenda.finished

    @property
    def busy(self) -> bool:
        """Whether a trial is under way."""
        return bool(self.progress.running())

    def next(self) -> Task | None:
        """The trial to start now; none starts while the disk is full."""
        while self.disk.has_room() and (task := self.agenda.next(time.monotonic())) is not None:
            if not self.claims.acquire(task.trial):
                self.agenda.postpone(task.trial, time.monotonic(), wait=BUSY_WAIT_S)
            elif self._done_elsewhere(task.trial):
                self.claims.release(task.trial)
                self.agenda.settle(task.trial)
            else:
                return task
        return None

    def started(self, trial: str) -> None:
        """A worker took the trial."""
        planned, record = self.progress.planned(trial), self._new_record(trial)
        is_new = trial not in self._begun and self.standing.begins_anew(trial)
        self._begun.add(trial)
        self._described.discard(trial)
        self.disk.write(lambda: self.records.begin(record) if is_new else self.records.go_on(record))
        self.progress.begin(planned, len(self.records.epochs(trial)))
        self._changed(trial)

    def reported(self, trial: str, report: StepReport) -> None:
        """A step ended."""
        if report.epoch is not None:
            self._record(trial, report.epoch)
        if trial not in self._described:
            self._described.add(trial)
            self.disk.write(lambda: self.records.describe(trial, device=report.device, data_digest=report.data_digest))
        if report.warning is not None:
            self.display.warn(self.progress.planned(trial), report.warning)
        if report.status in SETTLED:
            self.agenda.settle(trial)
            if (evaluation := report.evaluation) is not None:
                self.disk.write(lambda: self.records.keep_evaluation(trial, evaluation))
            self._end(trial, report)
            if not (self.keep and report.status is Status.FINISHED):
                self.records.drop_checkpoint(trial)
            self.ended(trial)
        elif report.status is Status.INTERRUPTED:
            self.agenda.settle(trial)
            self._end(trial, report)
        elif report.status is not Status.RUNNING:
            self._failed(trial, report)
        self._changed(trial)

    def crashed(self, trial: str, report: StepReport) -> None:
        """The worker died, or raised outside the trial."""
        if trial not in self._begun:
            self.started(trial)
        self._failed(trial, report)
        self._changed(trial)

    def inherit(self, trial: str, parent: str, epochs: int) -> None:
        """Let a trial that has not begun go on where `parent` waits, if a state of that one is kept."""
        record = self._new_record(trial)
        self.disk.write(lambda: self._inherited(record, parent, epochs))

    def _inherited(self, record: Record, parent: str, epochs: int) -> None:
        if self.records.branch(record, parent, epochs):
            self._begun.add(record.trial)
            self.progress.inherit(self.progress.planned(record.trial), epochs)
            self._changed(record.trial)

    def retire(self, trial: str, reason: str) -> None:
        """End a trial that waits."""
        self._note_end(trial, StepReport(Status.STOPPED_EARLY, reason=reason))
        self.records.drop_checkpoint(trial)
        self.ended(trial)
        self._changed(trial)

    def leave(self) -> None:
        """Note the trials under way as interrupted, and let others have what was taken."""
        for trial in self.progress.running():
            self._end(trial, StepReport(Status.INTERRUPTED))
            self._changed(trial)
        self.claims.close()

    def _new_record(self, trial: str) -> Record:
        return Record(
            trial,
            self.progress.planned(trial).config.flat(),
            self.progress.plan.name,
            commit=self.provenance.commit,
            dirty=self.provenance.dirty,
            diff=self.provenance.diff,
            versions=self.provenance.versions,
            host=self.provenance.host,
        )

    def _done_elsewhere(self, trial: str) -> bool:
        """Whether another sweep has trained it since this one began; if so, take it over."""
        record = self.records.read(trial)
        if record is None or not self.progress.plan.is_done(record) or record.started < self.since:
            return False
        epochs = self.records.epochs(trial)
        self.progress.end(self.progress.planned(trial), record.status, epochs[-1].metrics if epochs else {})
        self._changed(trial)
        self.ended(trial)
        return True

    def _record(self, trial: str, epoch: Epoch) -> None:
        if epoch.epoch <= self.progress.epochs[trial]:
            self.disk.write(lambda: self.records.keep_epochs(trial, epoch.epoch - 1))
        self.disk.write(lambda: self.records.append(trial, epoch))
        self.progress.advance(self.progress.planned(trial), epoch.epoch)

    def _failed(self, trial: str, report: StepReport) -> None:
        """The attempt ended without a result: try again, or note it."""
        assert report.failure is not None
        wait = self.agenda.fail(trial, report.failure, time.monotonic())
        planned = self.progress.planned(trial)
        reason = report.reason or report.status
        if wait is not None:
            self._end(trial, replace(report, status=Status.INTERRUPTED))
            self.display.lost(planned, reason, wait)
            return
        self._end(trial, report)
        self.ended(trial)
        self.display.failed(planned, reason)
        if self.fail_fast:
            self.failed_fast = True
            self.ending.now.set()

    def _end(self, trial: str, report: StepReport) -> None:
        self._note_end(trial, report)
        self.claims.release(trial)

    def _note_end(self, trial: str, report: StepReport) -> None:
        self.disk.write(
            lambda: self.records.end(trial, report.status, reason=report.reason, traceback=report.traceback)
        )
        epochs = self.records.epochs(trial)
        self.progress.end(self.progress.planned(trial), report.status, epochs[-1].metrics if epochs else {})

    def _changed(self, trial: str) -> None:
        self.writer.update(trial)
        self.display.update()
