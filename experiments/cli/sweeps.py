"""Commands that look at sweeps: what they consist of and how they stand."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

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
from experiments.folder import Results, shown
from ottt.errors import UserError, first_line


def plan(
    spec: SpecArgument,
    overrides: Overrides = None,
    estimate: Annotated[
        bool, typer.Option(help="Estimate time and GPU-hours; measures a few batches of what never ran.")
    ] = True,
    plugin: PluginOption = None,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the variants of a sweep, what of them is done, and what the rest will cost. Runs no trial.

    Example: ottt sweep plan quickstart neuron.v_threshold=0.5
    """
    from experiments.estimate import estimated
    from experiments.sweep import Sweep

    sweep = Sweep.from_file(spec, overrides=with_plugins(overrides, plugin), results=results)
    for note in sweep.plan().notes:
        print(f"note: {note}", file=sys.stderr)
    overview = sweep.status()
    cost = estimated(sweep.spec, sweep.place.records) if estimate else None
    if as_json:
        print(json.dumps(overview.to_json() | {"estimate": None if cost is None else cost.to_json()}, indent=2))
        return
    if sweep.spec.question is not None:
        print(sweep.spec.question, end="\n\n")
    print(overview.text())
    if sweep.spec.cost is not None:
        print(f"all trials: {sweep.spec.cost}")
    if cost is not None:
        print(cost.text())


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


def export(
    sweep: SweepArgument,
    folder: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="Folder to write (default: the sweep's name).")
    ] = None,
    results: ResultsOption = None,
) -> None:
    """Write a sweep's spec, plan, runs and every epoch's metrics as plain files, to publish or to load elsewhere.

    Example: ottt sweep export quickstart --to quickstart-results
    """
    from analysis import load

    place = Results.at(results)
    name = sweep_name(sweep, place)
    stored, spec = place.read_plan(name), place.spec_of(name).read_text(encoding="utf-8")
    runs, history = load.runs(name, store=place.store), load.history(name, store=place.store)
    target = folder or Path(name)
    try:
        target.mkdir(parents=True, exist_ok=True)
        (target / "spec.yaml").write_text(spec, encoding="utf-8")
        (target / "plan.json").write_text(json.dumps(stored, indent=1), encoding="utf-8")
        runs.to_csv(target / "runs.csv", index=False)
        history.to_csv(target / "history.csv", index=False)
    except OSError as error:
        raise UserError(f"--to must be a folder that can be written, got {target}: {first_line(error)}") from error
    for file in ("spec.yaml", "plan.json", "runs.csv", "history.csv"):
        print(f"wrote {shown((target / file).absolute())}")


def schema() -> None:
    """Print the JSON schema of specs, with which editors complete and check them.

    Example: ottt sweep schema > sweep.schema.json
    """
    from experiments.spec_schema import spec_schema

    print(json.dumps(spec_schema(), indent=2))
