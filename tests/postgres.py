"""A real PostgreSQL server for the tests, where one is installed."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

USER = "lab"
WAIT_S = "600"  # for the server to start or stop, however busy the machine is


@contextmanager
def postgres() -> Iterator[str]:
    """Address of an empty database in a server of our own, on loopback; skips without one.

    Its files are not in a folder of pytest, which other runs of pytest close to the server's user.
    """
    if not (shutil.which("initdb") and shutil.which("pg_ctl")):
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    as_owner = [] if os.getuid() else ["runuser", "-u", "postgres", "--"]  # it refuses to run as root
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with TemporaryDirectory(prefix="ottt-postgres-") as name:
        folder = Path(name)
        data = folder / "data"
        data.mkdir()
        if as_owner:
            folder.chmod(0o755)
            shutil.chown(data, "postgres")
        with _server(as_owner, data, folder / "said.txt", port):
            yield f"postgresql://{USER}@127.0.0.1:{port}/postgres"


@contextmanager
def _server(as_owner: list[str], data: Path, said: Path, port: int) -> Iterator[None]:
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={data} -c fsync=off"

    def run(*words: str) -> None:
        with said.open("w") as file:  # a pipe would end with the server
            done = subprocess.run([*as_owner, *words], check=False, cwd=data, stdout=file, stderr=file)
        assert done.returncode == 0, f"{words}: {said.read_text(encoding='utf-8')}"

    run("initdb", "-D", str(data), "-U", USER, "--auth=trust")
    run("pg_ctl", "-D", str(data), "-o", options, "-l", str(data / "log"), "-w", "-t", WAIT_S, "start")
    try:
        yield
    finally:
        run("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "-t", WAIT_S, "stop")
