"""Opens the store at a tracking URI with the reader that fits it."""

from analysis.store.base import Store
from analysis.store.uri import is_database, set_up_mlflow, sqlite_file
from ottt.errors import UserError


def open_store(uri: str) -> Store:
    """The store at a tracking URI: `sqlite:////abs/mlflow.db`, `postgresql://...`, `http://...`.

    Raises:
        UserError: no such file.
    """
    set_up_mlflow()
    if is_database(uri):
        from analysis.store.sql import SqlStore

        # SQLite would create the file and MLflow its tables; a reader must not.
        file = sqlite_file(uri)
        if file is not None and not file.is_file():
            raise UserError(f"store must be an existing MLflow store, got {uri}: no such file")
        return SqlStore(uri)
    from analysis.store.mlflow_client import ClientStore  # loads MLflow, which takes seconds

    return ClientStore(uri)
