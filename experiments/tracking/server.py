"""An MLflow server for a folder of results; other machines need a password."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from secrets import token_urlsafe
from socket import AF_INET, AF_INET6, create_server

from analysis.store.uri import is_database, set_up_mlflow, shown_uri
from experiments.results.folder import Results
from experiments.tracking.connection import connect
from ottt.errors import UserError

PASSWORD = "MLFLOW_AUTH_ADMIN_PASSWORD"
SHORTEST_PASSWORD = 12  # characters, the minimum of MLflow
LOOP = "experiments.tracking.server_loop:event_loop"

_AUTH = """\
[mlflow]
default_permission = READ
database_uri = sqlite:///{users}
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


@dataclass(frozen=True)
class Server:
    """Settings of a server.

    Attributes:
        results: folder of results whose store is served.
        host, port: address to listen on.
        names: additional names under which browsers reach the server.
        auth: whether to ask for user name and password; None: only if other machines can reach the server.
        workers: number of processes.

    Raises:
        UserError: open to other machines without a password or without a name, or the store is not a database.
    """

    results: Results
    host: str = "127.0.0.1"
    port: int = 5000
    names: tuple[str, ...] = ()
    auth: bool | None = None
    workers: int = 2

    def __post_init__(self) -> None:
        if not is_database(self.results.store):
            raise UserError(
                f"MLFLOW_TRACKING_URI must name a database to be served, got {shown_uri(self.results.store)}"
            )
        if not self.is_loopback and self.auth is False:
            raise UserError(f"--no-auth must come with a loopback address such as 127.0.0.1, got {self.host}")
        if self.host in ("0.0.0.0", "::") and not self.names:
            raise UserError(f"--name must say under which name browsers reach a server on {self.host}, got none")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def asks(self) -> bool:
        """Whether the server asks for user name and password."""
        return not self.is_loopback if self.auth is None else self.auth

    @property
    def address(self) -> str:
        """URL of the page."""
        return f"http://{self._hosts()[0]}:{self.port}"

    def command(self) -> list[str]:
        """The command line. It holds no password: every user of the machine can see it."""
        # MLflow compares them with the host that the browser sends, which has the port unless it is the default.
        allowed = [f"{host}{port}" for host in self._hosts() for port in ("", f":{self.port}")]
        words = [sys.executable, "-m", "mlflow", "server", "--host", self.host, "--port", str(self.port)]
        words += ["--workers", str(self.workers), "--uvicorn-opts", f"--loop {LOOP}"]
        words += ["--allowed-hosts", ",".join(allowed)]
        words += ["--artifacts-destination", str(self.results.artifacts)]
        return [*words, "--app-name", "basic-auth"] if self.asks else words

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Environment variables of the server's process.

        Raises:
            UserError: there is no user yet, and no password for the first.
        """
        own = {
            "MLFLOW_BACKEND_STORE_URI": self.results.store,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        if self.asks:
            password = inherited.get(PASSWORD, "")
            if len(password) < SHORTEST_PASSWORD and not self._users.is_file():
                raise UserError(
                    f"{PASSWORD} must have at least {SHORTEST_PASSWORD} characters, the password of the user admin,"
                    f" got {len(password)}"
                )
            own["MLFLOW_AUTH_CONFIG_PATH"] = str(self._config)
            own["MLFLOW_FLASK_SERVER_SECRET_KEY"] = token_urlsafe()
        return own | {name: value for name, value in inherited.items() if name != "MLFLOW_TRACKING_URI"}

    def prepare(self) -> None:
        """Make the store and the configuration that the server reads at its start.

        Raises:
            UserError: the address is not available; MLflow would print so and exit with status 0.
        """
        try:
            create_server((self.host, self.port), family=AF_INET6 if ":" in self.host else AF_INET).close()
        except OSError as error:
            problem = f"{error.strerror}".partition(" (")[0]
            raise UserError(
                f"--host and --port must be where a server can listen, got {self.host} {self.port}: {problem}"
            ) from error
        set_up_mlflow()
        connect(self.results.store)
        if self.asks:
            self._config.write_text(_AUTH.format(users=self._users), encoding="utf-8")

    @property
    def _users(self) -> Path:
        return self.results.root / "mlflow-users.db"

    @property
    def _config(self) -> Path:
        return self.results.root / "mlflow-users.ini"

    def _hosts(self) -> list[str]:
        """Names of the server as they appear in a URL."""
        own = ["127.0.0.1", "localhost"] if self.is_loopback else [self.host]
        hosts = [*self.names, *(host for host in own if host not in ("0.0.0.0", "::"))]
        return [f"[{host}]" if ":" in host else host for host in dict.fromkeys(hosts)]
