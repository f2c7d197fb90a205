"""Exported sweeps: a folder of plain files that tables and reports read like a store.

`spec.yaml`, `plan.json` and `origin.json` as text; `runs.csv` and `history.csv`, or gzipped `history.csv.gz`, as the
data frames of `analysis.load`. Numbers are written so that they read back as they were.
"""

import json
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.store.base import MISSING, Kind, StoredRun
from analysis.store.plan import Plan
from analysis.store.points import PointCollector, Points
from ottt.errors import UserError, first_line
from ottt.schema import PLAN_ARTIFACT, SPEC_ARTIFACT, Status, Tag

ORIGIN = "origin.json"  # tags of the sweep that say which code and packages it ran with
RUNS = "runs.csv"
HISTORY = "history.csv"
PACKED = f"{HISTORY}.gz"  # in its place, if there
FILES = (SPEC_ARTIFACT, PLAN_ARTIFACT, ORIGIN, RUNS, HISTORY)

_TAGS = {
    "trial": Tag.TRIAL,
    "variant": Tag.VARIANT,
    "label": Tag.LABEL,
    "seed": Tag.SEED,
    "status": Tag.STATUS,
    "reason": Tag.REASON,
    "commit": Tag.COMMIT,
    "device": Tag.DEVICE,
    "fused": Tag.FUSED,
}
_ORIGIN_TAGS = (Tag.COMMIT, Tag.DIRTY, Tag.VERSIONS)
_LATER = ("fused",)  # columns that the first exports lack
_IDENTITY = ("run_id", "started", "duration_s", "epochs_done", *_TAGS)


def write_export(
    folder: Path, *, plan: Plan, spec: str, origin: Mapping[str, str], runs: pd.DataFrame, history: pd.DataFrame
) -> list[Path]:
    """Write an export into `folder`, which is made.

    Args:
        folder: where to.
        plan: plan of the sweep.
        spec: text of its spec.
        origin: tags of its parent run.
        runs, history: as `analysis.load` gives them.

    Returns:
        The files.

    Raises:
        OSError: nothing can be written there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known = {tag: origin[tag] for tag in _ORIGIN_TAGS if tag in origin}
    (folder / SPEC_ARTIFACT).write_text(spec, encoding="utf-8")
    (folder / PLAN_ARTIFACT).write_text(json.dumps(plan.to_json(), indent=1), encoding="utf-8")
    (folder / ORIGIN).write_text(json.dumps(known, indent=1), encoding="utf-8")
    measured = set(history["metric"])
    settings = {str(name): runs[name].map(str) for name in runs if name not in measured.union(_IDENTITY)}
    runs.assign(**settings).to_csv(folder / RUNS, index=False)
    (folder / PACKED).unlink(missing_ok=True)
    history.to_csv(folder / HISTORY, index=False)
    return [folder / name for name in FILES]


def is_export(folder: Path) -> bool:
    """Whether the folder holds an exported sweep."""
    return all((folder / name).is_file() for name in (PLAN_ARTIFACT, RUNS))


class ExportStore:
    """The store that an export is; see `analysis.store.base.Store`. It holds one sweep.

    Args:
        folder: the export.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def runs(self, kind: Kind, *, sweep: str | None = None, values: bool = True) -> list[StoredRun]:
        """See `Store.runs`."""
        if sweep not in (None, self.sweep):
            return []
        return [self._parent()] if kind == "sweep" else self._trials

    def search(self, query: str) -> list[StoredRun]:
        """See `Store.search`.

        Raises:
            UserError: always: MLflow's filters need a store of MLflow.
        """
        raise UserError(f"{self._folder}: an export cannot be searched; its runs are the rows of {RUNS}")

    def points(self, runs: Sequence[StoredRun]) -> Points:
        """See `Store.points`."""
        ids = {run.tags[Tag.TRIAL]: run.id for run in runs}
        history = self._history[self._history["trial"].isin(ids)]
        collector = PointCollector()
        collector.add(
            [ids[trial] for trial in history["trial"]],
            history["metric"].tolist(),
            history["epoch"].tolist(),
            [0] * len(history),
            history["value"].tolist(),
        )
        return collector.points()

    def fingerprints(self, runs: Sequence[StoredRun]) -> dict[str, str]:
        """See `Store.fingerprints`: files that others may edit tell of nothing."""
        return {}

    def text(self, run: StoredRun, artifact: str) -> str:
        """See `Store.text`."""
        return self._text(artifact)

    @cached_property
    def sweep(self) -> str:
        """Name of the exported sweep."""
        try:
            return Plan.from_json(self._text(PLAN_ARTIFACT)).name
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(PLAN_ARTIFACT, error) from error

    def _parent(self) -> StoredRun:
        try:
            origin = json.loads(self._text(ORIGIN))
            tags = {Tag.SWEEP: self.sweep, Tag.STATUS: Status.FINISHED, **origin}
        except (TypeError, ValueError) as error:
            raise self._damaged(ORIGIN, error) from error
        return StoredRun(self.sweep, self.sweep, 0, 0, str(self._folder), tags)

    @cached_property
    def _trials(self) -> list[StoredRun]:
        table = self._read(RUNS, _IDENTITY)
        measured = set(self._history["metric"])
        settings = [str(name) for name in table if name not in measured.union(_IDENTITY)]
        rows = [row for row in table.to_dict("records") if row["status"] != MISSING]
        try:
            return [self._trial(row, settings, measured) for row in rows]
        except ValueError as error:
            raise self._damaged(RUNS, error) from error

    def _trial(self, row: Mapping[Any, str], settings: Sequence[str], measured: set[str]) -> StoredRun:
        started = pd.Timestamp(row["started"]).value // 10**6
        seconds = _number(row["duration_s"])
        metrics = {name: float(row[name]) for name in measured if row.get(name)}
        tags = {str(tag): row[name] for name, tag in _TAGS.items() if row.get(name)}
        epochs = int(row["epochs_done"])
        return StoredRun(
            id=row["run_id"],
            name=row["label"],
            started=started,
            ended=None if math.isnan(seconds) else started + round(1000 * seconds),
            artifacts=str(self._folder),
            tags=tags | {Tag.SWEEP: self.sweep},
            params={name: row[name] for name in settings},
            metrics=metrics,
            steps=dict.fromkeys(metrics, epochs) or {"": epochs},
        )

    @cached_property
    def _history(self) -> pd.DataFrame:
        name = PACKED if (self._folder / PACKED).is_file() else HISTORY
        table = self._read(name, ("trial", "metric", "epoch", "value"))
        try:
            return table.assign(epoch=table["epoch"].map(int), value=table["value"].map(_number))
        except ValueError as error:
            raise self._damaged(name, error) from error

    def _read(self, name: str, columns: Sequence[str]) -> pd.DataFrame:
        """A table whose cells are text: pandas reads some words as missing values, and some floats inexactly."""
        try:
            table = pd.read_csv(self._folder / name, dtype=str, keep_default_na=False)
        except (OSError, EOFError, ValueError) as error:
            raise self._damaged(name, error) from error
        absent = [column for column in columns if column not in table and column not in _LATER]
        if absent:
            raise UserError(f"{self._folder / name}: must have the columns of an export, but lacks {', '.join(absent)}")
        return table

    def _text(self, name: str) -> str:
        try:
            return (self._folder / name).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise self._damaged(name, error) from error

    def _damaged(self, name: str, error: BaseException) -> UserError:
        return UserError(f"{self._folder / name}: must be a file of an exported sweep: {first_line(error)}")


def _number(text: str) -> float:
    """The float that pandas wrote as `text`."""
    return float(text) if text else math.nan
