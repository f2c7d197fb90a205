"""Files that several processes share: atomic replacement and locks. Standard library only."""

import fcntl
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO
from uuid import uuid4


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file next to `path`, which replaces `path` at the end of the context.

    Readers see either the old file or the complete new one. After an error the old one stays.
    """
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` atomically; see `replacing`."""
    with replacing(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for the lock file `path` and hold the lock.

    It holds between processes of one machine and between machines that share the folder. The system releases it when
    the process ends, however it ends.
    """
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def try_lock(path: Path) -> TextIO | None:
    """Lock the file `path` without waiting; None if another process or another open file holds the lock.

    The returned file is open for reading and appending; closing it releases the lock.
    """
    file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException as error:
        file.close()
        if isinstance(error, BlockingIOError):
            return None
        raise
    return file


def damaged_member(file: BinaryIO) -> str | None:
    """A member of the zip archive in `file` that does not have its CRC-32; None without one, or if it is no archive.

    Raises:
        zipfile.BadZipFile: the archive's directory is damaged; other errors can be raised too.
    """
    if not zipfile.is_zipfile(file):
        return None
    with zipfile.ZipFile(file) as archive:
        return archive.testzip()
