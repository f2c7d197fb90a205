"""Copies data sets from shared storage to a machine's own disk: once per machine, every file checked."""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from ottt.errors import UserError, first_line
from ottt.files import locked, replacing

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

SUMS = "SHA256SUMS"  # beside the data, as `sha256sum` writes it: lists the files to fetch
BLOCK = 1 << 20  # bytes per read


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Fetched:
    """Result of `fetch`.

    Attributes:
        files: number of files in the target folder now.
        copied: number of files that were copied.
        bytes: number of bytes that were copied.
    """

    files: int
    copied: int
    bytes: int


def fetch(source: str, target: Path) -> Fetched:
    """Copy the files listed in `source`/SHA256SUMS to `target`, except those that are complete there.

    Processes of one machine wait for each other. A file appears whole and checked, or not at all.

    Args:
        source: a folder, or an address such as "s3://bucket/data".
        target: folder on this machine, made if need be.

    Raises:
        UserError: the source cannot be read, or a file does not match SHA256SUMS.
    """
    from pyarrow.fs import FileSystem, LocalFileSystem

    try:
        system, root = FileSystem.from_uri(source) if "://" in source else (LocalFileSystem(), source)
        target.mkdir(parents=True, exist_ok=True)
        with locked(target / ".fetch.lock"):
            return _fetch(system, root, target)
    except (OSError, ValueError) as error:
        raise UserError(f"{source}: cannot be fetched to {target}: {first_line(error)}") from error


def _fetch(system: "FileSystem", root: str, target: Path) -> Fetched:
    with system.open_input_stream(f"{root}/{SUMS}") as stream:
        wanted = dict(_sums(stream.read().decode(), f"{root}/{SUMS}"))
    copied, size = 0, 0
    for name, digest in wanted.items():
        path = target / name
        if path.is_file() and _digest_of(path) == digest:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        size += _copy(system, f"{root}/{name}", path, digest)
        copied += 1
    return Fetched(len(wanted), copied, size)


def _copy(system: "FileSystem", source: str, path: Path, digest: str) -> int:
    """Copy and check one file; returns its size in bytes."""
    hasher = hashlib.sha256()
    with replacing(path) as partial:
        with closing(system.open_input_stream(source)) as stream, partial.open("wb") as file:
            for block in _blocks(stream):
                hasher.update(block)
                file.write(block)
        if hasher.hexdigest() != digest:
            raise UserError(f"{source}: must have SHA-256 {digest}, got {hasher.hexdigest()}: truncated or altered")
        return partial.stat().st_size


def _sums(text: str, place: str) -> Iterator[tuple[str, str]]:
    """Name and SHA-256 of the file in each line."""
    for number, line in enumerate(text.splitlines(), start=1):
        digest, _, name = line.partition(" ")
        name = name.lstrip(" *").removeprefix("./")
        path = PurePosixPath(name)
        if len(digest) != 64 or not name or path.is_absolute() or ".." in path.parts:
            raise UserError(
                f"{place}:{number}: must read SHA-256 and a file below, as sha256sum writes it, got {line!r}"
            )
        yield name, digest


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _blocks(stream: _Readable) -> Iterator[bytes]:
    while block := stream.read(BLOCK):
        yield block
