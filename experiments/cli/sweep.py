"""Commands that plan, run and watch sweeps."""

import json
import shlex
import sys
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.cli.arguments import JsonOption, ResultsOption, SpecArgument, SweepArgument, sweep_name
from experiments.cli.results import Format, comparison
from experiments.folder import Results, find_spec, shown

if TYPE_CHECKING:
    from experiments.runner import SweepOutcome

app = typer.Typer(help="Plan, run and watch sweeps.", no_args_is_help=True)

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Changes to the base configuration or to the spec."),
]


@app.command()
def run(
    spec: SpecArgument, overrides: Overrides = None, results: ResultsOption = None, as_json: JsonOption = False
) -> int:
    """Run the trials of a sweep that have no result yet, and compare its variants.

    Ctrl-C ends it early; the same command goes on.

    Example: ottt sweep run quickstart epochs=4 seeds=2
    """
    from rich.console import Console

    from experiments.runner import run_sweep
    from experiments.spec import SweepSpec

    place = Results.at(results)
    sweep = SweepSpec.from_file(find_spec(spec), overrides or ())
    outcome = run_sweep(sweep, results=place, console=Console(stderr=True))
    for note in outcome.plan.notes:
        _tell(f"note: {note}")
    if outcome.interrupted:
        _tell(f"interrupted: {_done(outcome)}; to go on: {_command()}")
    elif outcome.store_problem is not None:
        _tell(f"error: {outcome.store_problem}; the records are complete, to write what is missing: {_command()}")
    else:
        _show(outcome, place, as_json=as_json)
    return outcome.exit_status


@app.command()
def plan(
    spec: SpecArgument, overrides: Overrides = None, results: ResultsOption = None, as_json: JsonOption = False
) -> None:
    """Show the variants of a sweep and what of them is done, without running anything.

    Example: ottt sweep plan quickstart neuron.v_threshold=0.5
    """
    from experiments.overview import Overview
    from experiments.plan import expand
    from experiments.spec import SweepSpec

    place = Results.at(results)
    expanded = expand(SweepSpec.from_file(find_spec(spec), overrides or ()))
    for note in expanded.notes:
        _tell(f"note: {note}")
    running = place.is_locked(expanded.name)
    overview = Overview.of(expanded.to_json(), place.records, running=running)
    print(json.dumps(overview.to_json(), indent=2) if as_json else overview.text())


@app.command()
def status(sweep: SweepArgument, results: ResultsOption = None, as_json: JsonOption = False) -> None:
    """Show how a sweep stands, while it runs or after.

    Example: ottt sweep status quickstart
    """
    from experiments.overview import Overview

    place = Results.at(results)
    name = sweep_name(sweep, place)
    stored = place.read_plan(name)
    running = place.is_locked(name)
    overview = Overview.of(stored, place.records, running=running)
    print(json.dumps(overview.to_json() | {"running": running}, indent=2) if as_json else overview.text())


def _show(outcome: "SweepOutcome", place: Results, *, as_json: bool) -> None:
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
            f" to try them again: {_command()}"
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


def _command() -> str:
    return shlex.join(["ottt", *sys.argv[1:]])


def _page(place: Results) -> str:
    """The line that opens the MLflow page; a server's address as it is."""
    if not place.is_local:
        return "where MLFLOW_TRACKING_URI points"
    mlflow = Path(sys.executable).parent / "mlflow"
    command = "mlflow" if which("mlflow") == str(mlflow) else shown(mlflow)
    store = f"sqlite:///{shown(place.root / 'mlflow.db')}"
    return shlex.join([command, "ui", "--backend-store-uri", store])


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
