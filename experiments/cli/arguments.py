"""Arguments that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.results.folder import Results
from experiments.spec.studies import find_spec
from ottt.errors import UserError
from ottt.plugins import load_plugin

SpecArgument = Annotated[
    str, typer.Argument(metavar="SPEC", help="YAML file of a sweep, or the name of a study that comes with this.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Changes to the base configuration or to the spec."),
]
SweepArgument = Annotated[str, typer.Argument(metavar="SWEEP", help="Name of a sweep that was run, or its spec.")]
ResultsOption = Annotated[
    Path | None,
    typer.Option("--results", metavar="DIR", help="Folder of results (default: $OTTT_RESULTS, else results)."),
]
PluginOption = Annotated[
    list[str] | None,
    typer.Option("--plugin", metavar="MODULE", help="Module or file.py that adds networks, rules, data or metrics."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def with_plugins(overrides: list[str] | None, plugins: list[str] | None) -> list[str]:
    """The overrides, and one that names the plugins: `--plugin a --plugin b` is `plugins=[a,b]`."""
    return [*([f"plugins=[{','.join(plugins)}]"] if plugins else []), *(overrides or [])]


def load_plugins(plugins: list[str] | None) -> None:
    """Make known what they add, where no configuration names them."""
    for name in plugins or ():
        load_plugin(name)


def sweep_name(given: str, results: Results) -> str:
    """Name of the sweep `given` by name or by spec; a name that was never run here is passed on."""
    if results.has_plan(given):
        return given
    try:
        path = find_spec(given)
    except UserError:
        return given
    from experiments.spec.read import read_spec

    return read_spec(path).name
