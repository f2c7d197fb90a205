"""Tracking URIs, MLflow's settings, and its errors in one line. Standard library only."""

import logging
import os
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ottt.errors import UserError, first_line

LOCKED = "database is locked"  # SQLite's words
_DAMAGED = ("database disk image is malformed", "file is not a database")  # SQLite's words

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
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def set_up_mlflow() -> None:
    """Set what the environment leaves open; call this before MLflow is imported, which reads the settings then."""
    for name, value in _MLFLOW_SETTINGS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # its errors reach the caller as well
    _reach_loopback_directly()


def _reach_loopback_directly() -> None:
    """Take loopback addresses out of what a proxy serves: behind one they would name the proxy's own machine."""
    name = next((one for one in ("no_proxy", "NO_PROXY") if os.environ.get(one)), "no_proxy")
    listed = [host for host in os.environ.get(name, "").split(",") if host]
    if getproxies() and "*" not in listed:
        os.environ[name] = ",".join(dict.fromkeys([*listed, *_LOOPBACK]))


def scheme(uri: str) -> str:
    """Kind of store of a tracking URI, without the driver: `sqlite`, `postgresql`, `http`."""
    return uri.partition(":")[0].partition("+")[0]


def is_database(uri: str) -> bool:
    """Whether the tracking URI names a database rather than a server."""
    return scheme(uri) in _DATABASES


def shown_uri(uri: str) -> str:
    """The tracking URI without user name and password."""
    parts = urlsplit(uri)
    return uri if "@" not in parts.netloc else parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def is_away(error: BaseException) -> bool:
    """Whether an error of MLflow or a database means that the store does not answer, so that a retry can help."""
    return any(sign in _reason(error) for sign in (*_UNREACHABLE, LOCKED))


def is_damaged(error: BaseException) -> bool:
    """Whether an error of a database means that its file is damaged."""
    return any(sign in _reason(error) for sign in _DAMAGED)


def explained(error: BaseException, uri: str | None = None) -> str:
    """An error of MLflow or a database in one line; with the tracking URI it names a proxy that stands between."""
    text = _reason(error)
    if LOCKED in text:
        return "the database is locked by another process: end that process, or try again when it is done"
    between = _proxy(uri or "")
    if "error code 401" in text:
        return (
            "the server refuses user name or password: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            f"{between}"
        )
    if "error code 403" in text:
        return f"the server does not permit this user to do so{between}"
    if is_away(error):
        return f"the server does not answer{between}"
    return text


def unusable(uri: str, error: BaseException) -> UserError:
    """The error of a reader whose database cannot be used."""
    if is_away(error):
        return UserError(f"store {shown_uri(uri)}: {explained(error, uri)}")
    return UserError(f"store must be a database of MLflow, got {shown_uri(uri)}: {_reason(error)}")


def _reason(error: BaseException) -> str:
    """First line of the database driver's error if there is one beneath `error`, else of `error`."""
    cause: BaseException | None = error
    while cause is not None:
        driver = getattr(cause, "orig", None)  # SQLAlchemy's errors add the statement and advice on their own use
        if isinstance(driver, BaseException):
            return first_line(driver)
        cause = cause.__cause__
    return first_line(error)


def _proxy(uri: str) -> str:
    """Which variable of the environment sends requests for this address to a proxy, in words; "" if none does."""
    host = urlsplit(uri).hostname
    proxies = getproxies()
    kind = next((kind for kind in (scheme(uri), "all") if kind in proxies), None)
    if host is None or scheme(uri) not in ("http", "https") or kind is None or proxy_bypass(host):
        return ""
    name = next(
        (one for one in (f"{kind}_proxy", f"{kind.upper()}_PROXY") if one in os.environ), "the system's settings"
    )
    return f" (through the proxy of {name}; to reach the server without it: NO_PROXY={host})"
