"""Connecting to a tracking store, and disconnecting."""

import logging
import shutil
import sqlite3
import warnings
from contextlib import closing, suppress
from importlib.metadata import version
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from analysis.store.mlflow_internals import database_engine, forget_addresses
from analysis.store.sqlite import LOGS, SHARED, exact, patience, sqlite_file, sqlite_uri
from analysis.store.uri import set_up_mlflow
from experiments.tracking.addresses import correct_addresses
from ottt.errors import command, first_line
from ottt.files import locked, replacing
from ottt.user_cache import remembered

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

RECORDS = "trials"  # folder beside a store; see `experiments.results.folder`


class DamagedStoreWarning(UserWarning):
    """A store was damaged, so a new one was made in its place."""


def connect(store: str, *, is_damaged: bool = False) -> "MlflowClient":
    """Connect to the store at a tracking URI, to write.

    A SQLite file is made if need be, and can be read while it is written; artifacts are written beside it. One that is
    damaged and lies beside trial records, from which it can be filled again, is set aside with a `DamagedStoreWarning`.

    Args:
        store: the tracking URI.
        is_damaged: whether it was found damaged in use: not all damage is found by a look at its structure.

    Raises:
        UserError: the tracking URI names no file.
        sqlite3.Error: the file cannot be opened, or stays locked; MLflow would retry for minutes.
    """
    set_up_mlflow()
    from mlflow.tracking import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    forget_addresses()
    path = sqlite_file(store)
    if path is None:
        return MlflowClient(store)
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f"{path.name}.lock")):  # MLflow must not create its tables twice at once
        if path.with_name(RECORDS).is_dir():
            _set_aside_if_damaged(path, patience(store), is_damaged=is_damaged)
        if not path.exists():
            _make(path)
        with closing(sqlite3.connect(path, timeout=patience(store))) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            correct_addresses(connection, path.parent)
        client = MlflowClient(exact(store))
    disconnect(client)  # MLflow keeps the connections of a client made before, which can be to a file since deleted
    return client


def _set_aside_if_damaged(path: Path, wait_s: float, *, is_damaged: bool) -> None:
    """Move a SQLite file that is none, or whose structure is broken, to another name, with all that belongs to it."""
    try:
        problem = _damage(path, wait_s) if path.exists() else None
    except sqlite3.OperationalError:  # it is locked, or cannot be opened: it is said when it is used
        return
    if is_damaged and path.exists():
        problem = problem or "some of its content cannot be read"
    if problem is None:
        return
    names = (path.with_name(f"{path.name}.damaged-{number}") for number in count(1))
    kept = next(name for name in names if not name.exists())
    for suffix in ("", *LOGS, SHARED):
        with suppress(FileNotFoundError):
            path.with_name(f"{path.name}{suffix}").replace(kept.with_name(f"{kept.name}{suffix}"))
    again = command("sweep", "sync", "NAME")
    warnings.warn(
        f"{path} is damaged ({problem}): it is kept as {kept.name}, and a new one is filled from the trial records;"
        f" for other sweeps: {again}",
        DamagedStoreWarning,
        stacklevel=2,
    )


def _damage(path: Path, wait_s: float) -> str | None:
    """What is wrong with a SQLite file, in one line; None if nothing is."""
    with closing(sqlite3.connect(path, timeout=wait_s)) as connection:
        try:
            [(found,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
            connection.execute("SELECT count(*) FROM experiments").fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return "it has none of MLflow's tables"
        except sqlite3.DatabaseError as error:
            return first_line(error)
    return None if found == "ok" else str(found).splitlines()[0]


def _make(path: Path) -> None:
    """Make an empty store: a process killed while MLflow creates tables must leave no partial one."""
    for suffix in (*LOGS, SHARED):  # a log that outlived its file would be merged into this one
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
    name = f"mlflow-{version('mlflow')}.db"
    with remembered(name, _make_tables, is_sound=_is_sound) as empty, replacing(path) as partial:
        shutil.copyfile(empty, partial)


def _make_tables(path: Path) -> None:
    """Make an empty store with MLflow itself, whose migrations take 3 s of processor time."""
    from mlflow.tracking import MlflowClient

    with TemporaryDirectory() as folder:  # of another name each time: MLflow makes tables once per name and process
        made = Path(folder) / "mlflow.db"
        disconnect(MlflowClient(sqlite_uri(made)))
        shutil.copyfile(made, path)


def _is_sound(path: Path) -> bool:
    try:
        return _damage(path, wait_s=0.0) is None
    except sqlite3.Error:
        return False


def identity(store: str) -> tuple[int, int] | None:
    """What tells the SQLite file of a store from one that takes its place; None if it is gone, or for other stores."""
    file = sqlite_file(store)
    try:
        stat = None if file is None else file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return None if stat is None else (stat.st_dev, stat.st_ino)


def disconnect(client: "MlflowClient") -> None:
    """Close the connections to a database: SQLite then merges its log into the file, which can be copied."""
    engine = database_engine(client)  # MLflow itself never closes a client
    if engine is not None:
        engine.dispose()
