"""The durable record of every trial, in `<results>/trials/<hash>/`: what is done, and with which numbers.

`record.json` is replaced atomically, `metrics.jsonl` gains one line per epoch. They are the source of truth; MLflow is
filled from them. Standard library only.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ottt.schema import SCHEMA_VERSION, SETTLED, Status


@dataclass(frozen=True)
class Record:
    """What is known of one trial besides its metrics.

    Attributes:
        trial: hash of its configuration.
        config: every setting by its dotted key.
        sweep: that ran it last.
        status: how it stands.
        reason: one line, why it failed.
        started, ended: seconds since 1970.
        commit, dirty, versions, host: of the code and the machine that ran the sweep.
        device: that trained it.
        data_digest: hash of the data set and its split.
    """

    trial: str
    config: Mapping[str, Any]
    sweep: str
    status: Status = Status.RUNNING
    reason: str | None = None
    started: float = field(default_factory=time.time)
    ended: float | None = None
    commit: str | None = None
    dirty: bool = False
    versions: str = ""
    host: str = ""
    device: str | None = None
    data_digest: str | None = None
    schema: int = SCHEMA_VERSION

    @property
    def settled(self) -> bool:
        """Whether the trial has its result and need not run again."""
        return self.status in SETTLED


@dataclass(frozen=True)
class Epoch:
    """Metrics by name after `epoch` completed epochs; `time` in seconds since 1970."""

    epoch: int
    time: float
    metrics: Mapping[str, float]


class TrialRecords:
    """The records under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, trial: str) -> Record | None:
        """The record of `trial`, or None where there is none."""
        try:
            stored = json.loads(self._record(trial).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return Record(**stored | {"status": Status(stored["status"])})

    def epochs(self, trial: str) -> list[Epoch]:
        """The trial's epochs in order; a line that a crash cut short is left out."""
        return [Epoch(**json.loads(line)) for line in self._lines(trial)]

    def begin(self, record: Record) -> None:
        """Start the trial from nothing, forgetting an earlier attempt."""
        folder = self.folder / record.trial
        folder.mkdir(parents=True, exist_ok=True)
        self._metrics(record.trial).write_bytes(b"")
        (folder / "error.txt").unlink(missing_ok=True)
        self._write(record)

    def append(self, trial: str, epoch: Epoch) -> None:
        """Add one epoch; it is in the file when this returns."""
        with self._metrics(trial).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(epoch)) + "\n")

    def describe(self, trial: str, *, device: str | None, data_digest: str | None) -> None:
        """Note where and on what the trial trains."""
        self._write(replace(self._existing(trial), device=device, data_digest=data_digest))

    def end(self, trial: str, status: Status, *, reason: str | None = None, traceback: str | None = None) -> None:
        """Note how the trial ended; the traceback goes to `error.txt` beside the record."""
        if traceback is not None:
            (self.folder / trial / "error.txt").write_text(traceback, encoding="utf-8")
        self._write(replace(self._existing(trial), status=status, reason=reason, ended=time.time()))

    def _existing(self, trial: str) -> Record:
        record = self.read(trial)
        assert record is not None, f"trial {trial} was not begun"
        return record

    def _write(self, record: Record) -> None:
        path = self._record(record.trial)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")
        temporary.replace(path)

    def _lines(self, trial: str) -> Iterator[str]:
        try:
            text = self._metrics(trial).read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        whole, _, _torn = text.rpartition("\n")
        yield from whole.splitlines()

    def _record(self, trial: str) -> Path:
        return self.folder / trial / "record.json"

    def _metrics(self, trial: str) -> Path:
        return self.folder / trial / "metrics.jsonl"
