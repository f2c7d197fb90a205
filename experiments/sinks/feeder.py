"""Gives one sink the epochs of a sweep's trials, from their records, in a thread of its own."""

import json
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from experiments.results.trial_records import Epoch, Record, TrialRecords
from experiments.sinks.trials import SinkTrials
from experiments.tracking.redact import redacted
from ottt.errors import UserError, command, first_line
from ottt.plugins import described
from ottt.schema import ENDED, Status
from ottt.sinks.registry import SinkKind
from ottt.sinks.sink import TrialSink

PERIOD_S = 1.0  # between two looks at the records
GIVEN = "given.jsonl"  # in the sink's folder: the trials that it has to their end, one a line


@dataclass
class _Open:
    """A trial's sink: how many epochs it was given, and when the last of them was recorded."""

    sink: TrialSink
    count: int = 0
    last: float | None = None

    def is_of(self, epochs: Sequence[Epoch], *, is_over: bool) -> bool:
        """Whether the record still has the epochs that were given; some can be missing while they are trained again."""
        if len(epochs) < self.count:
            return not is_over
        return self.count == 0 or epochs[self.count - 1].time == self.last


class SinkFeeder:
    """Feeds one sink.

    A trial that the sink was given to its end is not given again, by this process or a later one; one that was not is
    given from its first epoch on. What the sink raises costs it the trial, and nothing else.

    Args:
        kind: the sink.
        sweep: name of the sweep.
        folder: the sink's folder.
        records: records of all trials.
        trials: describes the sweep's trials.
        say: prints a line for the user, from the thread.
        anew: give again what an earlier process gave.
    """

    def __init__(
        self,
        kind: SinkKind,
        sweep: str,
        folder: Path,
        records: TrialRecords,
        trials: SinkTrials,
        *,
        say: Callable[[str], None],
        anew: bool = False,
    ) -> None:
        self.name = kind.name
        self.problem: str | None = None
        self._kind = kind
        self._sweep = sweep
        self._records = records
        self._trials = trials
        self._say = say
        self._given = folder / GIVEN
        self._anew = anew
        self._done: dict[str, float] = {}  # when the trials that the sink has to their end ended
        self._open: dict[str, _Open] = {}
        self._given_up: set[str] = set()
        self._updates: queue.SimpleQueue[str | None] = queue.SimpleQueue()  # None: there are no more
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"sink-{kind.name}", daemon=True)

    def start(self) -> None:
        """Begin to feed."""
        self._thread.start()

    def update(self, trial: str) -> None:
        """Give what the record of `trial` has and the sink does not."""
        self._updates.put(trial)

    def end(self) -> None:
        """There are no further updates: once the sink has them all, it is closed."""
        self._ending.set()
        self._updates.put(None)

    @property
    def is_busy(self) -> bool:
        """Whether the thread is at work."""
        return self._thread.is_alive()

    def join(self, seconds: float) -> None:
        """Wait for the thread's end for so long."""
        self._thread.join(seconds)

    def leave(self, why: str) -> None:
        """Say that nobody waits for the sink any longer; it says nothing from now on."""
        self._complain(why)
        self._say = _nothing

    def _work(self) -> None:
        try:
            self._feed_all()
            if self._kind.end is not None:
                self._kind.end()
        except BaseException as error:
            self._complain(_text(error))

    def _feed_all(self) -> None:
        if not self._anew:
            self._done = _read(self._given)
        while changed := self._changed():
            for trial in changed:
                self._guarded(trial, self._feed)
        for trial in list(self._open):
            self._guarded(trial, self._close_as_it_stands)

    def _changed(self) -> list[str]:
        """The trials that have changed, after some time in which they can change again; none: there are no more."""
        if (first := self._updates.get()) is None:
            return []
        self._ending.wait(PERIOD_S)
        changed = {first: None}  # an ordered set
        while not self._updates.empty():
            if (trial := self._updates.get()) is None:
                self._updates.put(None)  # the last one: for the next call
                break
            changed[trial] = None
        return list(changed)

    def _guarded(self, trial: str, step: Callable[[str], None]) -> None:
        """Others' code can raise anything, `SystemExit` included."""
        if trial in self._given_up:
            return
        try:
            step(trial)
        except BaseException as error:
            self._given_up.add(trial)
            opened = self._open.pop(trial, None)
            self._complain(f"trial {trial[:8]}: {_text(error)}")
            if opened is not None:
                with suppress(BaseException):
                    opened.sink.close(Status.INTERRUPTED)

    def _feed(self, trial: str) -> None:
        record = self._records.read(trial)
        if record is None or (record.status in ENDED and self._done.get(trial) == record.ended):
            return
        epochs, is_over = self._records.epochs(trial), record.status in ENDED
        opened = self._open.get(trial)
        if opened is not None and not opened.is_of(epochs, is_over=is_over):
            del self._open[trial]
            opened.sink.close(Status.INTERRUPTED)
            opened = None
        if opened is None:
            opened = self._open[trial] = _Open(self._kind.open(self._trials.describe(self.name, record)))
        for epoch in epochs[opened.count :]:
            opened.sink.log(epoch.epoch, dict(epoch.metrics))
            opened.count, opened.last = epoch.epoch, epoch.time
        if is_over:
            self._close(trial, record)

    def _close(self, trial: str, record: Record) -> None:
        self._open.pop(trial).sink.close(record.status)
        if record.status in ENDED and record.ended is not None:
            self._done[trial] = record.ended
            self._given.parent.mkdir(parents=True, exist_ok=True)
            with self._given.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"trial": trial, "ended": record.ended}) + "\n")

    def _close_as_it_stands(self, trial: str) -> None:
        self._open.pop(trial).sink.close(Status.INTERRUPTED)

    def _complain(self, what: str) -> None:
        """Once: a sink that fails often fails for one reason."""
        if self.problem is None:
            self.problem = redacted(f"sink {self.name}: {what}")
            again = command("sweep", "sync", self._sweep)
            self._say(f"note: {self.problem}; the records have everything, to fill the sink again: {again}")


def _read(given: Path) -> dict[str, float]:
    """When each trial ended that a sink has; a line that a crash cut short is none."""
    done: dict[str, float] = {}
    if given.is_file():
        for line in given.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, KeyError, TypeError):
                entry = json.loads(line)
                done[entry["trial"]] = entry["ended"]
    return done


def _text(error: BaseException) -> str:
    return first_line(error) if isinstance(error, UserError) else described(error)


def _nothing(line: str) -> None:
    """In place of a display that is gone."""
