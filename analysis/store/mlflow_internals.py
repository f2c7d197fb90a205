"""Interfaces of MLflow outside its documented API; no other module of `analysis` uses any.

All were seen in MLflow 3.17. If an upgrade removes one, `tests/analysis/store/test_mlflow_internals.py` names it.

`mlflow.utils.rest_utils.http_request`: sends one request with MLflow's retries and timeouts.
`mlflow.utils.credentials.get_default_host_creds`: address and credentials of a tracking server.
`GET /ajax-api/2.0/mlflow/metrics/get-history-bulk`: the points of one metric in up to 100 runs, at most 25,000.
    Without any of these three, `bulk_history` raises `BulkUnavailable` and histories take one request per run and
    metric through the documented `MlflowClient.get_metric_history`: slower, with the same points.
`mlflow.entities.RunData.to_proto`: the step of each last value, which `RunData.metrics` does not give.
    Without it, servers cannot be read and no store can be searched; sweeps in SQLite and PostgreSQL still load.
`MlflowClient._tracking_client.store.engine`: the SQLAlchemy engine of a client of a database.
    Without it, `database_engine` returns None: connections stay open until the process ends, and what SQLite has in
    its write-ahead log stays beside the database file, so a copy of that file alone can lack the latest values.
`mlflow.tracking._tracking_service.utils._artifact_repos_cache`: where a process found the artifacts of each run id.
    Without it, a process that writes to a folder of results and then to its copy writes artifacts into the first only.
"""

from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.entities import RunData
    from mlflow.tracking import MlflowClient

BULK = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"


class BulkUnavailable(Exception):
    """This MLflow, or that of the server, has no bulk metric history."""


def bulk_history(uri: str, runs: Sequence[str], metric: str) -> list[dict[str, Any]]:
    """Points of one metric in up to 100 runs: `run_id`, `step`, `timestamp` and `value` of each.

    Raises:
        BulkUnavailable: an interface is missing.
        MlflowException: the server does not answer or refuses.
    """
    from mlflow.exceptions import MlflowException

    try:
        from mlflow.utils.credentials import get_default_host_creds
        from mlflow.utils.rest_utils import http_request
    except ImportError as error:
        raise BulkUnavailable(str(error)) from error
    parameters = {"run_id": list(runs), "metric_key": metric}
    answer = http_request(get_default_host_creds(uri), BULK, "GET", params=parameters)
    if answer.status_code == 404:
        raise BulkUnavailable(f"the server has no {BULK}")
    if answer.status_code != 200:
        raise MlflowException(f"{BULK} answered {answer.status_code}: {answer.text[:200]}")
    points: list[dict[str, Any]] = answer.json()["metrics"]
    return points


def last_steps(data: "RunData") -> dict[str, int]:
    """By metric the step of its last value."""
    return {point.key: point.step for point in data.to_proto().metrics}


def database_engine(client: "MlflowClient") -> Any | None:
    """The SQLAlchemy engine of a client of a database; None for other clients, or if MLflow has moved it."""
    found: Any = client
    for name in ("_tracking_client", "store", "engine"):
        found = getattr(found, name, None)
    return found


def forget_addresses() -> None:
    """Forget where the artifacts of runs are: MLflow remembers it by run id, which a copied store shares."""
    with suppress(ImportError, AttributeError):
        import_module("mlflow.tracking._tracking_service.utils")._artifact_repos_cache.clear()
