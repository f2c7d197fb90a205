"""deploy/mlflow-server.sh: keeps a server with a password running."""

import os
import signal
import socket
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.experiments.cluster.lab import ROOT, until
from tests.experiments.commands import descendants, is_alive

SCRIPT = ROOT / "deploy" / "mlflow-server.sh"


@dataclass(frozen=True)
class Kept:
    """A server that the script keeps running."""

    folder: Path
    port: int
    environment: dict[str, str]

    def script(self, word: str) -> subprocess.CompletedProcess[str]:
        words = ["bash", str(SCRIPT), word, str(self.folder)]
        return subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=900)

    def watcher(self) -> int:
        return int((self.folder / "watch.pid").read_text(encoding="utf-8"))

    def server(self) -> int | None:
        return next((pid for pid, name in descendants(self.watcher()).items() if name.startswith("python")), None)

    def status(self, password: str | None = None) -> int | None:
        """HTTP status of the page; None while nothing answers."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/")
        if password is not None:
            request.add_header("Authorization", f"Basic {b64encode(f'admin:{password}'.encode()).decode()}")
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "ottt"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m experiments.cli "$@" --workers 1\n', encoding="utf-8")
    command.chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "OTTT"))}
    own = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    settings = {"OTTT_MLFLOW_PORT": str(port), "OTTT_MLFLOW_PAUSE": "0.5"}
    made = Kept(tmp_path / "mlflow", port, inherited | own | settings)
    yield made
    made.script("stop")
    watcher = made.watcher()
    with suppress(TimeoutError):
        until(lambda: not is_alive(watcher), "the watcher still runs", seconds=900)
    with suppress(ProcessLookupError):
        os.kill(watcher, signal.SIGKILL)


def test_it_asks_for_its_password_and_comes_back(kept: Kept) -> None:
    started = kept.script("start")
    assert started.returncode == 0, started.stderr
    password = kept.folder / "password"
    secret = password.read_text(encoding="utf-8").strip()
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    assert (kept.status(), kept.status("wrong password"), kept.status(secret)) == (401, 401, 200)
    watcher, server = kept.watcher(), kept.server()
    assert kept.script("start").returncode == 0  # runs already
    assert (kept.watcher(), kept.server()) == (watcher, server)
    assert server is not None
    os.kill(server, signal.SIGKILL)
    log = kept.folder / "watch.log"
    until(lambda: "the server ended, starting it again" in log.read_text(encoding="utf-8"), "nobody noticed")
    until(lambda: kept.server() not in {None, server}, "nobody started it again")  # its workers may answer till then
    until(lambda: kept.status(secret) == 200, "it did not come back")
    kept.script("stop")
    until(lambda: kept.status() is None and not is_alive(watcher), "it did not end")
