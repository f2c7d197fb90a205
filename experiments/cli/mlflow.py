"""Commands for MLflow: `ottt mlflow`."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from experiments.cli.arguments import ResultsOption, SweepArgument, at_home, sweep_name
from experiments.cli.runs import RunArgument
from experiments.results.folder import Results
from ottt.errors import UserError

DEVICES = ("cpu", "cuda")

app = typer.Typer(help="Open the MLflow page, and log and register models.", no_args_is_help=True)

DeviceOption = Annotated[str, typer.Option(help="Device that the model will run on: cpu or cuda.")]


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 5000,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="HOST", help="Name under which browsers reach the server; repeat for several."),
    ] = None,
    auth: Annotated[
        bool | None, typer.Option(help="Ask for user name and password (default: except on a loopback address).")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Number of server processes.")] = 2,
    show: Annotated[
        bool, typer.Option("--dry-run", help="Print the command for a shell instead of running it.")
    ] = False,
    results: ResultsOption = None,
) -> None:
    """Serve the tracking store: the page for browsers, and the address for MLFLOW_TRACKING_URI.

    Example: ottt mlflow serve --port 5001
    """
    from experiments.tracking.server import Server

    server = Server(Results.at(results), host, port, names=tuple(name or ()), auth=auth, workers=workers)
    if show:
        server.write_settings()
        print(server.line())
        return
    command = server.command()
    environment = server.environment(os.environ)
    links = server.prepare()
    print(f"MLflow page: {server.address} (Ctrl-C ends it)", file=sys.stderr, flush=True)
    for sweep, link in links.items():
        print(f"{sweep}: {link}", file=sys.stderr, flush=True)
    os.chdir(server.results.root)  # where MLflow writes files of its own
    os.execve(command[0], command, environment)


@app.command("log-model")
def log_model(
    run: RunArgument,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            callback=at_home,
            metavar="PATH",
            help="Checkpoint of the trial (default: the one kept by checkpoints.keep).",
        ),
    ] = None,
    device: DeviceOption = "cpu",
    results: ResultsOption = None,
) -> None:
    """Add a trial's network to its run in MLflow's format, for mlflow.pyfunc.load_model and mlflow.pytorch.load_model.

    Example: ottt mlflow log-model 3f9c12ab
    """
    from analysis.search import find

    _check(device)
    place = Results.at(results)
    found = find(run, store=place.store)
    from experiments.tracking.model import log_model as log

    print(log(found, store=place.store, records=place.records, checkpoint=checkpoint, device=device))


@app.command()
def register(
    sweep: SweepArgument,
    name: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Name in the registry (default: the sweep's name).")
    ] = None,
    device: DeviceOption = "cpu",
    results: ResultsOption = None,
) -> None:
    """Register the network of a sweep's best variant, by the sweep's metric on validation data.

    It needs the checkpoints that checkpoints.keep=true keeps.

    Example: ottt mlflow register quickstart --name digits
    """
    _check(device)
    place = Results.at(results)
    from experiments.tracking.registration import register as enter

    found = sweep_name(sweep, place)
    address, choice = enter(found, store=place.store, records=place.records, name=name, device=device)
    print(choice.text, file=sys.stderr)
    print(address)


def _check(device: str) -> None:
    if device not in DEVICES:
        raise UserError(f"--device must be one of {', '.join(DEVICES)}, got {device!r}")
