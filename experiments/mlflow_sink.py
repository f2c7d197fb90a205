"""A sweep in MLflow: one parent run, one child run per trial. The only file that writes MLflow.

Writing is reconciling: what the trial's record holds less what its run already has. So it can be repeated at any
time, after a crash too, and never doubles a (metric, step). Not thread-safe: one thread opens, writes and closes.
"""

import json
import logging
import math
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from experiments.plan import Plan, PlannedTrial
from experiments.provenance import Provenance
from experiments.records import Epoch, Record
from ottt.schema import MLFLOW_STATUS, PLAN_ARTIFACT, SCHEMA_VERSION, SPEC_ARTIFACT, Status, Tag

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

MAX_METRICS = 1000  # per request, as MLflow limits them
MAX_PARAMS = 100
PAGE = 10_000  # runs

_TIMED = ("time/", "perf/", "mem/")  # metrics that differ when the same trial is run again

_T = TypeVar("_T")
Point = tuple[str, int]  # metric, step


@dataclass
class _Run:
    """What is known of a run in the store; `points` is None until it is needed."""

    id: str
    name: str
    status: str
    ended: int | None  # ms since 1970
    tags: dict[str, str]
    params: set[str] = field(default_factory=set)
    metrics: set[str] = field(default_factory=set)
    points: dict[Point, float] | None = None


class MlflowSink:
    """The runs of one sweep.

    Args:
        plan: of the sweep.
        spec: its text, kept with the parent run.
        provenance: of this process.
        store: tracking URI.
        artifacts: folder of artifacts beside a local store, which is made if need be; None: the store is elsewhere.
    """

    def __init__(self, plan: Plan, spec: str, provenance: Provenance, *, store: str, artifacts: Path | None) -> None:
        self.plan = plan
        self._spec = spec
        self._provenance = provenance
        self._store = store
        self._artifacts = artifacts

    def connect(self) -> None:
        """Make sure that the store answers; a local one is made. Writes no run."""
        if self._artifacts is not None:
            _make_file(Path(self._store.removeprefix("sqlite:///")))
        self._client = _connect(self._store)
        self._client.get_experiment_by_name(self.plan.name)

    def open(self) -> None:
        """Find or make the experiment, the parent run and its children. Can be repeated after a failure."""
        self._experiment = self._find_experiment()
        parents = self._search(Tag.KIND, "sweep")
        self._parent = parents[0] if parents else self._create(self.plan.name, self._parent_tags(), None)
        self._set_status(self._parent, self._parent_tags(), "RUNNING", None)
        self._client.log_text(self._parent.id, self._spec, SPEC_ARTIFACT)
        self._client.log_text(self._parent.id, json.dumps(self.plan.to_json(), indent=1), PLAN_ARTIFACT)
        self._runs: dict[str, _Run] = {}
        for run in self._search(Tag.KIND, "trial"):  # latest first
            self._runs.setdefault(run.tags.get(Tag.TRIAL, run.id), run)

    def reconcile(self, trial: PlannedTrial, record: Record, epochs: Sequence[Epoch]) -> None:
        """Write what the run of `trial` lacks of its record."""
        name = self.plan.run_name(trial)
        tags = self._tags(trial, record)
        ended = None if record.ended is None else _ms(record.ended)
        run = self._runs.get(trial.trial)
        if run is not None and ended is not None and run.ended == ended and _holds(run.tags, tags):
            return
        if run is not None and self._contradicts(run, record, epochs):
            self._client.delete_run(run.id)
            run = None
        if run is None:
            run = self._create(name, tags, _ms(record.started))
            self._runs[trial.trial] = run
        elif run.name != name:
            self._client.update_run(run.id, name=name)
            run.name = name
        self._add_params(run, record.config)
        self._add_metrics(run, epochs)
        self._set_status(run, tags, MLFLOW_STATUS[record.status], ended)

    def close(self, status: Status) -> None:
        """End the parent run, and whatever child a crash left running."""
        for run in self._runs.values():
            if run.status == "RUNNING":
                tags = run.tags | {Tag.STATUS: Status.INTERRUPTED}
                self._set_status(run, tags, MLFLOW_STATUS[Status.INTERRUPTED], None)
        tags = self._parent_tags() | {Tag.STATUS: status}
        self._set_status(self._parent, tags, MLFLOW_STATUS[status], None)

    def _find_experiment(self) -> str:
        found = self._client.get_experiment_by_name(self.plan.name)
        if found is None:
            location = None if self._artifacts is None else (self._artifacts / self.plan.name).as_uri()
            return str(self._client.create_experiment(self.plan.name, artifact_location=location))
        if found.lifecycle_stage != "active":
            raise ValueError(f"the experiment {self.plan.name} was deleted: restore it, or rename the sweep")
        return str(found.experiment_id)

    def _search(self, tag: Tag, value: str) -> list[_Run]:
        """All runs of the experiment with that tag, latest first."""
        query, order = f"tags.`{tag}` = '{value}'", ["attributes.start_time DESC"]
        found: list[_Run] = []
        token: str | None = None
        while True:
            page = self._client.search_runs(
                [self._experiment], query, max_results=PAGE, order_by=order, page_token=token
            )
            found += map(_known, page)
            token = page.token
            if not token:
                return found

    def _create(self, name: str, tags: Mapping[str, str], started: int | None) -> _Run:
        made = self._client.create_run(self._experiment, start_time=started, tags=dict(tags), run_name=name)
        return _Run(made.info.run_id, name, "RUNNING", None, dict(tags), points={})

    def _contradicts(self, run: _Run, record: Record, epochs: Sequence[Epoch]) -> bool:
        """Whether the run holds numbers of another attempt that are not the record's."""
        last = epochs[-1].epoch if epochs else 0
        if record.settled and any(step > last for _, step in self._points(run)):
            return True
        return any(
            not _same(self._points(run)[point], value)
            for point, value, _ in _points_of(epochs)
            if point in self._points(run) and not point[0].startswith(_TIMED)
        )

    def _points(self, run: _Run) -> dict[Point, float]:
        if run.points is None:
            histories = (self._client.get_metric_history(run.id, key) for key in run.metrics)
            run.points = {(point.key, point.step): point.value for history in histories for point in history}
        return run.points

    def _add_params(self, run: _Run, config: Mapping[str, Any]) -> None:
        """Those of the first attempt stay: MLflow changes none, and all that matters is in the trial's hash."""
        from mlflow.entities import Param

        missing = [Param(key, str(value)) for key, value in config.items() if key not in run.params]
        for batch in _batches(missing, MAX_PARAMS):
            self._client.log_batch(run.id, params=batch)
        run.params |= config.keys()

    def _add_metrics(self, run: _Run, epochs: Iterable[Epoch]) -> None:
        from mlflow.entities import Metric

        points = self._points(run)
        missing = [entry for entry in _points_of(epochs) if entry[0] not in points]
        for batch in _batches(missing, MAX_METRICS):
            metrics = [Metric(key, value, time, step) for (key, step), value, time in batch]
            self._client.log_batch(run.id, metrics=metrics)
            points |= {point: value for point, value, _ in batch}

    def _set_status(self, run: _Run, tags: Mapping[str, str], status: str, ended: int | None) -> None:
        """Tags and status, after everything else: a run that has them is complete."""
        from mlflow.entities import RunTag

        changed = [RunTag(key, value) for key, value in tags.items() if run.tags.get(key) != value]
        if changed:
            self._client.log_batch(run.id, tags=changed)
        if Tag.REASON in run.tags and Tag.REASON not in tags:
            self._client.delete_tag(run.id, Tag.REASON)
        if status == "RUNNING" and run.status != status:
            self._client.update_run(run.id, status=status)
        elif status != "RUNNING":
            self._client.set_terminated(run.id, status, end_time=ended)
        run.tags, run.status, run.ended = dict(tags), status, ended

    def _parent_tags(self) -> dict[str, str]:
        return {
            Tag.SCHEMA: str(SCHEMA_VERSION),
            Tag.KIND: "sweep",
            Tag.SWEEP: self.plan.name,
            Tag.STATUS: Status.RUNNING,
            Tag.COMMIT: self._provenance.commit or "unknown",
            Tag.DIRTY: str(self._provenance.dirty).lower(),
            Tag.VERSIONS: self._provenance.versions,
        }

    def _tags(self, trial: PlannedTrial, record: Record) -> dict[str, str]:
        tags = {
            Tag.SCHEMA: str(record.schema),
            Tag.KIND: "trial",
            Tag.SWEEP: self.plan.name,
            Tag.PARENT: self._parent.id,
            Tag.TRIAL: trial.trial,
            Tag.VARIANT: trial.variant,
            Tag.LABEL: trial.label,
            Tag.SEED: str(trial.seed),
            Tag.STATUS: record.status,
            Tag.REASON: record.reason,
            Tag.COMMIT: record.commit or "unknown",
            Tag.DIRTY: str(record.dirty).lower(),
            Tag.VERSIONS: record.versions,
            Tag.DEVICE: record.device,
            Tag.DATA: record.data_digest,
        }
        return {key: str(value) for key, value in tags.items() if value is not None}


def _connect(store: str) -> "MlflowClient":
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
    from mlflow.tracking import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return MlflowClient(store)


def _make_file(path: Path) -> None:
    """Make a SQLite file that can be read while it is written.

    Raises:
        sqlite3.Error: it cannot be opened; MLflow would try for minutes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _known(run: "Run") -> _Run:
    return _Run(
        run.info.run_id,
        run.info.run_name,
        run.info.status,
        run.info.end_time,
        dict(run.data.tags),
        set(run.data.params),
        set(run.data.metrics),
    )


def _points_of(epochs: Iterable[Epoch]) -> Iterator[tuple[Point, float, int]]:
    """(metric, step), value, time in ms of every metric of every epoch."""
    for epoch in epochs:
        for key, value in epoch.metrics.items():
            yield (key, epoch.epoch), value, _ms(epoch.time)


def _holds(tags: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(tags.get(key) == value for key, value in wanted.items())


def _same(left: float, right: float) -> bool:
    return left == right or (math.isnan(left) and math.isnan(right))


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _batches(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
