"""Decides: which trial runs next, and what an event of a trial changes. `experiments.run.effects` carries it out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from experiments.interrupt import Ending
from experiments.results.trial_records import Record
from experiments.run.effects import Effects
from experiments.run.grouping import Grouping
from experiments.run.queue import ALONE, Task, TaskQueue
from experiments.run.resume import ResumePolicy
from experiments.run.state import Attempt, Change, End, Fork, Origin, SweepState
from experiments.run.variant_source import ForkTrial, Grow, Retire, Step, Train, VariantSource
from experiments.worker.step_report import FailureKind, StepReport
from ottt.schema import SETTLED, WITHOUT_RESULT, Status

BUSY_WAIT_S = 5.0  # until a trial that another sweep trains is looked at again


@dataclass
class Driver:
    """Follows the trials of a sweep; see `experiments.run.ray_tune.TrialEvents`.

    Attributes:
        state: state of the sweep.
        queue: trials that have no result yet.
        source: where further trials come from.
        resume: which trials resume what an earlier attempt left.
        effects: carries out every change.
        grouping: which trials train as one network.
        ending: set when the sweep should end early.
        gpu: what `resources.gpu` comes to.
        fail_fast: whether the first failed trial ends the sweep.
    """

    state: SweepState
    queue: TaskQueue
    source: VariantSource
    resume: ResumePolicy
    effects: Effects
    grouping: Grouping
    ending: Ending
    gpu: float = 0.0
    fail_fast: bool = False

    @property
    def is_finished(self) -> bool:
        """Whether no trial is running or waiting."""
        return self.queue.is_empty

    @property
    def is_busy(self) -> bool:
        """Whether a trial is under way."""
        return bool(self.state.running())

    def next(self) -> list[Task]:
        """The trials to start now as one network, locked; none if there is none at present, or the disk is full."""
        group: list[Task] = []
        while self.effects.disk.has_room() and (task := self._next_task(group)) is not None:
            if not self.effects.locks.acquire(task.trial):
                self.queue.postpone(task.trial, time.monotonic(), wait=BUSY_WAIT_S)
            elif (record := self.resume.done_elsewhere(task.trial, self.state)) is not None:
                self.queue.complete(task.trial)
                self.effects.adopt(task.trial, record.status)
            elif self.resume.lacks_only_its_end(self.state[task.trial].trial):
                self.queue.complete(task.trial)
                self.effects.apply(self._end_of_a_killed_run(task.trial))
            else:
                group.append(task)
                if len(group) >= self.grouping.size(task):
                    break
        return self.queue.together(group) if group else []

    def _end_of_a_killed_run(self, trial: str) -> Change:
        """The driver that trained the trial was killed after the last write before its end; see `Effects.apply`."""
        self.state.adopt(trial, Status.INTERRUPTED, self.effects.records.epochs(trial))
        drops = not self.effects.spec.checkpoints.keep
        return Change(trial, drops_checkpoint=drops, end=End(Status.FINISHED), releases=True)

    def _next_task(self, group: Sequence[Task]) -> Task | None:
        """The next trial, or the next that can join the group."""
        if group:
            return self.queue.next(time.monotonic(), fits=lambda task: self.grouping.fits(group[0], task))
        while (task := self.queue.next(time.monotonic())) is None and self._supply():
            self.queue.arrange(self.grouping.arranged(self.queue.ready()))
        return task

    def _supply(self) -> bool:
        """Do what the source of variants asks for; False if it asks for nothing."""
        has_asked = False
        for step in self.source.supply():
            has_asked = True
            self._take(step)
        return has_asked

    def _take(self, step: Step) -> None:
        """Do what the source of variants asks for."""
        match step:
            case Grow(plan):
                new = self.state.extend(plan)
                self.effects.grow(plan)
                self.resume.take_stock(self.state, new)
                for trial in new:
                    if self.state[trial.trial].status is not None:
                        self.effects.announce(trial.trial)
            case Train(trial, until):
                share = self.effects.spec.resources.share(trial.settings, gpu=self.gpu)
                group = self.resume.group_left(trial.trial) if self.grouping.bound(share) > 1 else ALONE
                self.queue.add(Task(trial.trial, trial.config, share, until, group))
            case ForkTrial(trial, parent, epochs):
                if self.effects.records.final_checkpoint(parent) is not None:  # else it trains from the beginning
                    self.effects.apply(Change(trial, fork=Fork(self._record(trial), parent, epochs)))
            case Retire(trial, reason):
                end = End(Status.STOPPED_EARLY, reason)
                self.effects.apply(Change(trial, end=end, drops_checkpoint=True))

    def started(self, trial: str) -> None:
        """A worker took the trial."""
        is_fresh = not self.state[trial].has_begun and self.resume.starts_fresh(trial)
        resumed = None if is_fresh else self.effects.records.epochs(trial)
        record = replace(self._record(trial), group=self.queue.group(trial))
        self.effects.apply(Change(trial, attempt=Attempt(record, resumed)))

    def reported(self, trial: str, report: StepReport) -> None:
        """A step ended."""
        known = self.state[trial].origin
        change = Change(
            trial,
            epoch=report.epoch,
            origin=None if known and report.fused <= known.fused else _origin(report),
            messages=() if report.warning is None else (self._about("warning", trial, report.warning),),
        )
        if report.status in WITHOUT_RESULT:
            change = self._failed(change, report)
        elif report.status in SETTLED:
            change = self._settled(change, report)
        elif report.status is Status.INTERRUPTED:
            self.queue.complete(trial)
            change = replace(change, end=_end(report), releases=True)
        self._carry_out(change)

    def crashed(self, trial: str, report: StepReport) -> None:
        """The worker died, or raised outside the trial."""
        if not self.state[trial].has_begun:
            self.started(trial)
        self._carry_out(self._failed(Change(trial), report))

    def _carry_out(self, change: Change) -> None:
        self.effects.apply(change)
        if self.fail_fast and self.state.failed:
            self.ending.now.set()

    def _settled(self, change: Change, report: StepReport) -> Change:
        """The trial has its result."""
        self.queue.complete(change.trial)
        keeps = self.effects.spec.checkpoints.keep and report.status is Status.FINISHED
        return replace(
            change, evaluation=report.evaluation, end=_end(report), drops_checkpoint=not keeps, releases=True
        )

    def _failed(self, change: Change, report: StepReport) -> Change:
        """The attempt ended without a result: the trial is tried again, or has failed for good."""
        assert report.failure is not None
        reason = report.reason or report.status
        wait = self.queue.fail(change.trial, report.failure, time.monotonic())
        if report.failure is FailureKind.FUSED:
            return self._given_back(change, report)
        if wait is None:
            end, message = _end(report), self._about("failed", change.trial, reason)
        else:
            when = f"in {wait:.0f} s" if wait else "now"
            end = replace(_end(report), status=Status.INTERRUPTED)
            message = self._about("lost", change.trial, f"{reason}; again {when}, from its last checkpoint")
        return replace(change, end=end, messages=(*change.messages, message), releases=True)

    def _given_back(self, change: Change, report: StepReport) -> Change:
        """The trial is tried again alone, and others like it are not fused; one of the group has the reason."""
        self.grouping.keep_apart(self.state[change.trial].trial.config)
        messages = () if report.reason is None else (f"note: {report.reason}",)
        end = replace(_end(report), status=Status.INTERRUPTED)
        return replace(change, end=end, messages=(*change.messages, *messages), releases=True)

    def _about(self, kind: str, trial: str, text: str) -> str:
        planned = self.state[trial].trial
        return f"{kind}: {planned.label} seed={planned.seed}: {text}"

    def _record(self, trial: str) -> Record:
        """A record of the trial that begins now, with the code that this process runs."""
        code = self.resume.provenance
        return Record(
            trial,
            self.state[trial].trial.config.flat(),
            self.state.plan.name,
            commit=code.commit,
            dirty=code.dirty,
            diff=code.diff,
            code=code.code,
            versions=code.versions,
            host=code.host,
        )


def _origin(report: StepReport) -> Origin:
    return Origin(report.device, report.data_digest, report.fused)


def _end(report: StepReport) -> End:
    return End(report.status, report.reason, report.traceback)
