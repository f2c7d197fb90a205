"""SQLite stores: the one place where their tracking URIs are made and read, and how a reader opens them.

The path of a tracking URI is what SQLAlchemy takes for the database, query parameters such as `?timeout=30` are kept.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote, urlencode

from analysis.store.uri import scheme, shown_uri, unusable
from ottt.errors import UserError

PATIENCE_S = 20.0  # how long to wait for a file that another process has locked; MLflow's sessions wait as long
LOGS = ("-wal", "-journal")  # what SQLite has yet to merge into a file, or to take back, is in these beside it
SHARED = "-shm"  # by which processes that use the same file find their way in its log

_REFUSED = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})  # SQLite must write beside the file to read it
_PRIMARY = 0xFF  # the bits of an extended error code that hold the primary one


def sqlite_uri(file: Path, parameters: Mapping[str, str] | None = None) -> str:
    """The tracking URI of a SQLite file, which SQLAlchemy and MLflow take for this file whatever its name.

    Paths go into it as they are; what SQLAlchemy would read as another path is quoted. Such a URI names the driver too,
    since MLflow makes the folders of what follows `sqlite:///`, which would be the quoted ones.

    Raises:
        UserError: the path is not UTF-8, or SQLAlchemy is too old for its `?` or `%`.
    """
    from sqlalchemy import make_url

    path = str(file)
    try:
        forms = f"sqlite:///{path}", f"sqlite+pysqlite:///{quote(path)}"
    except UnicodeEncodeError:
        raise UserError(f"{os.fsencode(file)!r}: the path of a store must be UTF-8") from None
    query = f"?{urlencode(parameters)}" if parameters else ""
    for form in forms:
        if make_url(form).database == path:
            return f"{form}{query}"
    raise UserError(f"{path}: the path of a store must not have '?' or '%' in it unless SQLAlchemy is 2.1 or newer")


def sqlite_file(uri: str) -> Path | None:
    """The file that the tracking URI names, absolute; None for other kinds of store.

    Raises:
        UserError: it names no file by its path.
    """
    if scheme(uri) != "sqlite":
        return None
    database = _parsed(uri)[0]
    if database is None or database in ("", ":memory:") or database.startswith("file:"):
        raise UserError(f"store must name a SQLite file by its path, as sqlite:////abs/mlflow.db does; got {uri}")
    return Path(database).absolute()


def exact(uri: str) -> str:
    """The tracking URI as MLflow must be given it: of a SQLite file the one that `sqlite_uri` makes."""
    file = sqlite_file(uri)
    return uri if file is None else sqlite_uri(file, _parsed(uri)[1])


def patience(uri: str) -> float:
    """Seconds to wait for a locked SQLite file: the parameter `timeout` of the tracking URI, else `PATIENCE_S`.

    Raises:
        UserError: `timeout` is not a number.
    """
    text = _parsed(uri)[1].get("timeout", str(PATIENCE_S))
    try:
        return float(text)
    except ValueError:
        raise UserError(f"store {shown_uri(uri)}: timeout must be a number of seconds, got {text!r}") from None


@contextmanager
def readable(uri: str) -> Iterator[str]:
    """The address under which SQLAlchemy and MLflow read a database; that of a SQLite file creates none.

    Where this user may not write, SQLite cannot make the files that it keeps beside a file with a write-ahead log: the
    file is then opened as one that does not change, or, if a log beside it holds more, read from a temporary copy.

    Raises:
        UserError: the SQLite file cannot be opened, is locked, or is no database.
    """
    file = sqlite_file(uri)
    if file is None:
        yield uri
        return
    options = {**_parsed(uri)[1], "timeout": str(patience(uri))}
    with TemporaryDirectory(prefix="ottt-store-") as folder:
        try:
            opened, mode = _opened(file, Path(folder), float(options["timeout"]))
        except (sqlite3.Error, OSError) as error:
            raise unusable(uri, error) from error
        yield _address(opened, {**options, **mode})


def _opened(file: Path, folder: Path, timeout: float) -> tuple[Path, Mapping[str, str]]:
    """The file to read, a copy in `folder` if need be, and SQLite's parameters for it."""
    can_write = os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)
    mode = {"mode": "rw" if can_write else "ro"}
    try:
        _probe(file, mode, timeout)
    except sqlite3.OperationalError as error:
        if can_write or error.sqlite_errorcode & _PRIMARY not in _REFUSED or not os.access(file, os.R_OK):
            raise
        logs = [log for log in (file.with_name(f"{file.name}{suffix}") for suffix in LOGS) if _has_content(log)]
        mode = {"mode": "rw"} if logs else {"mode": "ro", "immutable": "1"}
        if logs:
            for one in (file, *logs):
                shutil.copyfile(one, folder / one.name)
            file = folder / file.name
        _probe(file, mode, timeout)
    return file, mode


def _probe(file: Path, mode: Mapping[str, str], timeout: float) -> None:
    """Read from the file once."""
    with closing(sqlite3.connect(f"file:{quote(str(file))}?{urlencode(mode)}", uri=True, timeout=timeout)) as database:
        database.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _address(file: Path, options: Mapping[str, str]) -> str:
    from sqlalchemy import URL

    query = {**options, "uri": "true"}
    url = URL.create("sqlite+pysqlite", database=f"file:{quote(str(file))}", query=query)
    return url.render_as_string(hide_password=False)


def _parsed(uri: str) -> tuple[str | None, Mapping[str, str]]:
    """The database and the parameters of a tracking URI.

    Raises:
        UserError: SQLAlchemy cannot parse it.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(uri)
    except (ArgumentError, ValueError) as error:
        raise UserError(f"store must be a tracking URI such as sqlite:////abs/mlflow.db, got {uri}") from error
    return url.database, {name: value if isinstance(value, str) else value[-1] for name, value in url.query.items()}
