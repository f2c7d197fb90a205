"""The `ottt` command. Its modules import heavy packages inside the commands that need them."""

import os
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NoReturn

import typer

from experiments.cli import cluster, datasets, doctor, mlflow, report, results, runs, sweep, sync, trial
from experiments.interrupt import EXIT_INTERRUPTED
from experiments.tracking.redact import Screen
from ottt.errors import UserError

__all__ = ["app", "main"]

EXIT_FAILURE = 1
EXIT_USER = 2

app = typer.Typer(
    help="Ablation studies of spiking neural networks trained online through time.",
    epilog="--debug, anywhere on the line, shows the traceback of an error.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
sweep.app.command("sync")(sync.sync)
app.add_typer(sweep.app, name="sweep")
app.add_typer(datasets.app, name="datasets")
app.add_typer(runs.app, name="runs")
app.add_typer(mlflow.app, name="mlflow")
app.add_typer(cluster.app, name="cluster")
app.command("compare")(results.compare)
app.command("report")(report.report)
app.command("train")(trial.train)
app.command("evaluate")(trial.evaluate)
app.command("models")(trial.models)
app.command("doctor")(doctor.doctor)


def main() -> int:
    """Run the command; returns the exit status. Errors become lines on stderr. Secrets are not printed."""
    with redirect_stdout(Screen(sys.stdout)), redirect_stderr(Screen(sys.stderr)):
        return _main()


def _main() -> int:
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        _refuse_deleted_folder()
        status: int = app(arguments, prog_name="ottt", standalone_mode=False) or 0
        if status == EXIT_INTERRUPTED:
            _exit_at_once(status)
        return status
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:
        if len(arguments) < len(sys.argv) - 1:
            traceback.print_exc()
        for line in _lines(error):
            print(f"error: {line}", file=sys.stderr)
        return EXIT_USER if isinstance(error, UserError | typer.TyperException) else EXIT_FAILURE


def _refuse_deleted_folder() -> None:
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UserError("the current folder must exist, but it was deleted: change to another one") from None


def _exit_at_once(status: int) -> NoReturn:
    """End without Python's clean-up, in which Ray's threads can abort the process after an interruption."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _lines(error: Exception) -> list[str]:
    if isinstance(error, UserError):
        return list(error.problems)
    if isinstance(error, typer.TyperException):
        return list(filter(None, [error.format_message()]))
    return [" ".join(f"{type(error).__name__}: {error}".split())]
