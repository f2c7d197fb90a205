"""A store read from MLflow's database tables: its client needs a request per run and metric, an object per value."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Select, case, column, create_engine, func, null, select, table
from sqlalchemy.exc import DBAPIError

from analysis.store.addresses import artifact_text, beside, local_path, located
from analysis.store.base import Kind, StoredRun, fingerprint
from analysis.store.points import PointCollector, Points, restored
from analysis.store.sqlite import readable
from analysis.store.uri import unusable
from ottt.schema import Tag

CHUNK = 1000  # rows per fetch: they become arrays before garbage collection has to traverse them
RUNS_PER_STATEMENT = 500

_METRIC = ("run_uuid", "key", "step", "timestamp", "value", "is_nan")
_RUN = ("run_uuid", "name", "start_time", "end_time", "artifact_uri", "experiment_id", "lifecycle_stage")

_experiments = table("experiments", column("experiment_id"), column("name"))
_runs = table("runs", *map(column, _RUN))
_tags = table("tags", column("run_uuid"), column("key"), column("value"))
_params = table("params", column("run_uuid"), column("key"), column("value"))
_metrics = table("metrics", *map(column, _METRIC))
_latest = table("latest_metrics", *map(column, _METRIC))


class SqlStore:
    """A database of MLflow at the SQLAlchemy URL `uri`."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._artifacts = beside(uri)

    def runs(self, kind: Kind, *, sweep: str | None = None, values: bool = True) -> list[StoredRun]:
        """See `Store`."""
        run_ids = _run_ids(kind, sweep)
        with self._connection() as connection:
            tags = _by_run(connection.execute(_keys_and_values(_tags, run_ids)))
            params = _by_run(connection.execute(_keys_and_values(_params, run_ids))) if values else {}
            last = connection.execute(_last_values(run_ids)).all() if values else []
            rows = connection.execute(
                select(*(_runs.c[name] for name in _RUN[:5]))
                .where(_runs.c.run_uuid.in_(run_ids))
                .order_by(_runs.c.start_time, _runs.c.run_uuid)
            ).all()
        metrics: dict[str, dict[str, float]] = defaultdict(dict)
        steps: dict[str, dict[str, int]] = defaultdict(dict)
        for run, key, step, value in last:
            metrics[run][key] = restored(value)
            steps[run][key] = step
        return [
            StoredRun(
                id,
                name,
                started,
                ended,
                located(artifacts, self._artifacts),
                tags[id],
                params.get(id, {}),
                metrics.get(id, {}),
                steps.get(id, {}),
            )
            for id, name, started, ended, artifacts in rows
        ]

    def search(self, query: str) -> list[StoredRun]:
        """See `Store`; MLflow parses its own filter strings."""
        from analysis.store.mlflow_client import ClientStore

        with readable(self._uri) as address:
            return ClientStore(self._uri, address=address).search(query)

    def points(self, runs: Sequence[StoredRun]) -> Points:
        """See `Store`."""
        collector = PointCollector()
        ids = [run.id for run in runs]
        with self._connection() as connection:
            for batch in _batches(ids):
                query = select(*(_metrics.c[name] for name in _METRIC[:4]), _value(_metrics)).where(
                    _metrics.c.run_uuid.in_(batch)
                )
                for rows in _chunks(connection, query):
                    collector.add(*zip(*rows, strict=True))
        return collector.points()

    def fingerprints(self, runs: Sequence[StoredRun]) -> dict[str, str]:
        """See `Store`: the number of points and the last values suffice, as MLflow only ever adds points to a run."""
        ids = [run.id for run in runs]
        counts: dict[str, int] = {}
        last: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        with self._connection() as connection:
            for batch in _batches(ids):
                in_run = _metrics.c.run_uuid
                counted = select(in_run, func.count()).where(in_run.in_(batch)).group_by(in_run)
                counts |= {row[0]: row[1] for row in connection.execute(counted)}
                latest = select(*(_latest.c[name] for name in _METRIC)).where(_latest.c.run_uuid.in_(batch))
                for run, *point in connection.execute(latest):
                    last[run].append(tuple(point))
        return {id: fingerprint(counts.get(id, 0), sorted(last[id])) for id in ids}

    def text(self, run: StoredRun, artifact: str) -> str:
        """See `Store`."""
        folder = local_path(run.artifacts)
        if folder is not None:
            return artifact_text(folder / artifact)
        from analysis.store.mlflow_client import ClientStore

        with readable(self._uri) as address:
            return ClientStore(self._uri, address=address).text(run, artifact)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """A connection for reading.

        Raises:
            UserError: the database does not answer, or is not one of MLflow.
        """
        with readable(self._uri) as address:
            engine = create_engine(address)
            try:
                with engine.connect() as connection:
                    yield connection
            except DBAPIError as error:
                raise unusable(self._uri, error) from error
            finally:
                engine.dispose()


def _run_ids(kind: Kind, sweep: str | None) -> Select[Any]:
    """Query for the ids of the runs of a kind that are not deleted."""
    query = (
        select(_runs.c.run_uuid)
        .join(_tags, _tags.c.run_uuid == _runs.c.run_uuid)
        .where(_runs.c.lifecycle_stage == "active", _tags.c.key == str(Tag.KIND), _tags.c.value == kind)
    )
    if sweep is None:
        return query
    experiment = select(_experiments.c.experiment_id).where(_experiments.c.name == sweep)
    return query.where(_runs.c.experiment_id.in_(experiment))


def _keys_and_values(source: Any, run_ids: Select[Any]) -> Select[Any]:
    return select(source.c.run_uuid, source.c.key, source.c.value).where(source.c.run_uuid.in_(run_ids))


def _last_values(run_ids: Select[Any]) -> Select[Any]:
    columns = (_latest.c.run_uuid, _latest.c.key, _latest.c.step, _value(_latest))
    return select(*columns).where(_latest.c.run_uuid.in_(run_ids))


def _value(source: Any) -> Any:
    return case((source.c.is_nan, null()), else_=source.c.value)


def _chunks(connection: Connection, query: Select[Any]) -> Iterator[Sequence[Any]]:
    """Rows of the database driver: wrapping them in SQLAlchemy's doubles the time to read."""
    cursor = connection.connection.cursor()
    cursor.execute(str(query.compile(connection, compile_kwargs={"literal_binds": True})))
    while rows := cursor.fetchmany(CHUNK):
        yield rows


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + RUNS_PER_STATEMENT] for start in range(0, len(ids), RUNS_PER_STATEMENT))


def _by_run(rows: Iterable[Any]) -> dict[str, dict[str, str]]:
    """By run its values by key."""
    values: dict[str, dict[str, str]] = defaultdict(dict)
    for run, key, value in rows:
        values[run][key] = value
    return values
