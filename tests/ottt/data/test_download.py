"""Downloads from a local server."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ottt.data.download import fetch
from ottt.data.files import FILES, SourceFile, md5_of
from ottt.errors import UserError

CONTENT = bytes(range(256)) * 100


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    served = tmp_path / "served"
    served.mkdir()
    (served / "set.bin").write_bytes(CONTENT)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(served))) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


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
