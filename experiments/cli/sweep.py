"""Commands that run and stop sweeps: `ottt sweep`."""

import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.cli import sweep_views
from experiments.cli.arguments import (
    JsonOption,
    Overrides,
    PluginOption,
    ResultsOption,
    SpecArgument,
    SweepArgument,
    sweep_name,
    with_plugins,
)
from experiments.cli.results import Format, comparison
from experiments.garbage_collection import collect_rarely, skip_collection_at_exit
from experiments.interrupt import exit_at_once
from experiments.results.folder import Results, shown
from ottt.errors import command
from ottt.plugins import printing_to_stderr

if TYPE_CHECKING:
    from experiments.planning.plan import SweepPlan
    from experiments.run.resume import WhichTrials
    from experiments.run.runner import SweepOutcome
    from experiments.sweep import Sweep

STOP_TIMEOUT_S = 600.0  # for the running epochs
TENSORBOARD = "tensorboard"

app = typer.Typer(help="Plan, run and watch sweeps.", no_args_is_help=True)
app.command("plan")(sweep_views.plan)
app.command("status")(sweep_views.status)
app.command("list")(sweep_views.list_sweeps)
app.command("export")(sweep_views.export)
app.command("schema")(sweep_views.schema)

FailFastOption = Annotated[bool, typer.Option("--fail-fast", help="Stop the sweep at the first trial that fails.")]


@app.command()
def run(
    spec: SpecArgument,
    overrides: Overrides = None,
    rerun: Annotated[bool, typer.Option("--rerun", help="Train every trial again from the beginning.")] = False,
    fail_fast: FailFastOption = False,
    plugin: PluginOption = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Ray cluster: auto, local or HOST:PORT (default: $RAY_ADDRESS or local)."),
    ] = None,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> int:
    """Run the trials of a sweep that have no result yet, and compare its variants.

    Ctrl-C stops the sweep; the same command resumes it.

    Example: ottt sweep run quickstart epochs=4 seeds=2
    """
    from experiments.cluster.access import choose_cluster
    from experiments.run.resume import WhichTrials
    from experiments.sweep import Sweep

    choose_cluster(address)
    sweep = Sweep.from_file(spec, overrides=with_plugins(overrides, plugin), results=results)
    again = command(*(word for word in sys.argv[1:] if word != "--rerun"))
    return _run(sweep, WhichTrials.ALL if rerun else WhichTrials.MISSING, again, fail_fast=fail_fast, as_json=as_json)


@app.command()
def resume(
    sweep: SweepArgument, fail_fast: FailFastOption = False, results: ResultsOption = None, as_json: JsonOption = False
) -> int:
    """Resume a sweep as it last ran, overrides included.

    Example: ottt sweep resume quickstart
    """
    from experiments.run.resume import WhichTrials

    return _run(_past_sweep(sweep, results), WhichTrials.MISSING, _this_command(), fail_fast=fail_fast, as_json=as_json)


@app.command("retry-failed")
def retry_failed(
    sweep: SweepArgument, fail_fast: FailFastOption = False, results: ResultsOption = None, as_json: JsonOption = False
) -> int:
    """Run the trials of a sweep that failed, and no others.

    Example: ottt sweep retry-failed quickstart
    """
    from experiments.run.resume import WhichTrials

    return _run(_past_sweep(sweep, results), WhichTrials.FAILED, _this_command(), fail_fast=fail_fast, as_json=as_json)


@app.command()
def stop(
    sweep: SweepArgument,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="How long to wait.")] = STOP_TIMEOUT_S,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop a running sweep from another shell: after the running epochs, with a checkpoint of every trial.

    Example: ottt sweep stop quickstart
    """
    from experiments.planning.status import SweepStatus
    from experiments.run.stop import ask_to_stop

    place = Results.at(results)
    name = sweep_name(sweep, place)
    ask_to_stop(place, name, timeout_s=timeout, asked=lambda: _print_stderr("asked: waiting for the running epochs"))
    current = SweepStatus.of(place.read_plan(name), place)
    total = len(current.plan.trials)
    if as_json:
        print(json.dumps({"sweep": name, "planned": total, "done": current.done}, indent=2))
    else:
        print(f"stopped: {current.done} of {total} trials done; to resume: {command('sweep', 'resume', name)}")


def _past_sweep(sweep: str, results: Path | None) -> "Sweep":
    from experiments.sweep import Sweep

    return Sweep.named(sweep_name(sweep, Results.at(results)), results=results)


def _run(sweep: "Sweep", choice: "WhichTrials", again: str, *, fail_fast: bool, as_json: bool) -> int:
    """Run the sweep and print the outcome; `again` is the command that resumes it."""
    collect_rarely()
    with printing_to_stderr():  # what sinks print must not stand between the lines of the outcome
        outcome = sweep.run(choice=choice, fail_fast=fail_fast)
    for note in outcome.plan.notes:
        _print_stderr(f"note: {note}")
    if outcome.lost is not None:
        _print_stderr(f"error: {outcome.lost}: {_done(outcome)}; to resume: {again}")
        exit_at_once(outcome.exit_status)
    if outcome.interrupted:
        _print_stderr(f"interrupted: {_done(outcome)}; to resume: {again}")
    elif outcome.store_problem is not None:
        _print_stderr(f"error: {outcome.store_problem}; the records are complete, to write what is missing: {again}")
    else:
        _print_outcome(outcome, sweep.place, again, as_json=as_json)
    if outcome.is_still_busy:  # a sink that hangs may also do so in what it does at Python's exit
        exit_at_once(outcome.exit_status)
    skip_collection_at_exit()
    return outcome.exit_status


def _print_outcome(outcome: "SweepOutcome", place: Results, again: str, *, as_json: bool) -> None:
    """Print the table and the paths of results on stdout, failures on stderr."""
    name = outcome.plan.name
    table = comparison(name, store=place.store, form=Format.JSON if as_json else Format.TEXT)
    if as_json:
        print(json.dumps(_summary(outcome, place) | {"comparison": json.loads(table)}, indent=2))
    else:
        print(table)
        print(f"trials run:  {outcome.ran} of {len(outcome.plan.trials)}")
        print(f"results:     {shown(place.root)}")
        if outcome.link is not None:
            print(f"MLflow view: {outcome.link}")
        print(f"MLflow page: {_page_command(place)}")
        for line in _sink_lines(outcome.plan, place):
            print(line)
    if outcome.failed:
        where = shown(place.records.folder)
        _print_stderr(
            f"error: {outcome.failed} of {len(outcome.plan.trials)} trials failed, see {where}/*/error.txt;"
            f" to retry: {again}"
        )


def _summary(outcome: "SweepOutcome", place: Results) -> dict[str, Any]:
    return {
        "sweep": outcome.plan.name,
        "planned": len(outcome.plan.trials),
        "ran": outcome.ran,
        "finished": outcome.finished,
        "failed": outcome.failed,
        "results": str(place.root),
        "view": outcome.link,
    }


def _done(outcome: "SweepOutcome") -> str:
    return f"{outcome.finished} of {len(outcome.plan.trials)} trials done"


def _this_command() -> str:
    return command(*sys.argv[1:])


def _page_command(place: Results) -> str:
    """The command that opens the MLflow page."""
    if not place.is_local:
        return "where MLFLOW_TRACKING_URI points"
    is_usual = place == Results.at(None)
    return command("mlflow", "serve", *([] if is_usual else ["--results", shown(place.root)]))


def _sink_lines(plan: "SweepPlan", place: Results) -> Iterator[str]:
    if any(choice.name == TENSORBOARD for choice in plan.spec.sinks):
        program = ["tensorboard"] if shutil.which("tensorboard") else [sys.executable, "-m", "tensorboard.main"]
        folder = shown(place.sink_folder(TENSORBOARD, plan.name))
        yield f"TensorBoard: {shlex.join([*program, '--logdir', folder])}"


def _print_stderr(line: str) -> None:
    print(line, file=sys.stderr)
