"""Commands for sweeps that run nothing: list, plan, status, sync, export and schema of `ottt sweep`."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analysis.text.terminal import aligned
from experiments.cli.arguments import (
    JsonOption,
    Overrides,
    PluginOption,
    ResultsOption,
    SpecArgument,
    SweepArgument,
    at_home,
    sweep_name,
    with_plugins,
)
from experiments.results.folder import Results, shown
from ottt.errors import UserError, command, first_line
from ottt.plugins import printing_to_stderr

if TYPE_CHECKING:
    from analysis.statistics.power import Detectable
    from experiments.planning.plan import SweepPlan


def list_sweeps(
    containing: Annotated[
        str, typer.Argument(metavar="[TEXT]", help="Only names that contain it, e.g. cifar10-.")
    ] = "",
    with_studies: Annotated[
        bool, typer.Option("--studies", help="List the studies that ship with OTTT Lab, with question and cost.")
    ] = False,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the sweeps that ran here, with their status.

    Example: ottt sweep list --studies fashion
    """
    from experiments.planning.catalog import studies

    place = Results.at(results)
    ran, found = _past_sweeps(place, containing), studies(containing) if with_studies else []
    if as_json:
        print(json.dumps({"sweeps": ran} | ({"studies": list(map(asdict, found))} if with_studies else {}), indent=2))
        return
    if ran:
        print(aligned([list(ran[0]), *([str(value) for value in row.values()] for row in ran)]))
    else:
        named = f" with {containing!r} in its name" if containing else ""
        print(f"no sweep{named} ran in {shown(place.root)}", file=sys.stderr)
    if ran and (found or not with_studies):
        print()
    if not with_studies:
        print(f"studies that ship with OTTT Lab: {command('sweep', 'list', '--studies')}")
    elif found:
        print("studies, to be run by name:")
    for study in found:
        print(study.text())


def _past_sweeps(place: Results, containing: str) -> list[dict[str, Any]]:
    """One row per sweep that ran here and has the text in its name."""
    from experiments.planning.status import SweepStatus

    rows = []
    for name in (name for name in place.sweeps() if containing in name):
        try:
            status = SweepStatus.of(place.read_plan(name), place)
        except UserError as error:  # one damaged plan must not hide the other sweeps
            _note(error.problems)
            continue
        _note(status.notes)
        now, total = "running" if status.running else "", len(status.plan.trials)
        rows.append({"sweep": name, "trials": total, "done": status.done, "failed": status.failed, "now": now})
    return rows


def plan(
    spec: SpecArgument,
    overrides: Overrides = None,
    estimate: Annotated[
        bool, typer.Option(help="Estimate time and GPU-hours; measures a few batches of trials that never ran.")
    ] = True,
    plugin: PluginOption = None,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the variants of a sweep, their status, and the cost of the trials still to run. Runs no trial.

    Example: ottt sweep plan quickstart neuron.v_threshold=0.5
    """
    from experiments.costs.estimate import estimated
    from experiments.planning.status import SweepStatus
    from experiments.sweep import Sweep
    from experiments.tracking.shown_plan import shown_plan

    sweep = Sweep.from_file(spec, overrides=with_plugins(overrides, plugin), results=results)
    planned = sweep.plan()
    _note(planned.notes)
    current = SweepStatus.of(shown_plan(planned), sweep.place)
    _note(current.notes)
    found = _detectable(planned, sweep.place)
    cost = estimated(sweep.spec, sweep.place.records) if estimate else None
    if as_json:
        extra = {"detectable": found and found.to_json(), "estimate": cost and cost.to_json()}
        print(json.dumps(current.to_json() | extra, indent=2))
        return
    if sweep.spec.question is not None:
        print(sweep.spec.question, end="\n\n")
    print(current.text())
    if found is not None:
        print(f"{planned.metric} of trials that ran: {found.text()}")
    if sweep.spec.cost is not None:
        print(f"all trials: {sweep.spec.cost}")
    if cost is not None:
        print(cost.text())


def _detectable(plan: "SweepPlan", place: Results) -> "Detectable | None":
    from experiments.planning.detectable import detectable

    try:
        return detectable(plan, place, seeds=len(plan.spec.seeds))
    except UserError as error:  # a damaged plan of an earlier run
        _note(error.problems)
        return None


def status(
    sweep: SweepArgument,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Show it until the sweep ends or Ctrl-C: redrawn on a terminal, else a line per change."
        ),
    ] = False,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the status of a sweep, while it runs or afterwards.

    Example: ottt sweep status quickstart --watch
    """
    from experiments.planning.status import SweepStatus
    from experiments.tracking.shown_plan import shown_plan

    if watch and as_json:
        raise UserError("options must ask for one form, got --watch and --json")
    place = Results.at(results)
    name = sweep_name(sweep, place)

    def now() -> SweepStatus:
        return SweepStatus.of(shown_plan(place.read_plan(name)), place)

    if watch:
        from experiments.cli.shell.watch import show_until_the_end

        show_until_the_end(now)
        return
    current = now()
    _note(current.notes)
    print(json.dumps(current.to_json() | {"running": current.running}, indent=2) if as_json else current.text())


def export(
    sweep: SweepArgument,
    folder: Annotated[
        Path | None,
        typer.Option("--to", callback=at_home, metavar="DIR", help="Folder to write (default: the sweep's name)."),
    ] = None,
    results: ResultsOption = None,
) -> None:
    """Write a sweep's spec, plan, runs and every epoch's metrics as plain files, to publish or to load elsewhere.

    `ottt compare` and `ottt report` read the folder as they read a sweep.

    Example: ottt sweep export quickstart --to quickstart-results
    """
    from analysis import load
    from analysis.store.exported import write_export
    from analysis.store.open import open_store
    from experiments.tracking.redact import redacted
    from experiments.tracking.shown_plan import shown_plan

    place = Results.at(results)
    name = sweep_name(sweep, place)
    target = folder or Path(name)
    plan, spec = shown_plan(place.read_plan(name)), redacted(place.spec_of(name).read_text(encoding="utf-8"))
    origin = load.parent(open_store(place.store), name, place.store).tags
    runs, history = load.runs(name, store=place.store), load.history(name, store=place.store)
    try:
        files = write_export(target, plan=plan, spec=spec, origin=origin, runs=runs, history=history)
    except OSError as error:
        raise UserError(f"--to must be a folder that can be written, got {target}: {first_line(error)}") from error
    for file in files:
        print(f"wrote {shown(file.absolute())}")


def sync(
    sweep: SweepArgument,
    store: Annotated[
        str | None,
        typer.Option("--to", metavar="URI", help="Tracking store (default: $MLFLOW_TRACKING_URI, else the local one)."),
    ] = None,
    results: ResultsOption = None,
) -> int:
    """Write the records of a sweep that MLflow lacks: after an outage, or into another store.

    Without --to, the sinks of its spec get all epochs again, too.

    Example: ottt sweep sync quickstart --to http://mlflow.example:5000
    """
    from analysis.store.uri import shown_uri
    from experiments.sinks.refill import refill
    from experiments.tracking.sync import sync as replay

    place = Results.at(results)
    name = sweep_name(sweep, place)
    synced = replay(name, results=place, store=store)
    print(f"{synced.text}; the store has them all: {shown_uri(store or place.store)}")
    if store is not None:
        return 0
    with printing_to_stderr():
        problems = refill(name, results=place)
    for sink, problem in problems.items():
        if problem is None:
            print(f"sink {sink}: has them all")
        else:
            print(f"error: {problem}", file=sys.stderr)
    return int(any(problems.values()))


def schema() -> None:
    """Print the JSON schema of specs, with which editors complete and check them.

    Example: ottt sweep schema > sweep.schema.json
    """
    from experiments.sweep_spec.json_schema import spec_schema

    print(json.dumps(spec_schema(), indent=2))


def _note(notes: Iterable[str]) -> None:
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
