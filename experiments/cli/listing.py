"""The command that lists sweeps and studies."""

import json
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from experiments.cli.arguments import JsonOption, ResultsOption
from experiments.cli.text import aligned
from experiments.folder import Results, shown


def list_sweeps(
    containing: Annotated[
        str, typer.Argument(metavar="[TEXT]", help="Only those whose name contains it, e.g. cifar10-.")
    ] = "",
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the sweeps that ran here, how they stand, and the studies that come with this: question, trials, cost.

    Example: ottt sweep list fashion
    """
    from experiments.catalogue import studies

    place = Results.at(results)
    ran = [row for row in _ran(place) if containing in row["sweep"]]
    found = studies(containing)
    if as_json:
        print(json.dumps({"sweeps": ran, "studies": [asdict(study) for study in found]}, indent=2))
        return
    if ran:
        print(aligned([list(ran[0]), *([str(value) for value in row.values()] for row in ran)]), end="\n\n")
    else:
        print(f"no sweep ran in {shown(place.root)}", file=sys.stderr)
    print("studies, to be launched by name:")
    for study in found:
        print(study.text())


def _ran(place: Results) -> list[dict[str, Any]]:
    """A row per sweep that ran here."""
    from experiments.overview import Overview

    rows = []
    for name in place.sweeps():
        running = place.is_locked(name)
        overview = Overview.of(place.read_plan(name), place.records, running=running)
        total, states = len(overview.plan["trials"]), ("running" if running else "")
        rows.append({"sweep": name, "trials": total, "done": overview.done, "failed": overview.failed, "now": states})
    return rows
