"""Commands around the MLflow page."""

import os
import shlex
import sys
from typing import Annotated

import typer

from experiments.cli.arguments import ResultsOption
from experiments.folder import Results

app = typer.Typer(help="Open the MLflow page.", no_args_is_help=True)


@app.callback()
def mlflow() -> None:
    """Open the MLflow page."""


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 5000,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="HOST", help="Name under which browsers reach it; repeat for several."),
    ] = None,
    auth: Annotated[
        bool | None, typer.Option(help="Ask for user name and password (default: unless on a loopback address).")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Server processes.")] = 2,
    show: Annotated[bool, typer.Option("--dry-run", help="Print the command instead of running it.")] = False,
    results: ResultsOption = None,
) -> None:
    """Serve the project's store: the page for browsers, and the address for MLFLOW_TRACKING_URI.

    Example: ottt mlflow serve --port 5001
    """
    from experiments.server import Server

    server = Server(Results.at(results), host, port, names=tuple(name or ()), auth=auth, workers=workers)
    command = server.command()
    if show:
        print(shlex.join(command))
        return
    environment = server.environment(os.environ)
    server.prepare()
    print(f"MLflow page: {server.address} (Ctrl-C ends it)", file=sys.stderr, flush=True)
    os.chdir(server.results.root)  # where MLflow would leave files of its own
    os.execve(command[0], command, environment)
