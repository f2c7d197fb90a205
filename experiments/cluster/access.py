"""The address of the cluster to use, and the token that it requires."""

import os
import socket
from collections.abc import MutableMapping
from pathlib import Path

from ottt.errors import UserError, command, first_line

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
CONNECT_S = 10.0  # for a cluster to answer


def show_token(environment: MutableMapping[str, str] = os.environ) -> None:
    """Make Ray, before it is imported, send its token to the cluster.

    Raises:
        UserError: there is no token.
    """
    if environment.get(MODE, "token") != "token":
        return
    path = Path(environment.get(TOKEN_PATH) or Path.home() / ".ray" / "auth_token")
    if not environment.get(TOKEN) and not path.is_file():
        raise UserError(
            f"{path}: the cluster's token must be there or in {TOKEN}, found none; on the head: ray get-auth-token"
        )
    environment[MODE] = "token"


def choose_cluster(address: str | None, environment: MutableMapping[str, str] = os.environ) -> None:
    """Make Ray, before it is imported, use the cluster at `address`; None keeps RAY_ADDRESS.

    Args:
        address: "auto", this machine's cluster; "local", a new one; or HOST:PORT of a head.
        environment: environment variables of this process.

    Raises:
        UserError: an address of a Ray client, through which trials cannot be followed.
    """
    if address is None:
        return
    if address.startswith("ray://"):
        raise UserError(
            f"--address must be auto, local or HOST:PORT of a head that this machine is part of, got {address};"
            f" from elsewhere: {command('cluster', 'submit')}"
        )
    environment["RAY_ADDRESS"] = address


def refuse_silent(address: str) -> None:
    """Fail within seconds if no cluster answers at `address`; Ray itself tries for minutes.

    Raises:
        UserError: not an address, or nothing listens there.
    """
    if address == "auto" or "/" in address:
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(f"RAY_ADDRESS must be auto, local or HOST:PORT of a head, got {address}")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"RAY_ADDRESS must be a cluster that runs, got {address}: {first_line(error)}") from error
