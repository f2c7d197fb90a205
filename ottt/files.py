"""Files that several processes share: atomic replacement and locks. Standard library only."""

import errno
import fcntl
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO
from uuid import uuid4

from ottt.errors import UserError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_CANNOT_FLUSH = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)  # of folders of some network file systems


def user_path(given: str | Path) -> Path:
    """The path that a user wrote: a leading `~` is the home folder, which a shell replaces in some places only.

    Raises:
        UserError: there is no such home folder.
    """
    try:
        return Path(given).expanduser()
    except RuntimeError:
        raise UserError(f"{given}: ~ must be a home folder, found none: write the path in full") from None


def is_file(path: Path) -> bool:
    """Whether there is a file; False too for a text that cannot be a path, for instance one that is too long."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file next to `path`, which replaces `path` at the end of the context.

    Readers see either the old file or the complete new one, also after a power failure. After an error the old one
    stays.
    """
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        yield partial
        _flush_to_disk(partial)
        partial.replace(path)
        _flush_to_disk(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _flush_to_disk(path: Path) -> None:
    """Wait until the content of a file, or the entries of a folder, would survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:
            raise
    finally:
        os.close(descriptor)


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


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock on the file `path`, which may be one that this user can only read."""
    try:
        with path.open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that there is no room on a disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def damaged_member(file: BinaryIO) -> str | None:
    """A member of the zip archive in `file` that does not have its CRC-32; None without one, or if it is no archive.

    Raises:
        zipfile.BadZipFile: the archive's directory is damaged; other errors can be raised too.
    """
    if not zipfile.is_zipfile(file):
        return None
    with zipfile.ZipFile(file) as archive:
        return archive.testzip()
