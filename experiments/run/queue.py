"""Which trial runs next: those to do in their order, and failed ones again where that may help.

Pure bookkeeping; time is an argument.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from experiments.spec.run_settings import Share
from experiments.worker.step_report import FailureKind
from ottt.config.trial import TrialConfig

FIRST_WAIT_S = 2.0  # before the first retry; every further one waits longer ...
WAIT_FACTOR = 4.0  # ... by this factor


@dataclass(frozen=True)
class Task:
    """A trial to run.

    Attributes:
        trial: its hash.
        config: all its settings.
        share: what it takes of a machine.
        until: epochs after which it waits for others; None: it trains to its end.
    """

    trial: str
    config: TrialConfig
    share: Share
    until: int | None = None


@dataclass
class _Attempts:
    task: Task
    failed: int = 0  # attempts that count against the retries
    was_replaced: bool = False  # whether a worker that could not take it was


class Agenda:
    """The trials of a sweep that have no result yet.

    Args:
        retries: how often a trial whose worker was lost is tried again.

    Attributes:
        more: called whenever there is none to hand out, to add further ones; False: there will never be any.
    """

    def __init__(self, *, retries: int) -> None:
        self.more: Callable[[], bool] = lambda: False
        self._ready: deque[Task] = deque()
        self._retries = retries
        self._running: dict[str, _Attempts] = {}
        self._waiting: dict[str, tuple[float, _Attempts]] = {}  # time from which on

    def add(self, tasks: Iterable[Task]) -> None:
        """Further trials to run, in that order, after those there are."""
        self._ready.extend(tasks)

    @property
    def finished(self) -> bool:
        """Whether every trial has ended for good."""
        return not (self._ready or self._running or self._waiting)

    def holds(self, trial: str) -> bool:
        """Whether the trial is under way, or waits to be."""
        waits = any(task.trial == trial for task in self._ready)
        return waits or trial in self._running or trial in self._waiting

    def next(self, now: float) -> Task | None:
        """The trial to start at time `now` (s); None where there is none, at present or at all."""
        due = [trial for trial, (since, _) in self._waiting.items() if since <= now]
        if due:
            _, attempts = self._waiting.pop(due[0])
        else:
            while not self._ready and self.more():
                pass
            if not self._ready:
                return None
            attempts = _Attempts(self._ready.popleft())
        self._running[attempts.task.trial] = attempts
        return attempts.task

    def settle(self, trial: str) -> None:
        """The trial has its result, or has been left where it is."""
        del self._running[trial]

    def postpone(self, trial: str, now: float, *, wait: float) -> None:
        """The trial could not be started at time `now`: try again after `wait` seconds."""
        self._waiting[trial] = now + wait, self._running.pop(trial)

    def fail(self, trial: str, cause: FailureKind, now: float) -> float | None:
        """The trial ended at time `now` without a result.

        Returns:
            Seconds until it is tried again, or None: it is not.
        """
        attempts = self._running.pop(trial)
        match cause:
            case FailureKind.ERROR:
                return None
            case FailureKind.PREEMPTED:
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
        self._waiting[trial] = now + wait, attempts
        return wait
