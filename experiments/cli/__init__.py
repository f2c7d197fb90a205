"""The `ottt` command. Its modules import heavy packages inside the commands that need them."""

import logging
import os
import sys
import traceback
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from experiments.cli import cluster, datasets, doctor, export, mlflow, report, results, runs, sweep, sweep_views, trial
from experiments.cli.shell import completion
from experiments.cli.shell.suggestions import SuggestingGroup
from experiments.cli.terminal import prepare
from experiments.interrupt import EXIT_INTERRUPTED, exit_at_once
from experiments.tracking.redact import Screen
from ottt.errors import UserError
from ottt.plugins import described

__all__ = ["app", "main"]

EXIT_FAILURE = 1
EXIT_USER = 2

app = typer.Typer(
    cls=SuggestingGroup,
    help="Ablation studies of spiking neural networks trained online through time.",
    epilog="--debug, anywhere on the line, shows the traceback of an error.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
sweep.app.command("sync")(sweep_views.sync)
app.add_typer(sweep.app, name="sweep", cls=SuggestingGroup)
app.add_typer(datasets.app, name="datasets", cls=SuggestingGroup)
app.add_typer(runs.app, name="runs")
app.add_typer(mlflow.app, name="mlflow", cls=SuggestingGroup)
app.add_typer(export.app, name="export", cls=SuggestingGroup)
app.add_typer(cluster.app, name="cluster", cls=SuggestingGroup)
app.command("compare")(results.compare)
app.command("report")(report.report)
app.command("train")(trial.train)
app.command("evaluate")(trial.evaluate)
app.command("models")(trial.models)
app.command("doctor")(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        from experiments.cli.shell.version import version_line

        print(version_line())
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version, and the commit."),
    ] = False,
) -> None: ...


def main() -> int:
    """Run the command; returns the exit status. Errors become lines on stderr. Secrets are not printed."""
    warnings.formatwarning = _note
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # without a HOME to write to it warns of a slower start
    prepare(sys.stdout, sys.stderr)
    screens = [Screen(stream) for stream in (sys.stdout, sys.stderr)]
    with redirect_stdout(screens[0]), redirect_stderr(screens[1]):
        try:
            return _main()
        finally:
            for screen in screens:
                screen.finish()


def _main() -> int:
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        _refuse_deleted_folder()
        status: int = app(arguments, prog_name="ottt", standalone_mode=False) or 0
        if status == EXIT_INTERRUPTED:
            exit_at_once(status)
        return status
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except SystemExit as error:  # of a plugin's code: the command would end as if it were done
        if _is_about_completion(arguments):
            raise
        if isinstance(error.__context__, BrokenPipeError):  # `| head` has read enough
            return EXIT_FAILURE
        print(f"error: the code of a plugin or a library {described(error)}", file=sys.stderr)
        return EXIT_FAILURE
    except Exception as error:
        if len(arguments) < len(sys.argv) - 1:
            traceback.print_exc()
        for line in _lines(error):
            print(f"error: {line}", file=sys.stderr)
        return EXIT_USER if isinstance(error, UserError | typer.TyperException) else EXIT_FAILURE


def _is_about_completion(arguments: list[str]) -> bool:
    """Whether the shell asks for completions, or the user for the shell's script: typer then ends the process."""
    return completion.VARIABLE in os.environ or (bool(arguments) and arguments[0] in completion.OPTIONS)


def _note(message: Warning | str, *_: object, **__: object) -> str:
    """A warning in one line, without the place in the code."""
    return f"note: {' '.join(str(message).split())}\n"


def _refuse_deleted_folder() -> None:
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UserError("the current folder must exist, but it was deleted: change to another one") from None


def _lines(error: Exception) -> list[str]:
    if isinstance(error, UserError):
        return list(error.problems)
    if isinstance(error, typer.TyperException):
        return list(filter(None, [error.format_message()]))
    return [" ".join(f"{type(error).__name__}: {error}".split())]
