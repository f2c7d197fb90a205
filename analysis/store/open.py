"""Opens the store at a tracking URI with the reader that fits it."""

from pathlib import Path

from analysis.store.base import Store
from analysis.store.exported import ExportStore, is_export
from analysis.store.sqlite import sqlite_file
from analysis.store.uri import is_database, set_up_mlflow, unusable
from ottt.errors import UserError


def open_store(uri: str) -> Store:
    """The store at a tracking URI, `sqlite:////abs/mlflow.db`, `postgresql://...`, `http://...`, or an exported sweep.

    Raises:
        UserError: no such file, or one that cannot be read.
    """
    if "://" not in uri and is_export(Path(uri)):
        return ExportStore(Path(uri))
    set_up_mlflow()
    if is_database(uri):
        from analysis.store.sql import SqlStore

        file = sqlite_file(uri)
        try:
            if file is not None and not file.is_file():
                raise UserError(f"store must be an existing MLflow store, got {uri}: no such file")
        except OSError as error:
            raise unusable(uri, error) from error
        return SqlStore(uri)
    from analysis.store.mlflow_client import ClientStore  # loads MLflow, which takes seconds

    return ClientStore(uri)
