"""The queue of trials. They run in order; failed ones are retried when a retry can help.

Pure bookkeeping: time is an argument. Tune's `max_failures` retries every failure alike, so it is not used.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from experiments.sweep_spec.run_settings import Share
from experiments.worker.step_report import FailureKind
from ottt.config.trial import TrialConfig

FIRST_WAIT_S = 2.0  # before the first retry; every further one waits longer ...
WAIT_FACTOR = 4.0  # ... by this factor
ALONE = ""  # the group of a trial that trains alone


@dataclass(frozen=True)
class Task:
    """A trial to run.

    Attributes:
        trial: hash of the trial.
        config: all its settings.
        share: what it takes of a machine.
        until: number of epochs after which it pauses; None: it trains to its end.
        group: of a trial that has begun, the name of the group with which it trains as one network, or ALONE: it goes
            on as it began. None: it can join any group.
    """

    trial: str
    config: TrialConfig
    share: Share
    until: int | None = None
    group: str | None = None


def _any(task: Task) -> bool:
    return True


@dataclass
class _Attempts:
    task: Task
    failed: int = 0  # attempts that count against the retries
    was_replaced: bool = False  # whether a worker that could not take the trial was replaced


class TaskQueue:
    """The trials of a sweep that have no result yet.

    Args:
        retries: how often a trial whose worker was lost is tried again.
    """

    def __init__(self, *, retries: int) -> None:
        self._ready: deque[Task] = deque()
        self._retries = retries
        self._running: dict[str, _Attempts] = {}
        self._waiting: dict[str, tuple[float, _Attempts]] = {}  # with the time from which on to retry

    def add(self, task: Task) -> None:
        """Append a trial to run."""
        self._ready.append(task)

    @property
    def is_empty(self) -> bool:
        """Whether no trial is running or waiting."""
        return not (self._ready or self._running or self._waiting)

    def holds(self, trial: str) -> bool:
        """Whether the trial is running or waiting."""
        is_ready = any(task.trial == trial for task in self._ready)
        return is_ready or trial in self._running or trial in self._waiting

    def ready(self) -> list[Task]:
        """The trials that were not given out, in order."""
        return list(self._ready)

    def arrange(self, order: Iterable[Task]) -> None:
        """Bring the same trials into another order."""
        self._ready = deque(order)

    def next(self, now: float, *, fits: Callable[[Task], bool] = _any) -> Task | None:
        """The trial to start at time `now` (s); None if none is due, or those that are do not fit."""
        due = [trial for trial, (since, one) in self._waiting.items() if since <= now and fits(one.task)]
        if due:
            _, attempts = self._waiting.pop(due[0])
        elif self._ready and fits(self._ready[0]):
            attempts = _Attempts(self._ready.popleft())
        else:
            return None
        self._running[attempts.task.trial] = attempts
        return attempts.task

    def together(self, tasks: Sequence[Task]) -> list[Task]:
        """Note that the running trials train as one network, or one of them alone; returns them with their group."""
        name = tasks[0].trial if len(tasks) > 1 else ALONE
        found = [replace(task, group=task.group or name) for task in tasks]
        for task in found:
            self._running[task.trial].task = task
        return found

    def group(self, trial: str) -> str | None:
        """The group of the running trial."""
        return self._running[trial].task.group

    def complete(self, trial: str) -> None:
        """The running trial has its result, or was paused."""
        del self._running[trial]

    def postpone(self, trial: str, now: float, *, wait: float) -> None:
        """The trial could not start at time `now`: try again after `wait` seconds."""
        self._waiting[trial] = now + wait, self._running.pop(trial)

    def fail(self, trial: str, failure: FailureKind, now: float) -> float | None:
        """The running trial ended at time `now` without a result.

        Returns:
            Seconds until it is tried again; None: it is not.
        """
        attempts = self._running.pop(trial)
        match failure:
            case FailureKind.ERROR:
                return None
            case FailureKind.PREEMPTED:
                wait = 0.0
            case FailureKind.FUSED:
                attempts.task = replace(attempts.task, group=ALONE)
                wait = 0.0
            case FailureKind.RESET if not attempts.was_replaced:
                attempts.was_replaced = True
                wait = 0.0
            case FailureKind.DEVICE_MEMORY:
                share = attempts.task.share
                if not 0 < share.gpu < 1:
                    return None
                attempts.task = replace(attempts.task, share=replace(share, gpu=1.0))
                wait = 0.0
            case FailureKind.WORKER | FailureKind.RESET:
                if attempts.failed >= self._retries:
                    return None
                wait = FIRST_WAIT_S * WAIT_FACTOR**attempts.failed
                attempts.failed += 1
                attempts.task = replace(attempts.task, group=ALONE)  # if it kills its worker, then no other trial
        self._waiting[trial] = now + wait, attempts
        return wait
