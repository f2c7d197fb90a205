"""Reads sweeps from MLflow as data frames: plan, runs and history.

`store` is a tracking URI, `sqlite:////abs/mlflow.db`, `postgresql://...`, `http://...`, or the folder of a sweep that
`ottt sweep export` wrote.
"""

import functools
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.dtypes import column
from analysis.store.base import MISSING, Store, StoredRun, sound
from analysis.store.open import open_store
from analysis.store.plan import Plan, PlannedTrial
from analysis.store.point_cache import PointCache
from analysis.store.uri import shown_uri
from ottt.errors import UserError, command
from ottt.schema import PLAN_ARTIFACT, SETTLED, Tag

COLUMNS = (
    "run_id",
    "trial",
    "variant",
    "label",
    "seed",
    "status",
    "reason",
    "started",
    "duration_s",
    "epochs_done",
    "commit",
    "device",
    "fused",
)
HISTORY_COLUMNS = ("trial", "variant", "seed", "epoch", "metric", "value")


@dataclass(frozen=True)
class _Sweep:
    plan: Plan
    runs: Mapping[str, StoredRun]  # by trial


def plan(sweep: str, *, store: str) -> Plan:
    """The current plan of `sweep`.

    Raises:
        UserError: no such store, or no such sweep in it.
    """
    return _plan(open_store(store), sweep, store)


def runs(sweep: str, *, store: str) -> pd.DataFrame:
    """One row per trial of the plan, in its order, also for trials that have no run yet (status "missing").

    Columns:
        COLUMNS: `started` in UTC; `duration_s` NaN for runs that have not ended; `epochs_done` the highest step.
            `fused`: most trials, itself included, that trained as one network with it at once; 0 without a run.
        one per setting, by its dotted key, typed; left out if a column above has its name (`seed`, `device`). Trials
            without a run have values of the axes only.
        one per metric, by its name: its last value, NaN where there is none.

    `attrs` holds `sweep`, `axes` and `baseline` of the plan, for `analysis.tables.compare`.

    Raises:
        UserError: no such store, or no such sweep in it.
    """
    found = _load(open_store(store), sweep, store, values=True)
    trials = [(trial, found.runs.get(trial.trial)) for trial in found.plan.trials]
    rows = [_row(trial, run) for trial, run in trials]
    settings = [_settings(trial, run) for trial, run in trials]
    metrics = [{} if run is None else run.metrics for _, run in trials]
    made = _frame(rows, settings, metrics)
    made.attrs = {"sweep": found.plan.name, "axes": list(found.plan.axes), "baseline": found.plan.baseline}
    return made


def frame(found: Sequence[StoredRun]) -> pd.DataFrame:
    """One row per run: `name`, `sweep` and the columns of the function `runs`, with the recorded settings.

    Runs that lack a tag which identifies them are left out.
    """
    runs = sound(found, Tag.SWEEP, Tag.TRIAL, Tag.VARIANT, Tag.LABEL, Tag.SEED, Tag.STATUS)
    rows = [_identity(run) | _state(run) for run in runs]
    settings = [{key: typed(text) for key, text in run.params.items()} for run in runs]
    return _frame(rows, settings, [run.metrics for run in runs])


def history(sweep: str, *, store: str, cache: str | Path | None = None) -> pd.DataFrame:
    """Every metric at every epoch: HISTORY_COLUMNS, sorted by trial (in the plan's order), metric and epoch.

    Of several values for one epoch, the one logged last counts.

    Args:
        sweep: name of the sweep.
        store: tracking URI.
        cache: folder in which points are cached as Parquet, so that later calls read new and changed runs only; see
            `analysis.store.point_cache`. Through a server, a point added to an ended run at an earlier epoch goes
            unnoticed; in a database it is noticed.

    Raises:
        UserError: no such store, no such sweep in it, or a `cache` that cannot be written.
    """
    source = open_store(store)
    found = _load(source, sweep, store, values=False)
    trials = [trial for trial in found.plan.trials if trial.trial in found.runs]
    runs_found = [found.runs[trial.trial] for trial in trials]
    ids = [run.id for run in runs_found]
    if cache is None:
        unsorted = source.points(runs_found)
    else:
        unsorted = PointCache(Path(cache), store, sweep).points(source, runs_found)
    points = unsorted.sorted_unique({run: position for position, run in enumerate(ids)})
    by_run = dict(zip(ids, trials, strict=True))
    owners = [by_run[run] for run in points.runs]
    return pd.DataFrame(
        {
            "trial": _text_column([trial.trial for trial in owners], points.run),
            "variant": _text_column([trial.variant for trial in owners], points.run),
            "seed": np.array([trial.seed for trial in owners], dtype=np.int64)[points.run],
            "epoch": points.epoch,
            "metric": _text_column(points.metrics, points.metric),
            "value": points.value,
        }
    )


def _text_column(texts: Sequence[str], indices: NDArray[np.int64]) -> pd.Series:
    return pd.Series(texts, dtype=str).take(indices).reset_index(drop=True)


def _load(source: Store, sweep: str, uri: str, *, values: bool) -> _Sweep:
    current = _plan(source, sweep, uri)
    planned = {trial.trial for trial in current.trials}
    by_trial: dict[str, list[StoredRun]] = {}
    for run in sound(source.runs("trial", sweep=sweep, values=values), Tag.TRIAL, Tag.STATUS):
        trial = run.tags[Tag.TRIAL]
        if trial in planned:
            by_trial.setdefault(trial, []).append(run)
    return _Sweep(current, {trial: _run_that_counts(trial, found) for trial, found in by_trial.items()})


def _run_that_counts(trial: str, found: list[StoredRun]) -> StoredRun:
    """The run that counts for a trial: of several, the settled one that started last."""
    chosen = max(found, key=lambda run: (run.status in SETTLED, run.started, run.id))
    if len(found) > 1:
        warnings.warn(
            f"trial {trial} has {len(found)} runs; run {chosen.id} ({chosen.status}) counts",
            stacklevel=4,
        )
    return chosen


def parent(source: Store, sweep: str, uri: str) -> StoredRun:
    """The parent run of a sweep, which holds its plan.

    Raises:
        UserError: no such sweep.
    """
    parents = source.runs("sweep", sweep=sweep)
    if parents:
        return parents[-1]
    known = sorted({run.tags[Tag.SWEEP] for run in sound(source.runs("sweep", values=False), Tag.SWEEP)})
    choices = f"one of {', '.join(known)}" if known else "run first: the store holds none yet"
    raise UserError(f"sweep must be {choices}; got {sweep!r} (store {shown_uri(uri)})")


def _plan(source: Store, sweep: str, uri: str) -> Plan:
    run = parent(source, sweep, uri)
    try:
        return Plan.from_json(source.text(run, PLAN_ARTIFACT))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        mend = command("sweep", "sync", sweep)
        raise UserError(
            f"{PLAN_ARTIFACT} of run {run.id} ({run.name}) must be the plan of a sweep, got damaged text or none;"
            f" to write it again: {mend}"
        ) from error


def _frame(
    rows: Sequence[Mapping[str, Any]], settings: Sequence[Mapping[str, Any]], metrics: Sequence[Mapping[str, float]]
) -> pd.DataFrame:
    names = list(rows[0]) if rows else list(COLUMNS)
    columns = {name: column(row[name] for row in rows) for name in names}
    columns["started"] = pd.to_datetime(columns["started"], unit="ms", utc=True)
    for key in dict.fromkeys(key for one in settings for key in one):
        columns.setdefault(key, column(one.get(key) for one in settings))
    for name in sorted({name for one in metrics for name in one}):
        columns[name] = pd.Series([one.get(name, math.nan) for one in metrics], dtype=float)
    return pd.DataFrame(columns)


def _row(trial: PlannedTrial, run: StoredRun | None) -> dict[str, Any]:
    planned = {"trial": trial.trial, "variant": trial.variant, "label": trial.label, "seed": trial.seed}
    if run is None:
        absent = dict.fromkeys(COLUMNS) | {"duration_s": math.nan, "epochs_done": 0, "fused": 0, "status": MISSING}
        return absent | planned
    state = _state(run)
    return {name: planned[name] if name in planned else state[name] for name in COLUMNS}


def _identity(run: StoredRun) -> dict[str, Any]:
    """Name, sweep and trial of a run, from its tags."""
    return {
        "name": run.name,
        "sweep": run.tags[Tag.SWEEP],
        "trial": run.tags[Tag.TRIAL],
        "variant": run.tags[Tag.VARIANT],
        "label": run.tags[Tag.LABEL],
        "seed": int(run.tags[Tag.SEED]),
    }


def _state(run: StoredRun) -> dict[str, Any]:
    return {
        "run_id": run.id,
        "status": run.status.value,
        "reason": run.tags.get(Tag.REASON),
        "started": run.started,
        "duration_s": (run.ended - run.started) / 1000 if run.ended else math.nan,
        "epochs_done": run.last_step,
        "commit": run.tags.get(Tag.COMMIT),
        "device": run.tags.get(Tag.DEVICE),
        "fused": _whole(run.tags.get(Tag.FUSED)),
    }


def _whole(text: str | None) -> int:
    """How many trials trained as one network; 1 in runs of earlier versions."""
    return int(text) if text is not None and text.isascii() and text.isdigit() else 1


def _settings(trial: PlannedTrial, run: StoredRun | None) -> dict[str, Any]:
    recorded = {} if run is None else {key: typed(text) for key, text in run.params.items()}
    return recorded | dict(trial.settings)


@functools.cache
def typed(text: str) -> bool | int | float | str | None:
    """The bool, None, int or float whose `str` is `text`; any other text unchanged."""
    words = {"True": True, "False": False, "None": None}
    if text in words:
        return words[text]
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if str(value) == text:
            return value
    return text
