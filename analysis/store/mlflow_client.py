"""A store read through MLflow's client: any kind of store, page by page; a server's histories in bulk."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from analysis.store.addresses import artifact_text, beside, local_path, located
from analysis.store.base import Kind, StoredRun, fingerprint
from analysis.store.mlflow_internals import BulkUnavailable, bulk_history, last_steps
from analysis.store.points import PointCollector, Points, restored
from analysis.store.sqlite import exact
from analysis.store.uri import explained, shown_uri
from ottt.errors import UserError
from ottt.schema import Status, Tag

PAGE = 2000  # runs per request
EXPERIMENTS = 100  # per request
REQUESTS = 4  # at the same time
BULK_RUNS = 100  # per request, MLflow's limit
BULK_POINTS = 25_000  # per answer, MLflow's limit: it drops the rest without saying so

# Runs, metrics, epochs, timestamps and values of some points: the arguments of `PointCollector.add`.
PointColumns = tuple[Sequence[str], Sequence[str], Sequence[int], Sequence[int], Sequence[float]]


class ClientStore:
    """The store at a tracking URI.

    Args:
        uri: tracking URI.
        page: runs per request.
        address: what `analysis.store.sqlite.readable` gives for a database; None: the tracking URI.

    Raises:
        UserError: MLflow knows no such kind of store.
    """

    def __init__(self, uri: str, *, page: int = PAGE, address: str | None = None) -> None:
        self._uri = uri
        self._page = page
        self._artifacts = beside(uri)
        try:
            self._client = MlflowClient(tracking_uri=address or exact(uri))
        except MlflowException as error:
            known = "sqlite:////abs/mlflow.db, postgresql://... or http://..."
            raise UserError(f"store must be {known}, got {shown_uri(uri)}") from error

    def runs(self, kind: Kind, *, sweep: str | None = None, values: bool = True) -> list[StoredRun]:
        """See `Store`; params and metrics are read in any case."""
        return self._runs(f"tags.`{Tag.KIND}` = '{kind}'", self._experiments(sweep))

    def search(self, query: str) -> list[StoredRun]:
        """See `Store`."""
        return self._runs(query, self._experiments(None))

    def points(self, runs: Sequence[StoredRun]) -> Points:
        """See `Store`."""
        with _errors_in_one_line(self._uri):
            if self._uri.startswith(("http://", "https://")):
                try:
                    return _collected(self._bulk(runs))
                except BulkUnavailable as error:
                    warnings.warn(f"histories are read run by run, which is slow: {error}", stacklevel=2)
            return _collected(self._history(run.id, metric) for run in runs for metric in run.metrics)

    def fingerprints(self, runs: Sequence[StoredRun]) -> dict[str, str]:
        """See `Store`.

        The client gives last values only, which can stay the same while a running trial logs others: only runs that
        have ended have a fingerprint.
        """
        ended = (run for run in runs if run.ended is not None and run.status is not Status.RUNNING)
        return {
            run.id: fingerprint(run.ended, run.status, sorted(run.metrics.items()), sorted(run.steps.items()))
            for run in ended
        }

    def text(self, run: StoredRun, artifact: str) -> str:
        """See `Store`."""
        if self._artifacts is not None and (place := local_path(run.artifacts)) is not None:
            return artifact_text(place / artifact)
        with _errors_in_one_line(self._uri), TemporaryDirectory() as folder:
            return artifact_text(Path(self._client.download_artifacts(run.id, artifact, folder)))

    def _runs(self, query: str, experiments: Sequence[str]) -> list[StoredRun]:
        order = ["attributes.start_time ASC"]
        found: list[StoredRun] = []
        with _errors_in_one_line(self._uri):
            for start in range(0, len(experiments), EXPERIMENTS):
                batch = list(experiments[start : start + EXPERIMENTS])
                search = partial(self._client.search_runs, batch, query, max_results=self._page, order_by=order)
                found += (_stored(run, self._artifacts) for run in _all_pages(search))
        return sorted(found, key=attrgetter("started", "id"))

    def _experiments(self, sweep: str | None) -> list[str]:
        with _errors_in_one_line(self._uri):
            if sweep is not None:
                found = self._client.get_experiment_by_name(sweep)
                return [] if found is None else [found.experiment_id]
            return [experiment.experiment_id for experiment in _all_pages(self._client.search_experiments)]

    def _history(self, run: str, metric: str) -> PointColumns:
        points = self._client.get_metric_history(run, metric)
        return (
            [run] * len(points),
            [metric] * len(points),
            [point.step for point in points],
            [point.timestamp for point in points],
            [point.value for point in points],
        )

    def _bulk(self, runs: Sequence[StoredRun]) -> Iterator[PointColumns]:
        metrics = sorted({metric for run in runs for metric in run.metrics})
        runs_with = {metric: [run.id for run in runs if metric in run.metrics] for metric in metrics}
        requests = [
            (metric, ids[start : start + BULK_RUNS])
            for metric, ids in runs_with.items()
            for start in range(0, len(ids), BULK_RUNS)
        ]
        with ThreadPoolExecutor(REQUESTS) as pool:
            for answers in pool.map(lambda request: self._uncut(*request), requests):
                yield from answers

    def _uncut(self, metric: str, runs: list[str]) -> list[PointColumns]:
        """All points of one metric; where an answer may be cut, each half of the runs is asked for separately."""
        found = bulk_history(self._uri, runs, metric)
        if len(found) < BULK_POINTS:
            steps, timestamps, values = ([point[key] for point in found] for key in ("step", "timestamp", "value"))
            return [([point["run_id"] for point in found], [metric] * len(found), steps, timestamps, values)]
        if len(runs) == 1:
            return [self._history(runs[0], metric)]
        middle = len(runs) // 2
        return self._uncut(metric, runs[:middle]) + self._uncut(metric, runs[middle:])


def _stored(run: Run, folder: Path | None) -> StoredRun:
    info, data = run.info, run.data
    return StoredRun(
        info.run_id,
        info.run_name,
        info.start_time,
        info.end_time,
        located(info.artifact_uri, folder),
        data.tags,
        data.params,
        {key: restored(value) for key, value in data.metrics.items()},
        last_steps(data),
    )


def _collected(batches: Iterable[PointColumns]) -> Points:
    collector = PointCollector()
    for batch in batches:
        collector.add(*batch)
    return collector.points()


def _all_pages(request: Callable[..., Any]) -> Iterator[Any]:
    """The items of all pages of a search of MLflow's client."""
    token: str | None = None
    while True:
        page = request(page_token=token)
        yield from page
        token = page.token
        if not token:
            return


@contextmanager
def _errors_in_one_line(uri: str) -> Iterator[None]:
    """Turns an exception of MLflow into an error of one line.

    Raises:
        UserError: the store does not answer, refuses, or does not understand.
    """
    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        raise UserError(f"store {shown_uri(uri)}: {explained(error, uri)}") from error
