"""Commands that run sweeps, and end them."""

import json
import shlex
import shutil
import sys
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
from experiments.garbage_collection import leave, search_rarely
from experiments.results.folder import Results, shown

if TYPE_CHECKING:
    from experiments.planning.resume import Choice
    from experiments.run.runner import SweepOutcome
    from experiments.sweep import Sweep

STOP_TIMEOUT_S = 600.0  # for the epochs under way

app = typer.Typer(help="Plan, run and watch sweeps.", no_args_is_help=True)
app.command("plan")(sweep_views.plan)
app.command("status")(sweep_views.status)
app.command("list")(sweep_views.list_sweeps)
app.command("export")(sweep_views.export)
app.command("schema")(sweep_views.schema)

FailFastOption = Annotated[bool, typer.Option("--fail-fast", help="End the sweep at the first trial that fails.")]


@app.command()
def run(
    spec: SpecArgument,
    overrides: Overrides = None,
    rerun: Annotated[bool, typer.Option("--rerun", help="Train every trial again, from the beginning.")] = False,
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

    Ctrl-C ends it early; the same command goes on.

    Example: ottt sweep run quickstart epochs=4 seeds=2
    """
    from experiments.cluster.access import choose_cluster
    from experiments.planning.resume import Choice
    from experiments.sweep import Sweep

    choose_cluster(address)
    sweep = Sweep.from_file(spec, overrides=with_plugins(overrides, plugin), results=results)
    again = shlex.join(["ottt", *(word for word in sys.argv[1:] if word != "--rerun")])
    return _run(sweep, Choice.ALL if rerun else Choice.MISSING, again, fail_fast=fail_fast, as_json=as_json)


@app.command()
def resume(
    sweep: SweepArgument, fail_fast: FailFastOption = False, results: ResultsOption = None, as_json: JsonOption = False
) -> int:
    """Go on with a sweep as it last ran, overrides included.

    Example: ottt sweep resume quickstart
    """
    from experiments.planning.resume import Choice

    return _run(_named(sweep, results), Choice.MISSING, _typed(), fail_fast=fail_fast, as_json=as_json)


@app.command("retry-failed")
def retry_failed(
    sweep: SweepArgument, fail_fast: FailFastOption = False, results: ResultsOption = None, as_json: JsonOption = False
) -> int:
    """Run the trials of a sweep that failed, and no others.

    Example: ottt sweep retry-failed quickstart
    """
    from experiments.planning.resume import Choice

    return _run(_named(sweep, results), Choice.FAILED, _typed(), fail_fast=fail_fast, as_json=as_json)


@app.command()
def stop(
    sweep: SweepArgument,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="How long to wait.")] = STOP_TIMEOUT_S,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a running sweep from another shell: after the epochs under way, with every trial's state written.

    Example: ottt sweep stop quickstart
    """
    from experiments.planning.status import SweepStatus
    from experiments.run.stop import ask_to_stop

    place = Results.at(results)
    name = sweep_name(sweep, place)
    ask_to_stop(place, name, timeout_s=timeout, asked=lambda: _tell("asked: waiting for the epochs under way"))
    stands = SweepStatus.of(place.read_plan(name), place)
    total = len(stands.plan.trials)
    if as_json:
        print(json.dumps({"sweep": name, "planned": total, "done": stands.done}, indent=2))
    else:
        print(f"stopped: {stands.done} of {total} trials done; to go on: ottt sweep resume {name}")


def _named(sweep: str, results: Path | None) -> "Sweep":
    from experiments.sweep import Sweep

    return Sweep.named(sweep_name(sweep, Results.at(results)), results=results)


def _run(sweep: "Sweep", choice: "Choice", again: str, *, fail_fast: bool, as_json: bool) -> int:
    """Run it and say how it went; `again` is the command that goes on with it."""
    search_rarely()
    outcome = sweep.run(choice=choice, fail_fast=fail_fast)
    for note in outcome.plan.notes:
        _tell(f"note: {note}")
    if outcome.interrupted:
        _tell(f"interrupted: {_done(outcome)}; to go on: {again}")
    elif outcome.store_problem is not None:
        _tell(f"error: {outcome.store_problem}; the records are complete, to write what is missing: {again}")
    else:
        _show(outcome, sweep.place, again, as_json=as_json)
    leave()
    return outcome.exit_status


def _show(outcome: "SweepOutcome", place: Results, again: str, *, as_json: bool) -> None:
    """The table and where everything lies, on stdout; what failed, on stderr."""
    name = outcome.plan.name
    table = comparison(name, store=place.store, form=Format.JSON if as_json else Format.TEXT)
    if as_json:
        print(json.dumps(_summary(outcome, place) | {"comparison": json.loads(table)}, indent=2))
    else:
        print(table)
        print(f"trials run:  {outcome.ran} of {len(outcome.plan.trials)}")
        print(f"results:     {shown(place.root)}")
        print(f"MLflow page: {_page(place)}")
    if outcome.failed:
        where = shown(place.records.folder)
        _tell(
            f"error: {outcome.failed} of {len(outcome.plan.trials)} trials failed, see {where}/*/error.txt;"
            f" to try them again: {again}"
        )


def _summary(outcome: "SweepOutcome", place: Results) -> dict[str, Any]:
    return {
        "sweep": outcome.plan.name,
        "planned": len(outcome.plan.trials),
        "ran": outcome.ran,
        "finished": outcome.finished,
        "failed": outcome.failed,
        "results": str(place.root),
    }


def _done(outcome: "SweepOutcome") -> str:
    return f"{outcome.finished} of {len(outcome.plan.trials)} trials done"


def _typed() -> str:
    return shlex.join(["ottt", *sys.argv[1:]])


def _page(place: Results) -> str:
    """The command that opens the MLflow page."""
    if not place.is_local:
        return "where MLFLOW_TRACKING_URI points"
    is_usual = place == Results.at(None)
    command = "ottt" if shutil.which("ottt") else shown(Path(sys.executable).with_name("ottt"))
    return shlex.join([command, "mlflow", "serve", *([] if is_usual else ["--results", shown(place.root)])])


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
