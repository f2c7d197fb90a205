"""Real MLflow servers on loopback, for the tests."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.experiments.commands import ROOT

PASSWORD = "correct horse battery"
START_S = 240.0  # on a busy machine; seconds on a calm one


@dataclass
class TrackingServer:
    """`ottt mlflow serve` over a folder of results; it can be killed and started again at the same address."""

    results: Path
    auth: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    port: int = field(init=False)
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def client(self) -> dict[str, str]:
        """Variables of a process that uses it."""
        user = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": PASSWORD} if self.auth else {}
        return {"MLFLOW_TRACKING_URI": self.uri, **user}

    def start(self) -> None:
        words = ["mlflow", "serve", "--results", str(self.results), "--port", str(self.port), "--workers", "1"]
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "OTTT"))}
        own = {"PYTHONPATH": str(ROOT), "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD, **self.variables}
        self.results.mkdir(parents=True, exist_ok=True)
        with (self.results / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "experiments.cli", *words, *(["--auth"] if self.auth else [])],
                env=inherited | own,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _wait(self) -> None:
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.2)
        self.kill()
        raise TimeoutError((self.results / "server.log").read_text(encoding="utf-8")[-2000:])


@contextmanager
def serving(results: Path, *, auth: bool = False) -> Iterator[TrackingServer]:
    server = TrackingServer(results, auth)
    try:
        yield server
    finally:
        server.kill()
