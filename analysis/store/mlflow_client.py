"""Reading through MLflow's client: any kind of store, page by page, and a server's histories of many runs at once."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.store.entities import PagedList
from mlflow.tracking import MlflowClient
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from analysis.store.base import Kind, StoredRun, mark
from analysis.store.points import PointCollector, Points, restored
from analysis.store.uri import explained, shown_uri
from ottt.errors import UserError
from ottt.schema import Status, Tag

PAGE = 2000  # runs per request
EXPERIMENTS = 100  # named in one request
BULK = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
BULK_RUNS = 100  # per request at most, as MLflow limits them
BULK_POINTS = 25_000  # per answer; MLflow cuts off the rest and says nothing
REQUESTS = 4  # under way at once

Piece = tuple[Sequence[str], Sequence[str], Sequence[int], Sequence[int], Sequence[float]]  # see `PointCollector.add`


class ClientStore:
    """The store at a tracking URI, with `page` runs per request.

    Raises:
        UserError: MLflow knows no such kind of store.
    """

    def __init__(self, uri: str, *, page: int = PAGE) -> None:
        self._uri = uri
        self._page = page
        try:
            self._client = MlflowClient(tracking_uri=uri)
        except MlflowException as error:
            known = "sqlite:////abs/mlflow.db, postgresql://... or http://..."
            raise UserError(f"store must be {known}, got {shown_uri(uri)}") from error

    def runs(self, kind: Kind, *, sweep: str | None = None, values: bool = True) -> list[StoredRun]:
        """See `Store`; the values come in any case."""
        return self._runs(f"tags.`{Tag.KIND}` = '{kind}'", self._experiments(sweep))

    def search(self, query: str) -> list[StoredRun]:
        """See `Store`."""
        return self._runs(query, self._experiments(None))

    def points(self, runs: Sequence[StoredRun]) -> Points:
        """See `Store`."""
        collector = PointCollector()
        asked = self._bulk(runs) if self._uri.startswith(("http://", "https://")) else self._one_by_one(runs)
        for piece in asked:
            collector.add(*piece)
        return collector.points()

    def marks(self, runs: Sequence[StoredRun]) -> dict[str, str]:
        """See `Store`. The client tells of last values only, which a run that goes on may keep while it gets others."""
        ended = (run for run in runs if run.ended is not None and run.status is not Status.RUNNING)
        return {
            run.id: mark(run.ended, run.status, sorted(run.metrics.items()), sorted(run.steps.items())) for run in ended
        }

    def text(self, run: StoredRun, artifact: str) -> str:
        """See `Store`."""
        with _answering(self._uri), TemporaryDirectory() as folder:
            return Path(self._client.download_artifacts(run.id, artifact, folder)).read_text(encoding="utf-8")

    def _runs(self, query: str, experiments: Sequence[str]) -> list[StoredRun]:
        order = ["attributes.start_time ASC"]
        found: list[StoredRun] = []
        with _answering(self._uri):
            for start in range(0, len(experiments), EXPERIMENTS):
                some = list(experiments[start : start + EXPERIMENTS])
                search = partial(self._client.search_runs, some, query, max_results=self._page, order_by=order)
                found += map(_stored, _paged(search))
        return sorted(found, key=attrgetter("started", "id"))

    def _experiments(self, sweep: str | None) -> list[str]:
        with _answering(self._uri):
            if sweep is not None:
                found = self._client.get_experiment_by_name(sweep)
                return [] if found is None else [found.experiment_id]
            return [experiment.experiment_id for experiment in _paged(self._client.search_experiments)]

    def _one_by_one(self, runs: Sequence[StoredRun]) -> Iterator[Piece]:
        for run in runs:
            for metric in run.metrics:
                yield self._history(run.id, metric)

    def _history(self, run: str, metric: str) -> Piece:
        points = self._client.get_metric_history(run, metric)
        return (
            [run] * len(points),
            [metric] * len(points),
            [point.step for point in points],
            [point.timestamp for point in points],
            [point.value for point in points],
        )

    def _bulk(self, runs: Sequence[StoredRun]) -> Iterator[Piece]:
        metrics = sorted({metric for run in runs for metric in run.metrics})
        having = {metric: [run.id for run in runs if metric in run.metrics] for metric in metrics}
        wanted = [
            (metric, ids[start : start + BULK_RUNS])
            for metric, ids in having.items()
            for start in range(0, len(ids), BULK_RUNS)
        ]
        with _answering(self._uri), ThreadPoolExecutor(REQUESTS) as pool:
            for pieces in pool.map(lambda one: self._complete(*one), wanted):
                yield from pieces

    def _complete(self, metric: str, runs: list[str]) -> list[Piece]:
        """All points of one metric, asked for in halves where an answer may have been cut."""
        answer = http_request(
            get_default_host_creds(self._uri), BULK, "GET", params={"run_id": runs, "metric_key": metric}
        )
        if answer.status_code != 200:
            raise MlflowException(f"{BULK} answered {answer.status_code}: {answer.text[:200]}")
        found = answer.json()["metrics"]
        if len(found) < BULK_POINTS:
            steps, timestamps, values = ([point[key] for point in found] for key in ("step", "timestamp", "value"))
            return [([point["run_id"] for point in found], [metric] * len(found), steps, timestamps, values)]
        if len(runs) == 1:
            return [self._history(runs[0], metric)]
        middle = len(runs) // 2
        return self._complete(metric, runs[:middle]) + self._complete(metric, runs[middle:])


def _stored(run: Run) -> StoredRun:
    info, data = run.info, run.data
    return StoredRun(
        info.run_id,
        info.run_name,
        info.start_time,
        info.end_time,
        info.artifact_uri,
        data.tags,
        data.params,
        {key: restored(value) for key, value in data.metrics.items()},
        {point.key: point.step for point in data.to_proto().metrics},
    )


def _paged(ask: Callable[..., "PagedList[Any]"]) -> Iterator[Any]:
    """Everything that `ask` gives, page after page."""
    token: str | None = None
    while True:
        page = ask(page_token=token)
        yield from page
        token = page.token
        if not token:
            return


@contextmanager
def _answering(uri: str) -> Iterator[None]:
    """Turns what MLflow raises into one line.

    Raises:
        UserError: the store does not answer, refuses, or does not understand.
    """
    try:
        yield
    except MlflowException as error:
        raise UserError(f"store {shown_uri(uri)}: {explained(error)}") from error
