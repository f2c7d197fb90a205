"""The durable record of every trial, in `<results>/trials/<hash>/`: what is done, and with which numbers.

`record.json` is replaced atomically, `metrics.jsonl` gains one line per epoch, `checkpoint/` holds what an unfinished
trial goes on from. They are the source of truth; MLflow is filled from them. Standard library only.
"""

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ottt.evalreport import EvalReport
from ottt.files import write_atomic
from ottt.schema import SCHEMA_VERSION, SETTLED, Status

STATE = "checkpoint.pt"  # of a trial's checkpoints the newest; see `ottt.training.checkpoint`, which needs torch


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
        commit, dirty, diff, versions, host: of the code and the machine that ran the sweep, see
            `experiments.results.provenance`.
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
    diff: str | None = None
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
        self.drop_checkpoint(record.trial)
        self._metrics(record.trial).write_bytes(b"")
        (folder / "error.txt").unlink(missing_ok=True)
        self._evaluation(record.trial).unlink(missing_ok=True)
        self._write(record)

    def go_on(self, record: Record) -> None:
        """Start the trial from where an earlier attempt left it, as `record`, but begun when that was."""
        trial = record.trial
        self._rewrite(trial, self.epochs(trial))
        (self.folder / trial / "error.txt").unlink(missing_ok=True)
        self._write(replace(record, started=self._existing(trial).started))

    def branch(self, record: Record, parent: str, epochs: int) -> bool:
        """Start the trial of `record` as one left where `parent` stands, after `epochs`; False: no state is there."""
        state = self.last_state(parent)
        if state is None:
            return False
        self.begin(record)
        folder = self.checkpoint(record.trial)
        folder.mkdir()
        shutil.copyfile(state, folder / STATE)
        self._rewrite(record.trial, self.epochs(parent)[:epochs])
        self.end(record.trial, Status.INTERRUPTED)
        return True

    def append(self, trial: str, epoch: Epoch) -> None:
        """Add one epoch; it is in the file, whole, when this returns.

        Raises:
            OSError: it could not be written; nothing of it is in the file.
        """
        with self._metrics(trial).open("ab", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            line = (json.dumps(asdict(epoch)) + "\n").encode()
            try:
                while line:
                    line = line[file.write(line) :]
            except OSError:
                file.truncate(size)
                raise

    def keep_epochs(self, trial: str, count: int) -> None:
        """Forget the epochs after `count`: the trial went back to a checkpoint."""
        self._rewrite(trial, self.epochs(trial)[:count])

    def keep_evaluation(self, trial: str, report: EvalReport) -> None:
        """Keep what the trial's last network does on test data."""
        self._evaluation(trial).write_text(report.to_json(), encoding="utf-8")

    def evaluation(self, trial: str) -> EvalReport | None:
        """What `keep_evaluation` kept, if anything."""
        try:
            return EvalReport.from_json(self._evaluation(trial).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def checkpoint(self, trial: str) -> Path:
        """Folder of what the trial goes on from."""
        return self.folder / trial / "checkpoint"

    def last_state(self, trial: str) -> Path | None:
        """File of the state at the trial's end; None where it was not kept."""
        file = self.checkpoint(trial) / STATE
        return file if file.is_file() else None

    def drop_checkpoint(self, trial: str) -> None:
        """Remove what the trial could go on from, if anything."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self.checkpoint(trial))

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
        write_atomic(self._record(record.trial), json.dumps(asdict(record), indent=1))

    def _rewrite(self, trial: str, epochs: Iterable[Epoch]) -> None:
        write_atomic(self._metrics(trial), "".join(json.dumps(asdict(epoch)) + "\n" for epoch in epochs))

    def _lines(self, trial: str) -> Iterator[str]:
        try:
            text = self._metrics(trial).read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        whole, _, _torn = text.rpartition("\n")
        yield from whole.splitlines()

    def _record(self, trial: str) -> Path:
        return self.folder / trial / "record.json"

    def _evaluation(self, trial: str) -> Path:
        return self.folder / trial / "evaluation.json"

    def _metrics(self, trial: str) -> Path:
        return self.folder / trial / "metrics.jsonl"
