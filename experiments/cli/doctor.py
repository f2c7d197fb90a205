"""The command that checks for problems that would stop a sweep: `ottt doctor`."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from experiments.cli.arguments import JsonOption, ResultsOption
from experiments.results.folder import Results


def doctor(
    spec: Annotated[str | None, typer.Argument(metavar="[SPEC]", help="Spec to check (default: every study).")] = None,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> int:
    """Check packages, disk, clock, tracking store, specs, GPUs and storage of every machine, a line each.

    Example: ottt doctor quickstart
    """
    from experiments.doctor import examine

    found = []
    for check in examine(Results.at(results), spec):
        found.append(check)
        if not as_json:
            print(check.text(), flush=True)
    if as_json:
        print(json.dumps([asdict(check) for check in found], indent=2))
    return int(not all(check.is_good for check in found))
