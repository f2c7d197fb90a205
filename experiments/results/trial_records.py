"""The durable record of every trial, in `<results>/trials/<hash>/`: its status, settings and metrics.

`record.json` is replaced atomically, `metrics.jsonl` gains one line per epoch, an unfinished trial resumes from
`checkpoint/`. These files are the source of truth; MLflow is filled from them. Standard library only.
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

STATE = "checkpoint.pt"  # newest checkpoint of a trial; see `ottt.training.checkpoint`, which needs torch


@dataclass(frozen=True)
class Record:
    """Everything recorded about a trial except its metrics.

    Attributes:
        trial: hash of the trial's configuration.
        config: every setting by its dotted key.
        sweep: sweep that ran the trial last.
        status: status of the trial.
        reason: why it failed, in one line.
        started, ended: seconds since 1970.
        commit, dirty, diff, code, versions, host: code and machine that ran the sweep, see
            `experiments.results.provenance`.
        device: device that trained the trial.
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
    code: str | None = None
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
    """The records of all trials in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, trial: str) -> Record | None:
        """The record of `trial`; None without one."""
        try:
            stored = json.loads(self._record(trial).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return Record(**stored | {"status": Status(stored["status"])})

    def epochs(self, trial: str) -> list[Epoch]:
        """The trial's epochs in order, without a line that a crash cut short."""
        return [Epoch(**json.loads(line)) for line in self._lines(trial)]

    def begin(self, record: Record) -> None:
        """Start the trial from the beginning and delete what an earlier attempt left."""
        folder = self.folder / record.trial
        folder.mkdir(parents=True, exist_ok=True)
        self.drop_checkpoint(record.trial)
        self._metrics(record.trial).write_bytes(b"")
        (folder / "error.txt").unlink(missing_ok=True)
        self._evaluation(record.trial).unlink(missing_ok=True)
        self._write(record)

    def resume(self, record: Record) -> None:
        """Resume an earlier attempt of the trial: write `record`, keeping the original start time."""
        trial = record.trial
        self._rewrite(trial, self.epochs(trial))
        (self.folder / trial / "error.txt").unlink(missing_ok=True)
        self._write(replace(record, started=self._existing(trial).started))

    def fork(self, record: Record, parent: str, epochs: int) -> bool:
        """Start the trial of `record` from the parent's checkpoint after `epochs`; False if there is no checkpoint."""
        checkpoint = self.final_checkpoint(parent)
        if checkpoint is None:
            return False
        self.begin(record)
        folder = self.checkpoint(record.trial)
        folder.mkdir()
        shutil.copyfile(checkpoint, folder / STATE)
        self._rewrite(record.trial, self.epochs(parent)[:epochs])
        self.end(record.trial, Status.INTERRUPTED)
        return True

    def append(self, trial: str, epoch: Epoch) -> None:
        """Add one epoch; its whole line is in the file when this returns.

        Raises:
            OSError: the line could not be written; no part of it is in the file.
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

    def truncate_epochs(self, trial: str, count: int) -> None:
        """Delete the epochs after `count`: the trial went back to a checkpoint."""
        self._rewrite(trial, self.epochs(trial)[:count])

    def keep_evaluation(self, trial: str, report: EvalReport) -> None:
        """Store the evaluation of the trained network on test data."""
        write_atomic(self._evaluation(trial), report.to_json())

    def evaluation(self, trial: str) -> EvalReport | None:
        """The stored evaluation on test data; None without one."""
        try:
            return EvalReport.from_json(self._evaluation(trial).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def has_evaluation(self, trial: str) -> bool:
        """Whether an evaluation is stored."""
        return self._evaluation(trial).is_file()

    def checkpoint(self, trial: str) -> Path:
        """Folder of the checkpoints from which the trial resumes."""
        return self.folder / trial / "checkpoint"

    def final_checkpoint(self, trial: str) -> Path | None:
        """File of the trial's last checkpoint; None if it was not kept."""
        file = self.checkpoint(trial) / STATE
        return file if file.is_file() else None

    def drop_checkpoint(self, trial: str) -> None:
        """Delete the trial's checkpoints, if any."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self.checkpoint(trial))

    def describe(self, trial: str, *, device: str | None, data_digest: str | None) -> None:
        """Record the device and the data of the trial."""
        self._write(replace(self._existing(trial), device=device, data_digest=data_digest))

    def end(self, trial: str, status: Status, *, reason: str | None = None, traceback: str | None = None) -> None:
        """Record how the trial ended; the traceback goes to `error.txt` beside the record."""
        if traceback is not None:
            (self.folder / trial / "error.txt").write_text(traceback, encoding="utf-8")
        self._write(replace(self._existing(trial), status=status, reason=reason, ended=time.time()))

    def _existing(self, trial: str) -> Record:
        record = self.read(trial)
        assert record is not None, f"trial {trial} has no record"
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
