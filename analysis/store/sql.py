"""Reading MLflow's tables directly: its client takes a request per run and metric, and an object per value."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection, Select, case, column, create_engine, func, null, select, table
from sqlalchemy.exc import DBAPIError

from analysis.store.base import Kind, StoredRun, mark
from analysis.store.points import PointCollector, Points, restored
from analysis.store.uri import shown_uri
from ottt.errors import UserError, first_line
from ottt.schema import Tag

CHUNK = 1000  # rows fetched at once; they become arrays before the garbage collector takes note of them
NAMED = 500  # runs named in one statement

_METRIC = ("run_uuid", "key", "step", "timestamp", "value", "is_nan")
_RUN = ("run_uuid", "name", "start_time", "end_time", "artifact_uri", "experiment_id", "lifecycle_stage")

_experiments = table("experiments", column("experiment_id"), column("name"))
_runs = table("runs", *map(column, _RUN))
_tags = table("tags", column("run_uuid"), column("key"), column("value"))
_params = table("params", column("run_uuid"), column("key"), column("value"))
_metrics = table("metrics", *map(column, _METRIC))
_latest = table("latest_metrics", *map(column, _METRIC))


class SqlStore:
    """A database that MLflow keeps, at the SQLAlchemy address `uri`."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def runs(self, kind: Kind, *, sweep: str | None = None, values: bool = True) -> list[StoredRun]:
        """See `Store`."""
        chosen = _chosen(kind, sweep)
        with self._connection() as connection:
            tags = _texts(connection.execute(_of(_tags, chosen)))
            params = _texts(connection.execute(_of(_params, chosen))) if values else {}
            last = connection.execute(_last(chosen)).all() if values else []
            rows = connection.execute(
                select(*(_runs.c[name] for name in _RUN[:5]))
                .where(_runs.c.run_uuid.in_(chosen))
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
                artifacts,
                tags[id],
                params.get(id, {}),
                metrics.get(id, {}),
                steps.get(id, {}),
            )
            for id, name, started, ended, artifacts in rows
        ]

    def search(self, query: str) -> list[StoredRun]:
        """See `Store`; MLflow itself reads its filter strings."""
        from analysis.store.mlflow_client import ClientStore

        return ClientStore(self._uri).search(query)

    def points(self, runs: Sequence[StoredRun]) -> Points:
        """See `Store`."""
        collector = PointCollector()
        ids = [run.id for run in runs]
        with self._connection() as connection:
            for some in _portions(ids):
                query = select(*(_metrics.c[name] for name in _METRIC[:4]), _value(_metrics)).where(
                    _metrics.c.run_uuid.in_(some)
                )
                for rows in _chunks(connection, query):
                    collector.add(*zip(*rows, strict=True))
        return collector.points()

    def marks(self, runs: Sequence[StoredRun]) -> dict[str, str]:
        """See `Store`: MLflow only ever adds points to a run, and keeps the last one of each metric by itself."""
        ids = [run.id for run in runs]
        counts: dict[str, int] = {}
        last: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        with self._connection() as connection:
            for some in _portions(ids):
                in_run = _metrics.c.run_uuid
                counted = select(in_run, func.count()).where(in_run.in_(some)).group_by(in_run)
                counts |= {row[0]: row[1] for row in connection.execute(counted)}
                latest = select(*(_latest.c[name] for name in _METRIC)).where(_latest.c.run_uuid.in_(some))
                for run, *point in connection.execute(latest):
                    last[run].append(tuple(point))
        return {id: mark(counts.get(id, 0), sorted(last[id])) for id in ids}

    def text(self, run: StoredRun, artifact: str) -> str:
        """See `Store`."""
        address = urlsplit(run.artifacts)
        if address.scheme in ("", "file"):
            return (Path(unquote(address.path)) / artifact).read_text(encoding="utf-8")
        from analysis.store.mlflow_client import ClientStore

        return ClientStore(self._uri).text(run, artifact)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """A connection for a few reads.

        Raises:
            UserError: the database does not answer, or is not MLflow's.
        """
        engine = create_engine(self._uri)
        try:
            with engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            problem = first_line(error.orig or error)
            raise UserError(f"store must be a database of MLflow, got {shown_uri(self._uri)}: {problem}") from error
        finally:
            engine.dispose()


def _chosen(kind: Kind, sweep: str | None) -> Select[Any]:
    """Ids of the runs of that kind that are not deleted."""
    query = (
        select(_runs.c.run_uuid)
        .join(_tags, _tags.c.run_uuid == _runs.c.run_uuid)
        .where(_runs.c.lifecycle_stage == "active", _tags.c.key == str(Tag.KIND), _tags.c.value == kind)
    )
    if sweep is None:
        return query
    experiment = select(_experiments.c.experiment_id).where(_experiments.c.name == sweep)
    return query.where(_runs.c.experiment_id.in_(experiment))


def _of(source: Any, chosen: Select[Any]) -> Select[Any]:
    return select(source.c.run_uuid, source.c.key, source.c.value).where(source.c.run_uuid.in_(chosen))


def _last(chosen: Select[Any]) -> Select[Any]:
    columns = (_latest.c.run_uuid, _latest.c.key, _latest.c.step, _value(_latest))
    return select(*columns).where(_latest.c.run_uuid.in_(chosen))


def _value(source: Any) -> Any:
    return case((source.c.is_nan, null()), else_=source.c.value)


def _chunks(connection: Connection, query: Select[Any]) -> Iterator[Sequence[Any]]:
    """Rows as the driver has them: SQLAlchemy's own would cost as much again as reading them."""
    cursor = connection.connection.cursor()
    cursor.execute(str(query.compile(connection, compile_kwargs={"literal_binds": True})))
    while rows := cursor.fetchmany(CHUNK):
        yield rows


def _portions(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + NAMED] for start in range(0, len(ids), NAMED))


def _texts(rows: Iterable[Any]) -> dict[str, dict[str, str]]:
    """Keys and values of each run."""
    texts: dict[str, dict[str, str]] = defaultdict(dict)
    for run, key, value in rows:
        texts[run][key] = value
    return texts
