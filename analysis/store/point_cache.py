"""Points of metrics kept in a folder between readings: only what the store has changed since is read again.

An entry is two files. `NAME.parquet` holds the points; `NAME.marks` holds a digest of both, and below it the marks by
which the store tells whether a run has changed. Whatever the digest does not fit counts as nothing: a file that is
damaged or cut short, or one of two that another process has replaced meanwhile.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.store.base import Store, StoredRun
from analysis.store.points import PointCollector, Points
from analysis.store.uri import shown_uri
from ottt.errors import UserError, first_line
from ottt.files import write_atomic

VERSION = 1  # of what the files hold


@dataclass(frozen=True)
class PointCache:
    """The points of one sweep in one store.

    Attributes:
        folder: made if need be; it can be deleted at any time.
        store: tracking URI.
        sweep: its name.
    """

    folder: Path
    store: str
    sweep: str

    def points(self, source: Store, runs: Sequence[StoredRun]) -> Points:
        """What `source.points(runs)` would give, read only for the runs that are new or have changed.

        Raises:
            UserError: the folder cannot be read or written.
        """
        marks = source.marks(runs)  # before the points: what arrives in between is read again the next time
        try:
            kept, known = self._read()
            is_fresh = {run: mark == known.get(run) for run, mark in marks.items()}
            missing = [run for run in runs if not is_fresh.get(run.id, False)]
            points = kept.of([run for run, fresh in is_fresh.items() if fresh])
            if missing:
                points = points.joined(source.points(missing))
            if marks != known:
                self._write(points.of(list(marks)), marks)
        except OSError as error:
            problem = error.strerror or first_line(error)
            raise UserError(f"cache must be a folder that can be written, got {self.folder}: {problem}") from error
        return points

    def _read(self) -> tuple[Points, Mapping[str, str]]:
        """Points and marks as they were written; none where they are not as they were written."""
        nothing = PointCollector().points(), dict[str, str]()
        try:
            content = self._file("parquet").read_bytes()
            digest, _, marks = self._file("marks").read_bytes().partition(b"\n")
        except FileNotFoundError:
            return nothing
        if digest != _digest(content, marks):
            return nothing
        return _points(pd.read_parquet(BytesIO(content))), json.loads(marks)

    def _write(self, points: Points, marks: Mapping[str, str]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        content, listed = _frame(points).to_parquet(index=False), json.dumps(marks).encode()
        write_atomic(self._file("parquet"), content)
        write_atomic(self._file("marks"), _digest(content, listed) + b"\n" + listed)

    def _file(self, suffix: str) -> Path:
        key = hashlib.sha256(json.dumps([shown_uri(self.store), self.sweep]).encode()).hexdigest()[:16]
        return self.folder / f"history-{key}.{suffix}"


def _frame(points: Points) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "run": pd.Categorical.from_codes(points.run, pd.Index(points.runs, dtype=str)),
            "metric": pd.Categorical.from_codes(points.metric, pd.Index(points.metrics, dtype=str)),
            "epoch": points.epoch,
            "timestamp": points.timestamp,
            "value": points.value,
        }
    )


def _points(frame: pd.DataFrame) -> Points:
    """See `_frame`."""
    runs, metrics = frame["run"].cat, frame["metric"].cat
    return Points(
        runs.codes.to_numpy().astype(np.int64),
        metrics.codes.to_numpy().astype(np.int64),
        frame["epoch"].to_numpy(np.int64),
        frame["timestamp"].to_numpy(np.int64),
        frame["value"].to_numpy(np.float64),
        tuple(runs.categories),
        tuple(metrics.categories),
    )


def _digest(content: bytes, marks: bytes) -> bytes:
    parts = (str(VERSION).encode(), hashlib.sha256(content).digest(), marks)
    return hashlib.sha256(b"\n".join(parts)).hexdigest().encode()
