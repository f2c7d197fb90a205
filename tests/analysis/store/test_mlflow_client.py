"""Reading from a server gives the same as reading its database, for any page size and value."""

import math
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing

import pandas as pd
import pytest

from analysis import load
from analysis.search import search
from analysis.store import mlflow_client
from analysis.store.mlflow_client import ClientStore
from ottt.errors import UserError
from tests.analysis.synthetic import SyntheticSweep, write
from tests.experiments.servers import TrackingServer, serving

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)

SWEEP = SyntheticSweep("tau", {"neuron.tau": [1.25, 2.0]}, seeds=3, epochs=4, ends={(1, 2): ("running", None, 2)})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    """A server of a sweep with NaN and infinite values, as MLflow stores them."""
    folder = tmp_path_factory.mktemp("store")
    write(SWEEP, folder)
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection, connection:
        for table in ("metrics", "latest_metrics"):
            for seed, (value, is_nan) in enumerate([(sys.float_info.max, 0), (-sys.float_info.max, 0), (0, 1)]):
                connection.execute(
                    f"UPDATE {table} SET value = ?, is_nan = ? WHERE key = 'train/loss' AND step >= 2"
                    " AND run_uuid IN (SELECT run_uuid FROM tags WHERE key = 'ottt.trial' AND value = ?)",
                    (value, is_nan, f"t0000-{seed}"),
                )
        connection.execute("UPDATE params SET value = '' WHERE key = 'neuron.kind'")
    with serving(folder) as running:
        yield running


@pytest.mark.parametrize("page", [1, 4, 2000])
def test_a_server_gives_what_its_database_gives(
    server: TrackingServer, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = f"sqlite:///{server.results / 'mlflow.db'}"
    by_sql = load.runs("tau", store=database), load.history("tau", store=database)
    monkeypatch.setattr(load, "open_store", lambda uri: ClientStore(uri, page=page))
    by_server = load.runs("tau", store=server.uri), load.history("tau", store=server.uri)
    for one, other in zip(by_sql, by_server, strict=True):
        pd.testing.assert_frame_equal(one, other, check_like=True)
    last = by_server[0]["train/loss"].tolist()
    assert last[:3] == pytest.approx([math.inf, -math.inf, math.nan], nan_ok=True)
    assert len(by_server[1]) == by_server[1]["metric"].nunique() * (5 * 4 + 2)


@pytest.mark.parametrize("cut", [mlflow_client.BULK_POINTS, 10, 2])
def test_answers_that_can_be_truncated_are_requested_again(
    server: TrackingServer, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_sql = load.history("tau", store=f"sqlite:///{server.results / 'mlflow.db'}")
    monkeypatch.setattr(mlflow_client, "BULK_POINTS", cut)  # six runs of four epochs: uncut, halved, run by run
    pd.testing.assert_frame_equal(load.history("tau", store=server.uri), by_sql, check_like=True)
    assert len(by_sql) > 0


def test_a_search_finds_the_same_and_is_refused_the_same(server: TrackingServer) -> None:
    database = f"sqlite:///{server.results / 'mlflow.db'}"
    query = 'params."neuron.tau" = "2.0"'
    pd.testing.assert_frame_equal(search(query, store=server.uri), search(query, store=database), check_like=True)
    assert len(search(query, store=server.uri)) == 3
    with pytest.raises(UserError) as by_server:
        search("no condition", store=server.uri)
    assert len(by_server.value.problems) == 1
    assert "\n" not in str(by_server.value)


def test_an_unknown_kind_of_store_is_refused_without_its_password() -> None:
    with pytest.raises(UserError, match=r"store must be sqlite:.* or http://..., got foo://host$"):
        search(store="foo://me:passw0rd@host")


def test_a_proxy_is_not_asked_for_loopback_and_named_where_it_fails(
    server: TrackingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing listens on port 9, so that whatever goes to the proxy fails."""
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert len(load.runs("tau", store=server.uri)) == 6
    with pytest.raises(UserError) as caught:
        load.runs("tau", store="http://mlflow.invalid:5000")
    assert caught.value.problems == (
        "store http://mlflow.invalid:5000: the server does not answer (through the proxy of http_proxy;"
        " to reach the server without it: NO_PROXY=mlflow.invalid)",
    )
