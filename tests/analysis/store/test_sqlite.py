"""Tracking URIs of SQLite files, and reading them while others write or where nothing may be written."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from analysis import load
from analysis.search import search
from analysis.store import sqlite
from analysis.store.sqlite import exact, patience, readable, sqlite_file, sqlite_uri
from ottt.errors import UserError
from tests.analysis.synthetic import SyntheticSweep, write

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)
ODD_NAMES = (
    "a b",
    "a%20b",
    "a?b",
    "a#b",
    "ä ö",
    "a&b=c;d",
    "a'b\"c",
    "a\\b",
    "a:b@c",
    "%3F",
    "100%",
    "a+b",
    "[a]",
)
NAMES = ("plain", *ODD_NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_uri_names_exactly_the_file_it_was_made_of(tmp_path: Path, name: str) -> None:
    file = tmp_path / name / "mlflow.db"
    file.parent.mkdir()
    for uri in (sqlite_uri(file), exact(sqlite_uri(file)), sqlite_uri(file, {"timeout": "30"})):
        assert sqlite_file(uri) == file
        with create_engine(uri).connect() as connection:
            connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS t (x)")
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.db")] == [Path(name, "mlflow.db")]
    with readable(sqlite_uri(file)) as address, create_engine(address).connect() as connection:
        assert connection.exec_driver_sql("SELECT name FROM sqlite_master").fetchall() == [("t",)]


def test_a_plain_path_is_a_plain_uri_and_parameters_stay() -> None:
    assert sqlite_uri(Path("/lab/mlflow.db")) == "sqlite:////lab/mlflow.db"
    assert exact("sqlite+pysqlite:////lab/mlflow.db?timeout=30") == "sqlite:////lab/mlflow.db?timeout=30"
    assert sqlite_file("sqlite:////lab/mlflow.db?timeout=30") == Path("/lab/mlflow.db")
    assert sqlite_file("postgresql://host/db") is None
    assert (patience("sqlite:////x.db?timeout=3"), patience("sqlite:////x.db")) == (3.0, 20.0)
    assert make_url("sqlite:////a%2520b").database == "/a%20b"  # else the quoted form would not be needed


@pytest.mark.parametrize(
    "uri", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file:/lab/mlflow.db?uri=true", "sqlite:lab.db"]
)
def test_a_uri_that_names_no_file_is_refused_in_one_line(uri: str) -> None:
    with pytest.raises(UserError, match=r"^store must .*sqlite:////abs/mlflow.db.*got sqlite:") as caught:
        load.runs("s", store=uri)
    assert len(caught.value.problems) == 1


def test_a_timeout_that_is_no_number_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.db").touch()
    with pytest.raises(UserError, match="timeout must be a number of seconds, got 'long'"):
        load.runs("s", store=f"sqlite:///{tmp_path}/m.db?timeout=long")


def test_a_path_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the path of a store must be UTF-8"):
        sqlite_uri(Path(os.fsdecode(bytes(tmp_path) + b"/\xff.db")))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    write(SyntheticSweep("tau", {"neuron.tau": [1.25, 2.0]}, seeds=2, epochs=2), folder)
    return folder / "mlflow.db"


@contextmanager
def exclusively(file: Path) -> Iterator[sqlite3.Connection]:
    """The file, locked against readers too: its journal is not the write-ahead log."""
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as connection:
        assert connection.execute("PRAGMA journal_mode=DELETE").fetchall() == [("delete",)]
        connection.execute("BEGIN EXCLUSIVE")
        yield connection


@pytest.mark.parametrize("query", ["", "tags.`ottt.kind` = 'trial'"])  # read by SQL, and by MLflow
def test_a_reader_waits_for_a_locked_store_and_then_says_so(written: Path, query: str) -> None:
    store = f"sqlite:///{written}?timeout=0.3"
    with exclusively(written), pytest.raises(UserError) as caught:
        search(query, store=store)
    [line] = caught.value.problems
    problem = "the database is locked by another process: end that process, or try again when it is done"
    assert line == f"store {store}: {problem}"


def test_a_reader_that_waited_reads_when_the_lock_is_gone(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "PATIENCE_S", 60.0)
    with exclusively(written) as holder:
        waits = threading.Event()
        probe = sqlite._probe
        monkeypatch.setattr(sqlite, "_probe", lambda *given: (waits.set(), probe(*given)))
        found: list[int] = []
        reader = threading.Thread(target=lambda: found.append(len(load.runs("tau", store=f"sqlite:///{written}"))))
        reader.start()
        assert waits.wait(60)
        assert found == []
        holder.execute("COMMIT")
        reader.join(60)
    assert found == [4]


@pytest.mark.parametrize("content", ["nothing", "log"])
def test_where_nothing_may_be_written_all_that_was_committed_is_read(
    written: Path, tmp_path: Path, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As SQLite refuses it to a user without rights: it cannot make the index of the log (`-shm`)."""
    file = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(written)) as source, closing(sqlite3.connect(file)) as copy:
        source.backup(copy)
    with closing(sqlite3.connect(file)) as holder:
        holder.execute("PRAGMA journal_mode=WAL")
        holder.execute("PRAGMA wal_autocheckpoint=0")
        with holder:
            holder.execute("UPDATE runs SET name = 'from the log' WHERE name = 't0000-0'")
        taken = tmp_path / "taken"
        taken.mkdir()
        for one in ("mlflow.db", *(["mlflow.db-wal"] if content == "log" else [])):
            (taken / one).write_bytes((tmp_path / one).read_bytes())
    probe = sqlite._probe

    def refusing(opened: Path, mode: dict[str, str], timeout: float) -> None:
        if opened.parent == taken and "immutable" not in mode:
            error = sqlite3.OperationalError("unable to open database file")
            error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
            raise error
        probe(opened, mode, timeout)

    monkeypatch.setattr(sqlite, "_probe", refusing)
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.R_OK)
    names = set(search("", store=f"sqlite:///{taken}/mlflow.db")["name"])
    assert ("from the log" in names, "t0000-0" in names) == (content == "log", content == "nothing")
    assert sorted(path.name for path in taken.iterdir())[1:] == (["mlflow.db-wal"] if content == "log" else [])
