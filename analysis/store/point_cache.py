"""A cache of metric points in a folder: only runs that are new or have changed are read from the store again.

An entry has two files. `NAME.parquet` holds the points; `NAME.marks` holds a digest of both files, then the
fingerprints that tell whether a run has changed. An entry whose digest does not match is ignored: a file is damaged or
cut short, or another process has replaced one of the two.
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

VERSION = 1  # of the format of the files


@dataclass(frozen=True)
class PointCache:
    """The cached points of one sweep in one store.

    Attributes:
        folder: folder of the cache, created if it is missing; it can be deleted at any time.
        store: tracking URI.
        sweep: name of the sweep.
    """

    folder: Path
    store: str
    sweep: str

    def points(self, source: Store, runs: Sequence[StoredRun]) -> Points:
        """The result of `source.points(runs)`, reading only runs that are new or have changed.

        Raises:
            UserError: the folder cannot be read or written.
        """
        current = source.fingerprints(runs)  # before the points: those logged in between are read again next time
        try:
            cached, fingerprints = self._read()
            unchanged = {run for run, fingerprint in current.items() if fingerprint == fingerprints.get(run)}
            points = cached.of_runs(unchanged)
            if changed := [run for run in runs if run.id not in unchanged]:
                points = points.joined(source.points(changed))
            if current != fingerprints:
                self._write(points.of_runs(current), current)
        except OSError as error:
            problem = error.strerror or first_line(error)
            raise UserError(f"cache must be a folder that can be written, got {self.folder}: {problem}") from error
        return points

    def _read(self) -> tuple[Points, Mapping[str, str]]:
        """Points and fingerprints; none where there is no entry or its digest does not match."""
        empty = PointCollector().points(), dict[str, str]()
        try:
            content = self._file("parquet").read_bytes()
            digest, _, fingerprints = self._file("marks").read_bytes().partition(b"\n")
        except FileNotFoundError:
            return empty
        if digest != _digest(content, fingerprints):
            return empty
        return _points(pd.read_parquet(BytesIO(content))), json.loads(fingerprints)

    def _write(self, points: Points, fingerprints: Mapping[str, str]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        content, listed = _frame(points).to_parquet(index=False), json.dumps(fingerprints).encode()
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
    """The inverse of `_frame`."""
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


def _digest(content: bytes, fingerprints: bytes) -> bytes:
    parts = (str(VERSION).encode(), hashlib.sha256(content).digest(), fingerprints)
    return hashlib.sha256(b"\n".join(parts)).hexdigest().encode()
