"""Connecting to a tracking store, and disconnecting."""

import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from analysis.store.mlflow_internals import database_engine, forget_addresses
from analysis.store.sqlite import LOGS, SHARED, exact, patience, sqlite_file, sqlite_uri
from analysis.store.uri import set_up_mlflow
from experiments.tracking.addresses import correct_addresses
from ottt.files import locked, replacing

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def connect(store: str) -> "MlflowClient":
    """Connect to the store at a tracking URI, to write.

    A SQLite file is made if need be, and can be read while it is written; artifacts are written beside it.

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
        if not path.exists():
            _make(path)
        with closing(sqlite3.connect(path, timeout=patience(store))) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            correct_addresses(connection, path.parent)
        client = MlflowClient(exact(store))
    disconnect(client)  # MLflow keeps the connections of a client made before, which can be to a file since deleted
    return client


def _make(path: Path) -> None:
    """Make an empty store: a process killed while MLflow creates tables must leave no partial one."""
    from mlflow.tracking import MlflowClient

    for suffix in (*LOGS, SHARED):  # a log that outlived its file would be merged into this one
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
    with TemporaryDirectory() as folder:  # of another name each time: MLflow makes tables once per name and process
        made = Path(folder) / "mlflow.db"
        disconnect(MlflowClient(sqlite_uri(made)))
        with replacing(path) as partial:
            shutil.copyfile(made, partial)


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
