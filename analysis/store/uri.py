"""Tracking URIs, MLflow's settings, and its errors in one line. Standard library only."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from ottt.errors import first_line

_DATABASES = frozenset({"sqlite", "postgresql", "mysql", "mssql"})
_UNREACHABLE = (  # texts of errors where nothing answers at the address, or a proxy in place of the server
    "Max retries exceeded",
    "Connection aborted",
    "Connection refused",
    *(f"error code {code}" for code in (502, 503, 504)),
)
_MLFLOW_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # MLflow's default retries for four minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",  # s
}


def set_up_mlflow() -> None:
    """Set what the environment leaves open; call this before MLflow is imported, which reads the settings then."""
    for name, value in _MLFLOW_SETTINGS.items():
        os.environ.setdefault(name, value)


def is_database(uri: str) -> bool:
    """Whether the tracking URI names a database rather than a server."""
    return uri.partition(":")[0].partition("+")[0] in _DATABASES


def sqlite_file(uri: str) -> Path | None:
    """The file that the tracking URI names, absolute; None for other kinds of store."""
    if uri.partition(":")[0].partition("+")[0] != "sqlite":
        return None
    return Path(uri.partition(":///")[2].partition("?")[0]).absolute()


def shown_uri(uri: str) -> str:
    """The tracking URI without user name and password."""
    parts = urlsplit(uri)
    return uri if "@" not in parts.netloc else parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def is_away(error: Exception) -> bool:
    """Whether an error of MLflow or a database means that the server does not answer, so that a retry can help."""
    return any(sign in first_line(error) for sign in _UNREACHABLE)


def explained(error: Exception) -> str:
    """An error of MLflow or a database in one line."""
    text = first_line(error)
    if "error code 401" in text:
        return "the server refuses user name or password: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    if "error code 403" in text:
        return "the server does not permit this user to do so"
    if is_away(error):
        return "the server does not answer"
    return text
