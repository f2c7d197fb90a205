"""An MLflow server for a folder of results; other machines need a password."""

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from secrets import token_urlsafe
from socket import AF_INET, AF_INET6, create_server

from analysis.store.sqlite import LOGS, SHARED, exact, sqlite_uri
from analysis.store.uri import is_database, set_up_mlflow, shown_uri
from experiments.results.folder import Results
from experiments.tracking.connection import connect
from experiments.tracking.page.saved_view import has_view, view_link
from experiments.tracking.redact import redacted
from ottt.errors import UserError

PASSWORD = "MLFLOW_AUTH_ADMIN_PASSWORD"
OWNER_ONLY = 0o600
SHORTEST_PASSWORD = 12  # characters, the minimum of MLflow
SECRET_KEY = "MLFLOW_FLASK_SERVER_SECRET_KEY"
STORE_URI = "MLFLOW_BACKEND_STORE_URI"
TRACKING_URI = "MLFLOW_TRACKING_URI"
LINKS = 5  # sweeps that are shown when the server starts
LOOP = "experiments.tracking.server_loop:event_loop"

_AUTH = """\
[mlflow]
default_permission = READ
database_uri = {users}
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
        words += ["--artifacts-destination", self._artifacts.as_uri()]
        return [*words, "--app-name", "basic-auth"] if self.asks else words

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Environment variables of the server's process.

        Raises:
            UserError: there is no user yet, and no password for the first.
        """
        own = self._variables()
        if self.asks:
            password = inherited.get(PASSWORD, "")
            if len(password) < SHORTEST_PASSWORD and not _has_users(self._users):
                raise UserError(
                    f"{PASSWORD} must have at least {SHORTEST_PASSWORD} characters, the password of the user admin,"
                    f" got {len(password)}"
                )
            own[SECRET_KEY] = token_urlsafe()
        kept = {name: value for name, value in inherited.items() if name not in (TRACKING_URI, STORE_URI)}
        return own | kept

    def line(self) -> str:
        """The command for a shell, in any folder, with all that differs from the environment of this process.

        It holds no secret: a key for sessions is made when it runs, and the address of a database other than the
        file in the folder of results is taken from the environment, as is the password of the first user.
        """
        settings = {name: shlex.quote(os.environ.get(name, value)) for name, value in self._variables().items()}
        store = self.results.store
        settings[STORE_URI] = shlex.quote(exact(store)) if redacted(store) == store else f'"${TRACKING_URI}"'
        if self.asks:
            key = shlex.join([sys.executable, "-c", "from secrets import token_urlsafe; print(token_urlsafe())"])
            settings[SECRET_KEY] = f'"$({key})"'
        words = " ".join(f"{name}={value}" for name, value in settings.items())
        folder = shlex.quote(str(self.results.root))
        return f"(cd {folder} && export {words} && unset {TRACKING_URI} && exec {shlex.join(self.command())})"

    def write_settings(self) -> None:
        """Make the files that a server which asks for passwords needs; only their owner can read them."""
        if self.asks:
            self.results.root.mkdir(parents=True, exist_ok=True)
            for file in (
                self._config,
                *(self._users.with_name(f"{self._users.name}{log}") for log in ("", *LOGS, SHARED)),
            ):
                if file.exists() or file in (self._config, self._users):
                    _make_private(file)
            users = sqlite_uri(self._users).replace("%", "%%")  # configparser's own quoting
            self._config.write_text(_AUTH.format(users=users), encoding="utf-8")

    def prepare(self) -> dict[str, str]:
        """Make the store and the configuration that the server reads at its start.

        Returns:
            Links to the latest sweeps by their name, the latest first.

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
        client = connect(self.results.store)
        self.write_settings()
        latest = client.search_experiments(max_results=LINKS, order_by=["last_update_time DESC"])
        return {one.name: view_link(self.address, one.experiment_id) for one in latest if has_view(one.tags)}

    def _variables(self) -> dict[str, str]:
        """Environment variables of the server's process that are no secret, except perhaps the address of the store."""
        own = {
            STORE_URI: exact(self.results.store),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        return own | {"MLFLOW_AUTH_CONFIG_PATH": str(self._config)} if self.asks else own

    @property
    def _artifacts(self) -> Path:
        folder = self.results.artifacts
        assert folder is not None, "a database has its artifacts in a folder"
        return folder

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


def _has_users(file: Path) -> bool:
    """Whether MLflow has written users into its database; it is empty before the first start has succeeded."""
    return file.is_file() and file.stat().st_size > 0


def _make_private(file: Path) -> None:
    """Make a file that only its owner can read, or let an existing one be so; SQLite's logs of a file follow it."""
    os.close(os.open(file, os.O_CREAT, OWNER_ONLY))
    file.chmod(OWNER_ONLY)
