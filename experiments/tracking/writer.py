"""Writes to the tracking store in the background, so that no trial waits for it."""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from analysis.store.uri import explained, is_away, is_damaged
from experiments.planning.plan import SweepPlan, Trial
from experiments.results.trial_records import TrialRecords
from experiments.tracking.redact import redacted
from experiments.tracking.sweep_runs import SweepRuns
from ottt.errors import UserError
from ottt.schema import Status

PERIOD_S = 2.0  # between two writes
ABSENCE_S = 120.0  # how long to wait at the end of a sweep for a server that does not answer


class StoreError(UserError):
    """The tracking store cannot be used; the message is one line."""


class BackgroundWriter:
    """Writes the trial records of a sweep to its runs, in one thread.

    If the store fails, the write is repeated every round; the records keep what could not be written.
    """

    def __init__(self, runs: SweepRuns, records: TrialRecords) -> None:
        self._runs = runs
        self._records = records
        self._plan = runs.plan
        self._trials = _by_hash(runs.plan)
        self._updates: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._unwritten: dict[str, None] = {}  # an ordered set
        self._is_open = False
        self._failure: Exception | None = None
        self._say: Callable[[str], None] | None = None
        self._connected = threading.Event()
        self._permitted = threading.Event()
        self._closing = threading.Event()
        self._wake = threading.Event()  # ends the wait between two writes
        self._is_complete = False  # no trial is left to run
        self._final = Status.INTERRUPTED
        self._thread = threading.Thread(target=self._work, name="mlflow-writer", daemon=True)

    def start(self) -> None:
        """Connect in the background. Nothing is written yet."""
        self._thread.start()

    def begin(self, *, say: Callable[[str], None] | None = None) -> None:
        """Wait for the connection, then start to write.

        Args:
            say: prints a line for the user, from the writer's thread; None: nothing is said.

        Raises:
            StoreError: the connection failed.
        """
        self._say = say
        self._connected.wait()
        if self._failure is not None:
            raise StoreError(
                f"the tracking store cannot be opened: {self._explained(self._failure)}"
            ) from self._failure
        self._permitted.set()

    @property
    def has_begun(self) -> bool:
        """Whether it may write."""
        return self._permitted.is_set()

    def describe(self, files: Mapping[str, str]) -> None:
        """Add artifacts to the parent run; to be called before `begin`."""
        self._runs.files = files

    def extend(self, plan: SweepPlan) -> None:
        """Replace the plan by one with more trials; to be called before their updates."""
        self._trials = _by_hash(plan)
        self._plan = plan

    def update(self, trial: str) -> None:
        """Write the record of `trial`, which has changed."""
        self._updates.put(trial)

    def hurry(self, *, is_complete: bool) -> None:
        """Write now what has changed, instead of at the next round; and the report, if no trial is left to run."""
        self._is_complete = is_complete
        self._wake.set()

    @property
    def link(self) -> str | None:
        """Link to the sweep's view on MLflow's page, once it is known."""
        return self._runs.link

    def close(
        self, status: Status, *, say: Callable[[str], None] | None = None, leave: threading.Event | None = None
    ) -> str | None:
        """Write everything and end the parent run with `status`; returns what went wrong, in one line.

        Before `begin` nothing is written.

        Args:
            status: final status of the sweep.
            say: prints that the writer waits for a store that does not answer; None: it does not wait.
            leave: ends the wait.
        """
        if not self._permitted.is_set():
            return None
        self._final = status
        self._closing.set()
        self._wake.set()
        self._thread.join()
        if self._is_damaged():
            self._round(last=True)
        if say is not None and self._failure is not None and self._is_away():
            reason = self._explained(self._failure)
            say(f"the tracking store: {reason}; waiting {ABSENCE_S:.0f} s for it, Ctrl-C ends the wait")
            self._wait(leave or threading.Event())
        if self._failure is None:
            return None
        return f"the tracking store lacks {len(self._unwritten)} trials: {self._explained(self._failure)}"

    def _explained(self, error: Exception) -> str:
        return redacted(explained(error, self._runs.store))

    def _is_damaged(self) -> bool:
        return self._failure is not None and is_damaged(self._failure)

    def _is_away(self) -> bool:
        return self._failure is not None and is_away(self._failure)

    def _wait(self, leave: threading.Event) -> None:
        """Repeat the last write for some time, in the caller's thread: the writer's has ended."""
        until = time.monotonic() + ABSENCE_S
        while self._is_away() and time.monotonic() < until and not leave.wait(PERIOD_S):
            self._round(last=True)

    def _work(self) -> None:
        try:
            self._runs.connect()
        except Exception as error:
            self._failure = error
        self._connected.set()
        self._permitted.wait()
        while not self._closing.is_set():
            self._round()
            self._wake.wait(PERIOD_S)
            self._wake.clear()
        self._round(last=True)

    def _round(self, *, last: bool = False) -> None:
        """Write what has changed. An error of the store is kept for `close`, and the write is repeated."""
        while not self._updates.empty():
            self._unwritten[self._updates.get()] = None
        try:
            if self._runs.is_lost or self._is_damaged():
                self._begin_again()
            if not self._is_open:
                self._runs.plan = self._plan
                self._runs.open()
                self._is_open = True
            elif self._runs.plan is not self._plan:
                self._runs.extend(self._plan)
            problem = self._write_all()
            if self._is_complete or (last and self._final is not Status.INTERRUPTED):
                self._runs.summarize()
            if last:
                self._runs.close(self._final)
        except Exception as error:
            self._failure = error
            self._is_open = False
        else:
            self._failure = problem

    def _begin_again(self) -> None:
        """Fill a new store from the records in place of one that was deleted, or is damaged.

        Raises:
            UserError: the records were deleted too.
        """
        if not self._records.folder.is_dir():
            raise UserError(_deleted(self._records.folder))
        self._unwritten = dict.fromkeys(trial for trial in self._trials if self._records.read(trial) is not None)
        self._is_open = False
        is_damaged = self._is_damaged()
        self._runs.connect(is_damaged=is_damaged)
        if self._say is not None and not is_damaged:  # else there was a warning
            self._say("note: the tracking store was deleted or replaced: it is filled again from the records")

    def _write_all(self) -> UserError | None:
        """Write every trial that has changed; a record that cannot be read holds back none of the others."""
        problem = None
        for trial in list(self._unwritten):
            try:
                self._write(trial)
            except UserError as error:
                problem = problem or error
            else:
                del self._unwritten[trial]
        return problem

    def _write(self, trial: str) -> None:
        record = self._records.read(trial)
        if record is None:
            raise UserError(self._records.damage(trial) or _deleted(self._records.folder / trial))
        self._runs.reconcile(
            self._trials[trial],
            record,
            self._records.epochs(trial),
            self._records.evaluation(trial),
            self._records.final_checkpoint(trial),
        )


def _deleted(folder: Path) -> str:
    return f"{folder}: must stay while the sweep runs, but it was deleted"


def _by_hash(plan: SweepPlan) -> Mapping[str, Trial]:
    return {trial.trial: trial for trial in plan.trials}
