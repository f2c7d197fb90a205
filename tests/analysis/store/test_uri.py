"""Errors of MLflow and databases in one line."""

import os
import sqlite3

import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import OperationalError

from analysis.store.uri import explained, is_away, set_up_mlflow

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
AWAY = MlflowException("API request failed: Max retries exceeded with url: /api (Caused by ProxyError(...))")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def flushed(driver: Exception) -> MlflowException:
    """What MLflow raises while it flushes a session: SQLAlchemy's text begins with advice on autoflush."""
    inner = OperationalError("INSERT INTO runs", {"name": "x" * 10_000}, driver)
    inner.add_detail("raised as a result of Query-invoked autoflush")
    outer = MlflowException(message=str(inner))
    outer.__cause__ = inner
    return outer


def test_the_reason_is_the_database_drivers() -> None:
    error = flushed(sqlite3.OperationalError("disk I/O error"))
    assert "autoflush" in str(error).splitlines()[0]  # the negative control
    assert explained(error) == "disk I/O error"
    assert not is_away(error)


def test_a_locked_database_is_worth_another_try() -> None:
    error = flushed(sqlite3.OperationalError("database is locked"))
    assert is_away(error)
    assert explained(error).startswith("the database is locked by another process: ")


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_a_proxy_in_between_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert explained(AWAY, "http://mlflow.example:5000") == "the server does not answer"
    monkeypatch.setenv(name, "http://me:passw0rd@proxy.example:3128")
    told = explained(AWAY, "http://mlflow.example:5000")
    assert told == (
        f"the server does not answer (through the proxy of {name}; to reach the server without it:"
        " NO_PROXY=mlflow.example)"
    )
    monkeypatch.setenv("no_proxy", "mlflow.example")
    assert explained(AWAY, "http://mlflow.example:5000") == "the server does not answer"
    assert explained(AWAY, "postgresql://mlflow.other/db") == "the server does not answer"


@pytest.mark.parametrize("given", [None, "lab.example", "*", "localhost"])
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_loopback_is_reached_without_a_proxy(name: str, given: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    from requests.utils import should_bypass_proxies

    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    if given is not None:
        monkeypatch.setenv(name, given)
    else:
        monkeypatch.setenv("no_proxy", "")
    assert should_bypass_proxies("http://127.0.0.1:5000", None) == (given == "*")
    set_up_mlflow()
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert should_bypass_proxies(f"http://{host}:5000", None), host
    assert should_bypass_proxies("http://lab.example", None) == (given in ("*", "lab.example"))
    assert not should_bypass_proxies("http://mlflow.example", None) or given == "*"
    before = dict(os.environ)
    set_up_mlflow()
    assert dict(os.environ) == before
