"""A real PostgreSQL server for the tests, where one is installed."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

USER = "lab"


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Address of an empty database in a server of our own, on loopback, its files under `folder`; skips without one."""
    if not (shutil.which("initdb") and shutil.which("pg_ctl")):
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    as_owner = [] if os.getuid() else ["runuser", "-u", "postgres", "--"]  # it refuses to run as root
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    data.mkdir(parents=True)
    if as_owner:
        temporary = Path(tempfile.gettempdir())
        for path in (data, *(parent for parent in data.parents if temporary in parent.parents)):
            path.chmod(path.stat().st_mode | 0o011)
        shutil.chown(data, "postgres")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={data} -c fsync=off"

    def run(*words: str) -> None:
        subprocess.run([*as_owner, *words], check=True, cwd=data, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    run("initdb", "-D", str(data), "-U", USER, "--auth=trust")
    run("pg_ctl", "-D", str(data), "-o", options, "-l", str(data / "log"), "-w", "start")
    try:
        yield f"postgresql://{USER}@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")
