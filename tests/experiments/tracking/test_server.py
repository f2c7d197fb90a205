import gc
import json
import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
import warnings
from base64 import b64encode
from contextlib import closing
from pathlib import Path
from socket import create_server
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from experiments.results.folder import Results
from experiments.tracking.server import Server
from experiments.tracking.sweep_runs import SweepRuns
from ottt.errors import UserError
from ottt.schema import Status
from tests.experiments.commands import Place
from tests.experiments.mlflow_sweeps import HERE, plan
from tests.experiments.servers import PASSWORD, START_S

CONFIG = "MLFLOW_AUTH_CONFIG_PATH"


@pytest.fixture(autouse=True)
def own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def option(server: Server, name: str) -> str:
    words = server.command()
    return words[words.index(name) + 1]


def test_alone_it_is_for_this_machine_without_a_password(tmp_path: Path) -> None:
    server = Server(Results(tmp_path))
    assert option(server, "--host") == "127.0.0.1"
    assert option(server, "--allowed-hosts") == "127.0.0.1,127.0.0.1:5000,localhost,localhost:5000"
    assert "--app-name" not in server.command()
    assert server.address == "http://127.0.0.1:5000"
    assert server.environment({})["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_its_processes_search_for_garbage_less_often(tmp_path: Path) -> None:
    module, function = option(Server(Results(tmp_path)), "--uvicorn-opts").removeprefix("--loop ").split(":")
    code = f"import gc; from {module} import {function} as start; start().close(); print(*gc.get_threshold())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["50000", *map(str, gc.get_threshold()[1:])]


def test_open_to_others_it_asks_for_a_password_which_is_in_no_command(tmp_path: Path) -> None:
    server = Server(Results(tmp_path), host="0.0.0.0", port=80, names=("lab.example",))
    assert option(server, "--app-name") == "basic-auth"
    assert option(server, "--allowed-hosts") == "lab.example,lab.example:80"
    environment = server.environment({"MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD})
    assert len(environment["MLFLOW_FLASK_SERVER_SECRET_KEY"]) > 20
    assert not any(PASSWORD in word for word in server.command())


def test_the_password_of_a_database_is_in_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "postgresql://lab:passw0rd@127.0.0.1/mlflow"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    server = Server(Results(tmp_path))
    assert not any("passw0rd" in word for word in server.command())
    assert server.environment({"MLFLOW_TRACKING_URI": uri}).items() >= {("MLFLOW_BACKEND_STORE_URI", uri)}
    assert "MLFLOW_TRACKING_URI" not in server.environment({"MLFLOW_TRACKING_URI": uri})


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"host": "10.0.0.7", "auth": False}, "--no-auth must come with a loopback address such as 127.0.0.1, got 10"),
        ({"host": "0.0.0.0"}, "--name must say under which name browsers reach a server on 0.0.0.0, got none"),
    ],
)
def test_what_would_be_open_to_strangers_is_refused(tmp_path: Path, options: dict, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        Server(Results(tmp_path), **options)


def test_a_first_start_needs_a_long_password(tmp_path: Path) -> None:
    server = Server(Results(tmp_path), auth=True)
    with pytest.raises(UserError, match=r"MLFLOW_AUTH_ADMIN_PASSWORD must have at least 12 characters.*got 5"):
        server.environment({"MLFLOW_AUTH_ADMIN_PASSWORD": "short"})
    (tmp_path / "mlflow-users.db").touch()
    with pytest.raises(UserError, match="got 0"):  # an earlier start did not get as far as the first user
        server.environment({})
    (tmp_path / "mlflow-users.db").write_bytes(b"SQLite format 3")
    server.environment({})


def test_a_server_is_not_served_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:passw0rd@host:5000")
    with pytest.raises(UserError, match="must name a database to be served, got http://host:5000"):
        Server(Results(tmp_path))


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"got 127.0.0.1 {port}: Address already in use$"):
            Server(Results(tmp_path), port=port).prepare()
    assert not list(tmp_path.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_their_owner_can_read_the_users_and_passwords(tmp_path: Path) -> None:
    """From their creation on, whatever the umask; files of an earlier version are corrected."""
    names = ("mlflow-users.db", "mlflow-users.ini")
    old = os.umask(0)
    try:
        Server(Results(tmp_path / "new"), auth=True).write_settings()
        (tmp_path / "old").mkdir()
        for name in (*names, "mlflow-users.db-wal", "mlflow-users.db-shm"):
            (tmp_path / "old" / name).write_text("kept")
        assert mode(tmp_path / "old" / names[0]) == 0o666
        Server(Results(tmp_path / "old"), auth=True).write_settings()
        with closing(sqlite3.connect(tmp_path / "new" / names[0])) as users:  # as MLflow does
            users.execute("PRAGMA journal_mode=WAL")
            users.execute("CREATE TABLE users (x)")
            assert len(list((tmp_path / "new").glob("mlflow-users.db-*"))) == 2
            assert {mode(path) for path in (tmp_path / "new").iterdir()} == {0o600}
    finally:
        os.umask(old)
    assert {mode(path) for path in (tmp_path / "old").iterdir()} == {0o600}
    assert (tmp_path / "old" / names[0]).read_text() == "kept"


def test_the_printed_command_has_no_secret_and_needs_none_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = "postgresql://lab:passw0rd@127.0.0.1/mlflow"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    line = Server(Results(tmp_path), auth=True).line()
    assert "passw0rd" not in line
    code = "import json, os, sys; print(json.dumps([dict(os.environ), sys.argv]))"
    stub = line.replace("-m mlflow server", f"-c '{code}' server")
    environment, words = json.loads(subprocess.run(["sh", "-c", stub], capture_output=True, check=True).stdout)
    assert environment["MLFLOW_BACKEND_STORE_URI"] == uri
    assert environment[CONFIG] == str(tmp_path / "mlflow-users.ini")
    assert len(environment["MLFLOW_FLASK_SERVER_SECRET_KEY"]) > 20
    assert "MLFLOW_TRACKING_URI" not in environment
    assert not any("passw0rd" in word or environment["MLFLOW_FLASK_SERVER_SECRET_KEY"] in word for word in words)


@pytest.mark.parametrize("auth", [False, True])
def test_the_printed_command_opens_the_sweeps_own_store(empty_store: Path, tmp_path: Path, *, auth: bool) -> None:
    """Run in a shell, in another folder; asked for the sweep through its REST API."""
    planned, folder = plan([2.0]), tmp_path / "it's a%20b?c#d"
    folder.mkdir()
    shutil.copy(empty_store, folder / "mlflow.db")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The ``noload`` loader strategy is deprecated")
        store = Results(folder).store
        opened = SweepRuns(planned, "", HERE, store=store, artifacts=folder / "artifacts")
        opened.connect()
        opened.open()
        opened.close(Status.FINISHED)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = Place(folder, variables={"MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD})
    options = ["--results", str(folder), "--port", str(port), "--workers", "1", *(["--auth"] if auth else [])]
    told = place.ottt("mlflow", "serve", "--dry-run", *options)
    assert told.returncode == 0, told.stderr
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(
            ["sh", "-c", told.stdout],
            cwd=elsewhere,
            env=place.environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        user = b64encode(f"admin:{PASSWORD}".encode()).decode()
        address = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/get-by-name?experiment_name={planned.name}"
        answer = _answer(Request(address, headers={"Authorization": f"Basic {user}"}), server)
        if auth:
            with pytest.raises(HTTPError, match="401"):
                urlopen(address, timeout=900)
            assert mode(folder / "mlflow-users.db") == mode(folder / "mlflow-users.ini") == 0o600
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    assert json.loads(answer)["experiment"]["name"] == planned.name
    assert list(elsewhere.iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {elsewhere.name, folder.name, "server.log"}


def _answer(request: Request, server: subprocess.Popen[bytes]) -> bytes:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        assert server.poll() is None
        try:
            with urlopen(request, timeout=900) as response:
                return bytes(response.read())
        except HTTPError:
            raise
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise TimeoutError
