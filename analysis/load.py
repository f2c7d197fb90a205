"""Reading sweeps out of MLflow: the only file of this package that knows the store.

`store` is a tracking URI: `sqlite:////abs/mlflow.db`, `postgresql://...`, `http://...`.
"""

import math
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import sqlalchemy
from mlflow.entities import Run
from mlflow.store.db.db_types import DATABASE_ENGINES
from mlflow.tracking import MlflowClient

from analysis.columns import column
from analysis.planned import Plan, PlannedTrial
from ottt.errors import UserError
from ottt.schema import PLAN_ARTIFACT, SETTLED, Status, Tag

MISSING = "missing"  # status of a planned trial that has no run yet
PAGE = 10_000  # runs per request

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
)
HISTORY_COLUMNS = ("trial", "variant", "seed", "epoch", "metric", "value")

# SQL stores hold the largest float in place of infinity.
_INFINITIES = {sys.float_info.max: math.inf, -sys.float_info.max: -math.inf}

_HISTORY_SQL = sqlalchemy.text(
    "SELECT m.run_uuid AS run_id, m.key AS metric, m.step AS epoch, m.timestamp, m.value, m.is_nan"
    " FROM metrics m JOIN runs r ON r.run_uuid = m.run_uuid"
    " WHERE r.experiment_id = :experiment AND r.lifecycle_stage = 'active'"
)


@dataclass(frozen=True)
class _Sweep:
    plan: Plan
    experiment: str
    runs: Mapping[str, Run]  # by trial


def plan(sweep: str, *, store: str) -> Plan:
    """The current plan of `sweep`.

    Raises:
        UserError: no such store, or no such sweep in it.
    """
    client = _client(store)
    return _plan(client, _parent(client, sweep, store))


def runs(sweep: str, *, store: str, page: int = PAGE) -> pd.DataFrame:
    """One row per trial of the plan, in its order, also for trials that have no run yet (status "missing").

    Columns:
        COLUMNS: `started` in UTC, `duration_s` of ended runs, `epochs_done` the last step of any metric.
        one per setting, by its dotted key, typed; one named like a column above (`seed`, `device`) gives
            way to it. Trials without a run have their axes only.
        one per metric, by its name: its last value, NaN where there is none.

    `attrs` carry `sweep`, `axes` and `baseline` of the plan to `analysis.tables.compare`.

    Raises:
        UserError: no such store, or no such sweep in it.
    """
    found = _load(_client(store), sweep, store, page)
    trials = [(trial, found.runs.get(trial.trial)) for trial in found.plan.trials]
    rows = [_row(trial, run) for trial, run in trials]
    settings = [_settings(trial, run) for trial, run in trials]
    metrics = [{} if run is None else run.data.metrics for _, run in trials]
    columns = {name: column(row[name] for row in rows) for name in COLUMNS}
    columns["started"] = pd.to_datetime(columns["started"], unit="ms", utc=True)
    for key in dict.fromkeys(key for one in settings for key in one):
        columns.setdefault(key, column(one.get(key) for one in settings))
    for name in sorted({name for one in metrics for name in one}):
        values = pd.Series([one.get(name, math.nan) for one in metrics], dtype=float)
        columns[name] = values.replace(_INFINITIES)
    frame = pd.DataFrame(columns)
    frame.attrs = {"sweep": found.plan.name, "axes": list(found.plan.axes), "baseline": found.plan.baseline}
    return frame


def history(sweep: str, *, store: str, page: int = PAGE) -> pd.DataFrame:
    """Every metric at every epoch: HISTORY_COLUMNS, sorted by trial (in the plan's order), metric and epoch.

    Of several values for one epoch the one written last counts.

    Raises:
        UserError: no such store, or no such sweep in it.
    """
    client = _client(store)
    found = _load(client, sweep, store, page)
    points = _points_by_sql(store, found.experiment) if _is_sql(store) else _points_by_client(client, found)
    identity = pd.DataFrame(
        [
            (found.runs[trial.trial].info.run_id, order, trial.trial, trial.variant, trial.seed)
            for order, trial in enumerate(found.plan.trials)
            if trial.trial in found.runs
        ],
        columns=["run_id", "order", "trial", "variant", "seed"],
    )
    points["value"] = points["value"].replace(_INFINITIES)
    long = points.merge(identity, on="run_id").sort_values(["order", "metric", "epoch", "timestamp", "value"])
    long = long.drop_duplicates(["order", "metric", "epoch"], keep="last")
    return long.loc[:, list(HISTORY_COLUMNS)].reset_index(drop=True)


def _client(store: str) -> MlflowClient:
    # MLflow would make the file and its tables: a reader must not.
    if store.startswith("sqlite:") and not Path(sqlalchemy.make_url(store).database or "").is_file():
        raise UserError(f"store must be an existing MLflow store, got {store}: no such file")
    return MlflowClient(tracking_uri=store)


def _load(client: MlflowClient, sweep: str, store: str, page: int) -> _Sweep:
    parent = _parent(client, sweep, store)
    current = _plan(client, parent)
    experiment = parent.info.experiment_id
    planned = {trial.trial for trial in current.trials}
    by_trial: dict[str, list[Run]] = {}
    for run in _search(client, [experiment], f"tags.`{Tag.KIND}` = 'trial'", page):
        trial = run.data.tags[Tag.TRIAL]
        if trial in planned:
            by_trial.setdefault(trial, []).append(run)
    return _Sweep(current, experiment, {trial: _latest(trial, found) for trial, found in by_trial.items()})


def _latest(trial: str, found: list[Run]) -> Run:
    """The run that counts for a trial: of several the settled one that started last."""
    chosen = max(found, key=lambda run: (_status(run) in SETTLED, run.info.start_time, run.info.run_id))
    if len(found) > 1:
        warnings.warn(
            f"trial {trial} has {len(found)} runs; run {chosen.info.run_id} ({_status(chosen)}) counts",
            stacklevel=4,
        )
    return chosen


def _parent(client: MlflowClient, sweep: str, store: str) -> Run:
    of_sweeps = f"tags.`{Tag.KIND}` = 'sweep'"
    experiment = client.get_experiment_by_name(sweep)
    if experiment is not None:
        parents = list(_search(client, [experiment.experiment_id], of_sweeps, PAGE))
        if parents:
            return max(parents, key=lambda run: (run.info.start_time, run.info.run_id))
    every_sweep = _search(client, _experiments(client), of_sweeps, PAGE)
    known = sorted({run.data.tags[Tag.SWEEP] for run in every_sweep})
    there = f"one of {', '.join(known)}" if known else "run first: the store holds none yet"
    raise UserError(f"sweep must be {there}; got {sweep!r} (store {store})")


def _plan(client: MlflowClient, parent: Run) -> Plan:
    # MLflow draws a progress bar on stderr even for this one small file.
    with TemporaryDirectory() as folder, redirect_stderr(StringIO()):
        path = Path(client.download_artifacts(parent.info.run_id, PLAN_ARTIFACT, folder))
        return Plan.from_json(path.read_text(encoding="utf-8"))


def _experiments(client: MlflowClient) -> list[str]:
    ids: list[str] = []
    token: str | None = None
    while True:
        found = client.search_experiments(page_token=token)
        ids += [experiment.experiment_id for experiment in found]
        token = found.token
        if not token:
            return ids


def _search(client: MlflowClient, experiments: list[str], query: str, page: int) -> Iterator[Run]:
    token: str | None = None
    while True:
        found = client.search_runs(experiments, query, max_results=page, page_token=token)
        yield from found
        token = found.token
        if not token:
            return


def _row(trial: PlannedTrial, run: Run | None) -> dict[str, Any]:
    planned = {"trial": trial.trial, "variant": trial.variant, "label": trial.label, "seed": trial.seed}
    if run is None:
        absent = dict.fromkeys(COLUMNS) | {"duration_s": math.nan, "epochs_done": 0, "status": MISSING}
        return absent | planned
    info, tags = run.info, run.data.tags
    return planned | {
        "run_id": info.run_id,
        "status": _status(run).value,
        "reason": tags.get(Tag.REASON),
        "started": info.start_time,
        "duration_s": (info.end_time - info.start_time) / 1000 if info.end_time else math.nan,
        "epochs_done": max((point.step for point in run.data.to_proto().metrics), default=0),
        "commit": tags.get(Tag.COMMIT),
        "device": tags.get(Tag.DEVICE),
    }


def _status(run: Run) -> Status:
    return Status(run.data.tags[Tag.STATUS])


def _settings(trial: PlannedTrial, run: Run | None) -> dict[str, Any]:
    recorded = {} if run is None else {key: _typed(text) for key, text in run.data.params.items()}
    return recorded | dict(trial.settings)


def _typed(text: str) -> bool | int | float | str | None:
    """The value whose `str` is `text`; text that no other value writes stays text."""
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


def _is_sql(store: str) -> bool:
    return store.partition(":")[0].partition("+")[0] in DATABASE_ENGINES


def _points_by_sql(store: str, experiment: str) -> pd.DataFrame:
    engine = sqlalchemy.create_engine(store)
    try:
        with engine.connect() as connection:
            points = pd.read_sql_query(_HISTORY_SQL, connection, params={"experiment": int(experiment)})
    finally:
        engine.dispose()
    return points.assign(value=points["value"].mask(points.pop("is_nan").astype(bool)))


def _points_by_client(client: MlflowClient, found: _Sweep) -> pd.DataFrame:
    points = [
        (run.info.run_id, point.key, point.step, point.timestamp, point.value)
        for run in found.runs.values()
        for name in run.data.metrics
        for point in client.get_metric_history(run.info.run_id, name)
    ]
    return pd.DataFrame(points, columns=["run_id", "metric", "epoch", "timestamp", "value"])
