"""How the trials of a sweep stand while it runs, and what an event changes. Pure bookkeeping: no files, no Ray."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from experiments.planning.plan import SweepPlan, Trial
from experiments.results.trial_records import Epoch, Record
from ottt import schema
from ottt.evalreport import EvalReport
from ottt.schema import WITHOUT_RESULT, Status


@dataclass(frozen=True)
class Attempt:
    """A worker took the trial.

    Attributes:
        record: the trial's new record.
        resumed: epochs of an earlier attempt that this one continues; None: it starts from nothing.
    """

    record: Record
    resumed: Sequence[Epoch] | None = None


@dataclass(frozen=True)
class Fork:
    """The trial takes over what another trial has trained, and waits.

    Attributes:
        record: the trial's new record.
        parent: hash of the other trial.
        epochs: number of its epochs to take over.
    """

    record: Record
    parent: str
    epochs: int


@dataclass(frozen=True)
class End:
    """An attempt ended: for good, or INTERRUPTED, to be resumed later."""

    status: Status
    reason: str | None = None
    traceback: str | None = None


@dataclass(frozen=True)
class Origin:
    """Where, on what and with how many others a trial trains.

    Attributes:
        device, data_digest: its device and data; None where it did not get that far.
        fused: number of trials that trained as one network with it, itself included.
    """

    device: str | None
    data_digest: str | None
    fused: int = 1


@dataclass(frozen=True)
class Change:
    """What one event changes for one trial. `experiments.run.effects` carries it out, in a fixed order.

    Attributes:
        trial: hash of the trial.
        attempt: a worker took it.
        fork: it takes over another trial's state.
        epoch: an epoch that was completed.
        origin: where and on what it trains.
        evaluation: what its final network does on test data.
        end: how the attempt ended.
        drops_checkpoint: whether its checkpoints are of no further use.
        messages: lines for the user.
        releases: whether other sweeps can have the trial from now on.
    """

    trial: str
    attempt: Attempt | None = None
    fork: Fork | None = None
    epoch: Epoch | None = None
    origin: Origin | None = None
    evaluation: EvalReport | None = None
    end: End | None = None
    drops_checkpoint: bool = False
    messages: tuple[str, ...] = ()
    releases: bool = False


@dataclass
class TrialState:
    """How one trial stands.

    Attributes:
        trial: the planned trial.
        is_pending: whether it is to run, or has run, in this run of the sweep.
        status: None for a pending trial before its first attempt, and for one that is neither pending nor recorded.
        has_begun: whether this run made an attempt, or a fork.
        epochs: completed epochs, of a trial that has begun.
        metrics: metrics of the last completed epoch.
        origin: what is noted of the present attempt.
    """

    trial: Trial
    is_pending: bool = False
    status: Status | None = None
    has_begun: bool = False
    epochs: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    origin: Origin | None = None

    @property
    def epochs_behind(self) -> int:
        """Epochs that need not be waited for any more: all of them once it has ended, whatever the reason."""
        is_open = self.status in (None, Status.RUNNING, Status.INTERRUPTED)
        return self.epochs if is_open else self.trial.config.epochs


class SweepState:
    """All trials of a sweep, by hash.

    Attributes:
        plan: the sweep's plan as it is now.
    """

    def __init__(self, plan: SweepPlan) -> None:
        self._trials: dict[str, TrialState] = {}
        self._first_epoch: tuple[float, float] | None = None  # monotonic time of its end, `share` then
        self.extend(plan)

    def extend(self, plan: SweepPlan) -> list[Trial]:
        """Take a plan that has grown; returns the trials that are new."""
        self.plan = plan
        new = [trial for trial in plan.trials if trial.trial not in self._trials]
        self._trials |= {trial.trial: TrialState(trial) for trial in new}
        return new

    def __getitem__(self, trial: str) -> TrialState:
        return self._trials[trial]

    def __contains__(self, trial: object) -> bool:
        return trial in self._trials

    def __iter__(self) -> Iterator[TrialState]:
        return iter(self._trials.values())

    def plan_to_run(self, trial: str) -> None:
        """The trial is to run now."""
        self._trials[trial].is_pending = True

    def adopt(self, trial: str, status: Status, epochs: Iterable[Epoch]) -> None:
        """The trial stands as an earlier run, or another sweep, recorded it."""
        one = self._trials[trial]
        one.status, one.metrics = status, _last_metrics(epochs)

    def apply(self, change: Change) -> None:
        """Note what an event changes."""
        one = self._trials[change.trial]
        if change.attempt is not None:
            resumed = change.attempt.resumed or ()
            one.status, one.has_begun, one.origin = Status.RUNNING, True, None
            one.epochs, one.metrics = len(resumed), _last_metrics(resumed)
        if change.fork is not None:
            one.status, one.has_begun, one.epochs = Status.INTERRUPTED, True, change.fork.epochs
        if change.epoch is not None:
            one.epochs, one.metrics = change.epoch.epoch, change.epoch.metrics
            self._first_epoch = self._first_epoch or (time.monotonic(), self.share)
        one.origin = change.origin or one.origin
        if change.end is not None:
            one.status = change.end.status

    def pending(self) -> list[Trial]:
        """Trials to run now, in the order of the plan, whether they have begun or not."""
        return [one.trial for one in self if one.is_pending]

    def running(self) -> list[str]:
        """Hashes of the trials under way."""
        return [one.trial.trial for one in self if one.status is Status.RUNNING]

    def count(self, *statuses: Status) -> int:
        """Number of trials that have one of `statuses`."""
        return sum(one.status in statuses for one in self)

    @property
    def done(self) -> int:
        """Number of trials that have their result."""
        return self.count(*self.plan.done)

    @property
    def failed(self) -> int:
        """Number of trials that ended without a result, though nobody asked for it."""
        return self.count(*WITHOUT_RESULT)

    @property
    def begun(self) -> int:
        """Number of trials that this run has begun."""
        return sum(one.has_begun for one in self)

    @property
    def best(self) -> tuple[float, Trial] | None:
        """Value and trial of the best last epoch among finished trials, by the plan's metric."""
        metric = self.plan.metric
        finished = [
            (one.metrics[metric], one.trial) for one in self if one.status is Status.FINISHED and metric in one.metrics
        ]
        choose = max if schema.metric(metric).better == "higher" else min
        return choose(finished, key=lambda found: found[0], default=None)

    @property
    def share(self) -> float:
        """Share of the pending trials' epochs that are behind us, in [0, 1]; a failed trial has none ahead."""
        pending = [one for one in self if one.is_pending]
        total = sum(one.trial.config.epochs for one in pending)
        return sum(one.epochs_behind for one in pending) / total if total else 1.0

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the pace since the first epoch, whose start of workers says nothing; None before the second."""
        if self._first_epoch is None:
            return None
        since, before = self._first_epoch
        share = self.share
        return (time.monotonic() - since) * (1 - share) / (share - before) if share > before else None


def _last_metrics(epochs: Iterable[Epoch]) -> Mapping[str, float]:
    found = list(epochs)
    return found[-1].metrics if found else {}
