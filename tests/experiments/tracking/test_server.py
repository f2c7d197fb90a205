import gc
import subprocess
import sys
from pathlib import Path
from socket import create_server

import pytest

from experiments.results.folder import Results
from experiments.tracking.server import Server
from ottt.errors import UserError

PASSWORD = "correct horse battery"


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
