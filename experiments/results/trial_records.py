"""The durable record of every trial, in `<results>/trials/<hash>/`: its status, settings and metrics.

`record.json` is replaced atomically, `metrics.jsonl` gains one line per epoch, an unfinished trial resumes from
`checkpoint/`. These files are the source of truth; MLflow is filled from them. A trial with a damaged file counts as
one without a record: it is trained again, and its damaged files are kept under another name.
"""

import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from experiments.results.record import (
    Epoch,
    NewerRecord,
    Record,
    check_evaluation,
    epoch_lines,
    parse_epoch,
    parse_evaluation,
    parse_record,
)
from experiments.results.sealed import seal
from ottt.errors import UserError
from ottt.evalreport import EvalReport
from ottt.files import write_atomic
from ottt.schema import Status

__all__ = ["STATE", "Epoch", "NewerRecord", "Record", "TrialRecords"]

STATE = "checkpoint.pt"  # newest checkpoint of a trial; see `ottt.training.checkpoint`, which needs torch
LOCK = "lock"  # see `experiments.results.trial_locks`


class _Damaged(Exception):
    """A file of a trial cannot be used; the message is one line with its path."""


@dataclass(frozen=True)
class _Files:
    """What the checked files of a trial hold."""

    record: Record
    lines: list[bytes]  # of metrics.jsonl


class TrialRecords:
    """The records of all trials in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def trials(self) -> frozenset[str]:
        """The trials that have a folder."""
        return frozenset(path.name for path in self.folder.iterdir()) if self.folder.is_dir() else frozenset()

    def read(self, trial: str) -> Record | None:
        """The record of `trial`; None without one, and if a file of the trial is damaged.

        Raises:
            NewerRecord: a later version of this software wrote it.
        """
        with suppress(_Damaged):
            files = self._load(trial)
            return None if files is None else files.record
        return None

    def epochs(self, trial: str) -> list[Epoch]:
        """The trial's epochs in order, without a line that a crash cut short; none where `read` gives none."""
        with suppress(_Damaged):
            files = self._load(trial)
            return [] if files is None else [parse_epoch(line) for line in files.lines]
        return []

    def damage(self, trial: str) -> str | None:
        """Which file of `trial` is damaged, and how, in one line; None if all can be used, or if there are none."""
        try:
            self._load(trial)
        except _Damaged as error:
            return str(error)
        return None

    def begin(self, record: Record) -> None:
        """Start the trial from the beginning and delete what an earlier attempt left, unless it is damaged."""
        folder = self.folder / record.trial
        folder.mkdir(parents=True, exist_ok=True)
        if self.damage(record.trial) is not None:
            self._set_aside(record.trial)
        if self._record(record.trial).is_file():  # after a kill further on, the trial is not resumed as it was
            self._write(replace(record, code=None))
        self.drop_checkpoint(record.trial)
        write_atomic(self._metrics(record.trial), b"")
        (folder / "error.txt").unlink(missing_ok=True)
        self._evaluation(record.trial).unlink(missing_ok=True)
        self._write(record)

    def resume(self, record: Record) -> None:
        """Resume an earlier attempt of the trial: write `record`, keeping what holds for all attempts."""
        trial = record.trial
        self._rewrite(trial, self.epochs(trial))
        (self.folder / trial / "error.txt").unlink(missing_ok=True)
        known = self._existing(trial)
        self._write(replace(record, started=known.started, fused=known.fused))

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
            line = epoch.to_line().encode()
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
        write_atomic(self._evaluation(trial), seal(report.to_json()))

    def evaluation(self, trial: str) -> EvalReport | None:
        """The stored evaluation on test data; None without one, and where `read` gives none."""
        if self.damage(trial) is not None or not self.has_evaluation(trial):
            return None
        return parse_evaluation(self._evaluation(trial).read_bytes())

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

    def describe(self, trial: str, *, device: str | None, data_digest: str | None, fused: int = 1) -> None:
        """Record the device and the data of the trial, and how many trained as one network with it."""
        known = self._existing(trial)
        self._write(replace(known, device=device, data_digest=data_digest, fused=max(known.fused, fused)))

    def end(self, trial: str, status: Status, *, reason: str | None = None, traceback: str | None = None) -> None:
        """Record how the trial ended; the traceback goes to `error.txt` beside the record."""
        if traceback is not None:
            (self.folder / trial / "error.txt").write_text(traceback, encoding="utf-8")
        files = self._existing_files(trial)
        self._write(
            replace(
                files.record,
                status=status,
                reason=reason,
                ended=time.time(),
                epochs=len(files.lines),
                has_evaluation=self.has_evaluation(trial),
            )
        )

    def _existing(self, trial: str) -> Record:
        """The record of a trial that this process runs; see `_existing_files`."""
        return self._existing_files(trial).record

    def _existing_files(self, trial: str) -> _Files:
        """The files of a trial that this process runs.

        Raises:
            UserError: one was deleted or damaged meanwhile.
        """
        why = f"{self._record(trial)} is not there"
        try:
            if (files := self._load(trial)) is not None:
                return files
        except _Damaged as error:
            why = str(error)
        raise UserError(f"{why}: it was deleted or changed while the sweep ran")

    def _load(self, trial: str) -> _Files | None:
        """Read and check the trial's files; None without any.

        Raises:
            NewerRecord: a later version wrote them.
            _Damaged: one cannot be used.
        """
        path = self._record(trial)
        try:
            text = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            if self._metrics(trial).is_file() and self._metrics(trial).stat().st_size:
                raise _Damaged(f"{path} is missing") from None
            return None
        try:
            record = parse_record(text, trial)
            path = self._metrics(trial)
            lines = epoch_lines(path.read_bytes() if path.is_file() else b"", record)
            path = self._evaluation(trial)
            if path.is_file():
                check_evaluation(path.read_bytes())
            elif record.has_evaluation:
                raise ValueError("is missing")
        except NewerRecord as error:
            raise NewerRecord(f"{path} {error}") from None
        except ValueError as error:
            raise _Damaged(f"{path} {error}") from None
        return _Files(record, lines)

    def _set_aside(self, trial: str) -> None:
        """Move the trial's files, but for its lock, into a folder of another name."""
        names = (self.folder / f"{trial}.damaged-{number}" for number in count(1))
        kept = next(path for path in names if not path.exists())
        kept.mkdir()
        for path in (self.folder / trial).iterdir():
            if path.name != LOCK:
                path.replace(kept / path.name)

    def _write(self, record: Record) -> None:
        write_atomic(self._record(record.trial), record.to_text())

    def _rewrite(self, trial: str, epochs: Iterable[Epoch]) -> None:
        write_atomic(self._metrics(trial), "".join(epoch.to_line() for epoch in epochs))

    def _record(self, trial: str) -> Path:
        return self.folder / trial / "record.json"

    def _evaluation(self, trial: str) -> Path:
        return self.folder / trial / "evaluation.json"

    def _metrics(self, trial: str) -> Path:
        return self.folder / trial / "metrics.jsonl"
