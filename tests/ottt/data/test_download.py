"""Downloads from a local server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ottt.data.download import fetch
from ottt.data.files import FILES, SourceFile, md5_of
from ottt.errors import UserError

CONTENT = bytes(range(256)) * 100


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def serving(folder: Path, handler: type[QuietHandler] = QuietHandler) -> Iterator[str]:
    """Address of a server of the folder's files."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    served = tmp_path / "served"
    served.mkdir()
    (served / "set.bin").write_bytes(CONTENT)
    with serving(served) as address:
        yield address


def test_a_download_is_complete_and_verified(server: str, tmp_path: Path) -> None:
    md5 = md5_of(tmp_path / "served" / "set.bin")
    file = SourceFile("deep/set.bin", f"{server}/set.bin", md5)
    path = fetch(file, tmp_path / "root")
    assert path == tmp_path / "root" / "deep" / "set.bin" == file.find(tmp_path / "root")
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


def test_a_file_with_another_checksum_is_not_kept(server: str, tmp_path: Path) -> None:
    file = SourceFile("set.bin", f"{server}/set.bin", "0" * 32)
    with pytest.raises(UserError, match=r"must have MD5 0{32}, got"):
        fetch(file, tmp_path / "root")
    assert list((tmp_path / "root").iterdir()) == []


class TruncatingHandler(QuietHandler):
    """Announces the whole file, and sends a part of it."""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        outputfile.write(source.read()[:1234])


@pytest.mark.parametrize(
    ("content", "handler", "arrived"),
    [
        (
            b"\n<!DOCTYPE html><html>Not found</html>",
            QuietHandler,
            "a web page (HTML) of 38 bytes: open the address in",
        ),
        (b"", QuietHandler, "0 bytes with MD5 d41d8cd98f00b204e9800998ecf8427e: another file is there: try again"),
        (CONTENT, TruncatingHandler, "1,234 of 25,600 bytes: the connection was cut: try again"),
        (b"altered", QuietHandler, "7 bytes with MD5 32e4306ff72b73fda27df65692e29975: another file is there"),
    ],
)
def test_what_arrived_is_named(tmp_path: Path, content: bytes, handler: type[QuietHandler], arrived: str) -> None:
    (tmp_path / "set.bin").write_bytes(content)
    with serving(tmp_path, handler) as address:
        url = f"{address}/set.bin"
        with pytest.raises(UserError) as caught:
            fetch(SourceFile("deep/set.bin", url, "0" * 32), tmp_path / "sets")
    assert str(caught.value).startswith(f"{tmp_path}/sets/deep/set.bin: {url} must have MD5 {'0' * 32}, got {arrived}")
    assert list((tmp_path / "sets" / "deep").iterdir()) == []


def test_a_missing_server_is_one_line(tmp_path: Path) -> None:
    file = SourceFile("set.bin", "http://127.0.0.1:9/set.bin", "0" * 32)
    with pytest.raises(UserError, match=r"set\.bin: cannot be fetched from http://127\.0\.0\.1:9/set\.bin: .*refused"):
        fetch(file, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_no_program_can_fetch(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"DvsGesture\.tar\.gz: cannot be fetched by a program; get it from https://ibm"
    ):
        fetch(FILES["dvs128_gesture"][0], tmp_path)
