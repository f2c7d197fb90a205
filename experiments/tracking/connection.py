"""Connecting to a tracking store, and disconnecting."""

import logging
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from analysis.store.mlflow_internals import database_engine, forget_addresses
from analysis.store.uri import set_up_mlflow, sqlite_file
from experiments.tracking.addresses import correct_addresses
from ottt.files import locked

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_SQLITE = "sqlite:///"


def connect(store: str) -> "MlflowClient":
    """Connect to the store at a tracking URI, to write.

    A SQLite file is made if need be, and can be read while it is written; artifacts are written beside it.

    Raises:
        sqlite3.Error: the file cannot be opened; MLflow would retry for minutes.
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
            # A process killed while MLflow creates tables must leave no partial store.
            made = path.with_name(f"{path.name}.new")
            made.unlink(missing_ok=True)
            MlflowClient(f"{_SQLITE}{made}")
            made.replace(path)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            correct_addresses(connection, path.parent)
        return MlflowClient(store)


def disconnect(client: "MlflowClient") -> None:
    """Close the connections to a database: SQLite then merges its log into the file, which can be copied."""
    engine = database_engine(client)  # MLflow itself never closes a client
    if engine is not None:
        engine.dispose()
