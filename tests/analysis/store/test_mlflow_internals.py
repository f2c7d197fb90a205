"""Undocumented interfaces of MLflow: each is still there, and without it the fallback gives the same result."""

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from analysis import load
from analysis.store import mlflow_client, mlflow_internals
from tests.analysis.synthetic import SyntheticSweep, write
from tests.experiments.servers import TrackingServer, serving

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)

SWEEP = SyntheticSweep("tau", {"neuron.tau": [1.25, 2.0]}, seeds=2, epochs=3)
GONE = f"is gone from MLflow {mlflow.__version__}: see analysis/store/mlflow_internals.py for what breaks without it"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    folder = tmp_path_factory.mktemp("store")
    write(SWEEP, folder)
    with serving(folder) as running:
        yield running


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> MlflowClient:
    return MlflowClient(f"sqlite:///{tmp_path_factory.mktemp('database') / 'mlflow.db'}")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("mlflow.utils.rest_utils", "http_request"),
        ("mlflow.utils.credentials", "get_default_host_creds"),
        ("mlflow.entities", "RunData.to_proto"),
        ("mlflow.tracking._tracking_service.utils", "_artifact_repos_cache.clear"),
    ],
)
def test_a_name_is_still_in_its_module(module: str, name: str) -> None:
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        pytest.fail(f"{module}.{name} {GONE}")


@pytest.mark.parametrize("path", ["_tracking_client", "_tracking_client.store", "_tracking_client.store.engine"])
def test_an_attribute_of_the_client_is_still_there(database: MlflowClient, path: str) -> None:
    found: Any = database
    for part in path.split("."):
        found = getattr(found, part, None)
    assert found is not None, f"MlflowClient.{path} {GONE}"


def test_the_engine_is_that_of_the_database(database: MlflowClient) -> None:
    engine = mlflow_internals.database_engine(database)
    assert engine is not None
    assert str(engine.url) == database.tracking_uri


@pytest.mark.parametrize("missing", ["_tracking_client", "store", "engine"])
def test_without_an_attribute_there_is_no_engine(missing: str) -> None:
    class Level:
        pass

    client = level = Level()
    for name in ("_tracking_client", "store", "engine"):
        if name == missing:
            break
        setattr(level, name, Level())
        level = getattr(level, name)
    assert mlflow_internals.database_engine(client) is None  # type: ignore[arg-type]


def test_the_server_still_has_the_bulk_history(server: TrackingServer) -> None:
    run = f"{1:016x}{0:016x}"
    try:
        found = mlflow_internals.bulk_history(server.uri, [run], "test/top1")
    except mlflow_internals.BulkUnavailable as error:
        pytest.fail(f"{mlflow_internals.BULK} {GONE} ({error})")
    expected = MlflowClient(server.uri).get_metric_history(run, "test/top1")
    assert [(one["run_id"], one["step"], one["timestamp"], one["value"]) for one in found] == [
        (run, point.step, point.timestamp, point.value) for point in expected
    ]
    assert len(found) == 3


@pytest.mark.parametrize(
    "missing",
    ["mlflow.utils.rest_utils.http_request", "mlflow.utils.credentials.get_default_host_creds", "endpoint"],
)
def test_without_the_bulk_history_the_points_are_the_same(
    server: TrackingServer, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested = []
    history = MlflowClient.get_metric_history

    def noted(self: MlflowClient, run: str, key: str) -> Any:
        requested.append((run, key))
        return history(self, run, key)

    monkeypatch.setattr(mlflow_client.MlflowClient, "get_metric_history", noted)
    in_bulk = load.history("tau", store=server.uri)
    assert requested == []
    if missing == "endpoint":
        monkeypatch.setattr(mlflow_internals, "BULK", "/ajax-api/2.0/mlflow/metrics/no-such-endpoint")
    else:
        module, _, name = missing.rpartition(".")
        without = ModuleType(module)
        vars(without).update({key: value for key, value in vars(sys.modules[module]).items() if key != name})
        monkeypatch.setitem(sys.modules, module, without)  # MLflow itself keeps using its own
    with pytest.warns(UserWarning, match="histories are read run by run, which is slow: .*"):
        one_by_one = load.history("tau", store=server.uri)
    assert len(requested) == len(set(requested)) == 4 * 14
    pd.testing.assert_frame_equal(one_by_one, in_bulk)
