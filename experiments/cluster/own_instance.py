"""What an instance of Ray that this process starts has to itself: a folder with short paths, and a token."""

import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from experiments.cluster.access import MODE, TOKEN, TOKEN_PATH
from ottt.errors import UserError, first_line
from ottt.files import try_lock

TEMPORARY = "RAY_TMPDIR"  # Ray's variable
PREFIX = "ottt-"
LOCK = "ray.lock"  # held while the folder is in use
LONGEST_SOCKET = 107 if sys.platform == "linux" else 103  # bytes of a socket's path
_SOCKET = "/session_2026-11-26_16-59-31_123456_1234567/sockets/plasma_store"  # below Ray's folder
_REMOVALS = 20  # attempts: processes that are about to end can still write
_USUAL = ("/tmp", "/var/tmp", "/dev/shm")


@contextmanager
def own_instance() -> Iterator[Path]:
    """In the context, an instance of Ray can be started, whatever the home and the temporary folder are.

    Yields:
        The folder for its files.

    Raises:
        UserError: see `own_folder`.
    """
    with own_token(), own_folder() as folder:
        yield folder


@contextmanager
def own_folder(environment: MutableMapping[str, str] = os.environ) -> Iterator[Path]:
    """In the context, Ray keeps its files in a new folder, in the first temporary one that will do.

    It is removed at the end, and so is what processes left that were killed.

    Raises:
        UserError: no temporary folder is writable and has a path short enough for sockets.
    """
    folder = _make(_places(environment))
    _remove_abandoned(folder.parent)
    lock = try_lock(folder / f"{LOCK}.new")
    assert lock is not None
    with lock:
        (folder / f"{LOCK}.new").rename(folder / LOCK)  # never there without being held
        try:
            with _changed(environment, {TEMPORARY: str(folder)}):
                yield folder
        finally:
            _remove(folder)


@contextmanager
def own_token(environment: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """In the context, Ray asks for a token that only this process and its children know.

    By itself it keeps one in the home folder, which need not be writable. A token or mode that the user set stays. The
    token stays in the environment: Ray reads it once, and would refuse another instance that this process starts.
    """
    if not (environment.get(TOKEN) or environment.get(TOKEN_PATH)):
        environment[TOKEN] = _token()
    with _changed(environment, {MODE: environment.get(MODE)}):  # Ray sets the mode
        yield


@contextmanager
def _changed(environment: MutableMapping[str, str], values: Mapping[str, str | None]) -> Iterator[None]:
    """Give variables other values in the context; None leaves one as it is."""
    before = {name: environment.get(name) for name in values}
    environment.update({name: value for name, value in values.items() if value is not None})
    try:
        yield
    finally:
        for name, value in before.items():
            environment.pop(name, None)
            environment.update({} if value is None else {name: value})


@cache
def _token() -> str:
    """One for the process's life: Ray reads it once."""
    return secrets.token_hex(32)


def _places(environment: MutableMapping[str, str]) -> list[Path]:
    """Temporary folders, the preferred one first."""
    named = [environment[name] for name in (TEMPORARY, "TMPDIR") if environment.get(name)]
    return [Path(name).absolute() for name in dict.fromkeys([*named, *_USUAL])]


def _make(places: list[Path]) -> Path:
    problems = []
    for place in places:
        longest = LONGEST_SOCKET - len(f"/{PREFIX}12345678{_SOCKET}")
        if len(os.fsencode(place)) > longest:
            problems.append(f"{place}: longer than {longest} bytes")
            continue
        try:
            return Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        except OSError as error:
            problems.append(f"{place}: {error.strerror or first_line(error)}")
    raise UserError(f"TMPDIR must name a folder that Ray can write to, got {'; '.join(problems)}")


def _remove_abandoned(place: Path) -> None:
    """Remove the folders of this user's processes that ended without removing them."""
    for folder in place.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if folder.stat().st_uid != os.getuid() or not (folder / LOCK).is_file():
                continue
            lock = try_lock(folder / LOCK)
            if lock is not None:
                with lock:
                    _remove(folder)


def _remove(folder: Path) -> None:
    for _ in range(_REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)
