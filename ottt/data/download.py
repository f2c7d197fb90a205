"""Download of published files."""

import tempfile
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from urllib.request import Request, urlopen

from ottt.data.files import SourceFile, md5_of
from ottt.errors import UserError

ANSWER_S = 10.0  # for a server to tell the size of a file
_HTML = (b"<!doctype html", b"<html")


def fetch(file: SourceFile, root: Path) -> Path:
    """Download `file` to its place below `root`; it appears there complete and verified, or not at all.

    Raises:
        UserError: the download failed, or the file is not the published one.
    """
    from torchvision.datasets.utils import download_url

    target = root / file.path
    if not file.fetchable:
        raise UserError(f"{target}: cannot be fetched by a program; get it from {file.url} and put it there")
    with _folder_beside(target) as folder:
        partial = Path(folder) / file.name
        try:
            download_url(file.url, folder, file.name)
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise UserError(f"{target}: cannot be fetched from {file.url}: {reason}") from error
        if md5_of(partial) != file.md5:
            raise UserError(f"{target}: {file.url} must have MD5 {file.md5}, got {_what_arrived(partial, file.url)}")
        return partial.replace(target)


def _folder_beside(target: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder for what is not complete yet, on the same disk.

    Raises:
        UserError: it cannot be made.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-")
    except OSError as error:
        raise UserError(f"{target.parent}: data sets must have a writable folder, got {error.strerror}") from error


def _what_arrived(path: Path, url: str) -> str:
    """What a server sent in place of the file, and what to do."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        begin = stream.read(512).lstrip().lower()
    if begin.startswith(_HTML):
        return f"a web page (HTML) of {size:,} bytes: open the address in a browser, and put the file there"
    if (whole := _published_size(url)) is not None and size < whole:
        return f"{size:,} of {whole:,} bytes: the connection was cut: try again"
    return f"{size:,} bytes with MD5 {md5_of(path)}: another file is there: try again, or get it elsewhere"


def _published_size(url: str) -> int | None:
    """Size in bytes that the server tells; None if it tells none."""
    with suppress(OSError, HTTPException, ValueError), urlopen(Request(url, method="HEAD"), timeout=ANSWER_S) as answer:
        return int(answer.headers["Content-Length"] or "")
    return None
