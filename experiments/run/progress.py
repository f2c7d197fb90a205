"""How far a sweep is: pure bookkeeping, shown by `experiments.run.display`."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from experiments.planning.plan import SweepPlan, Trial
from ottt import schema
from ottt.schema import Status


@dataclass
class Progress:
    """The sweep's trials as they come.

    Attributes:
        plan: of the sweep.
        statuses: of the trials that have been begun or were done before, by hash.
        fresh: trials to run now, by hash.
        epochs: completed, of trials that were begun now.
        best: value and trial of the best last epoch among finished trials, by the plan's metric.
        clock: monotonic time of the first epoch's end, and `share` then: starting workers says nothing about the rest.
    """

    plan: SweepPlan
    statuses: dict[str, Status] = field(default_factory=dict)
    fresh: frozenset[str] = frozenset()
    epochs: dict[str, int] = field(default_factory=dict)
    best: tuple[float, Trial] | None = None
    clock: tuple[float, float] | None = None

    _planned: dict[str, Trial] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.extend(self.plan)

    def extend(self, plan: SweepPlan) -> None:
        """The sweep has more trials now."""
        self.plan = plan
        self._planned = {trial.trial: trial for trial in plan.trials}

    def planned(self, trial: str) -> Trial:
        """The trial of that hash."""
        return self._planned[trial]

    def running(self) -> list[str]:
        """Trials under way."""
        return [trial for trial, status in self.statuses.items() if status is Status.RUNNING]

    def begin(self, trial: Trial, epochs: int = 0) -> None:
        """The trial starts now, with `epochs` left from an earlier attempt."""
        self.statuses[trial.trial] = Status.RUNNING
        self.epochs[trial.trial] = epochs

    def inherit(self, trial: Trial, epochs: int) -> None:
        """The trial waits with `epochs` that another one trained."""
        self.statuses[trial.trial] = Status.INTERRUPTED
        self.epochs[trial.trial] = epochs

    def advance(self, trial: Trial, epoch: int) -> None:
        """The trial has completed `epoch` epochs."""
        self.epochs[trial.trial] = epoch
        self.clock = self.clock or (time.monotonic(), self.share)

    def end(self, trial: Trial, status: Status, last: Mapping[str, float]) -> None:
        """The trial ended, now or in an earlier sweep, with the metrics of its last epoch; INTERRUPTED: for now."""
        self.statuses[trial.trial] = status
        value = last.get(self.plan.metric)
        if status is not Status.FINISHED or value is None:
            return
        sign = 1 if schema.metric(self.plan.metric).better == "higher" else -1
        if self.best is None or sign * value > sign * self.best[0]:
            self.best = value, trial

    def count(self, *statuses: Status) -> int:
        """Trials that have one of `statuses`."""
        return sum(status in statuses for status in self.statuses.values())

    @property
    def done(self) -> int:
        """Trials that have their result."""
        return self.count(*self.plan.done)

    @property
    def failed(self) -> int:
        """Trials that ended without a result, through no wish of the user."""
        return self.count(Status.FAILED, Status.OUT_OF_MEMORY)

    @property
    def share(self) -> float:
        """Of the epochs to train now, those that are behind us, in [0, 1]; a failed trial has none left."""
        total = sum(trial.config.epochs for trial in self.plan.trials if trial.trial in self.fresh)
        behind = sum(self._behind(trial) for trial in self.plan.trials if trial.trial in self.fresh)
        return behind / total if total else 1.0

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the pace since the first epoch; None before the second."""
        if self.clock is None:
            return None
        since, before = self.clock
        share = self.share
        return (time.monotonic() - since) * (1 - share) / (share - before) if share > before else None

    def _behind(self, trial: Trial) -> int:
        status = self.statuses.get(trial.trial, Status.RUNNING)
        is_ahead = status in (Status.RUNNING, Status.INTERRUPTED)
        return self.epochs.get(trial.trial, 0) if is_ahead else trial.config.epochs
