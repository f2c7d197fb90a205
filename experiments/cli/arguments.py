"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.cli.shell import completion
from experiments.results.folder import Results
from experiments.sweep_spec.studies import find_spec
from ottt.errors import UserError
from ottt.files import user_path
from ottt.plugins import load_plugin

SpecArgument = Annotated[
    str,
    typer.Argument(
        metavar="SPEC",
        autocompletion=completion.specs,
        help="YAML file of a sweep, or the name of a study that ships with OTTT Lab.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        autocompletion=completion.spec_settings,
        help="Changes to the base configuration or to the spec.",
    ),
]
SweepArgument = Annotated[
    str,
    typer.Argument(
        metavar="SWEEP", autocompletion=completion.sweeps, help="Name of a sweep that was run, or its spec."
    ),
]
StoredSweepArgument = Annotated[
    str,
    typer.Argument(
        metavar="SWEEP",
        autocompletion=completion.sweeps,
        help="Name of a sweep that was run, its spec, or a folder that `ottt sweep export` wrote.",
    ),
]


def at_home(path: Path | None) -> Path | None:
    """The path that a user wrote, see `ottt.files.user_path`: the callback of every option and argument for a path."""
    return None if path is None else user_path(path)


ResultsOption = Annotated[
    Path | None,
    typer.Option(
        "--results", metavar="DIR", callback=at_home, help="Folder of results (default: $OTTT_RESULTS, else results)."
    ),
]
PluginOption = Annotated[
    list[str] | None,
    typer.Option("--plugin", metavar="MODULE", help="Module or file.py that adds networks, rules, data or metrics."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def with_plugins(overrides: list[str] | None, plugins: list[str] | None) -> list[str]:
    """The overrides and, for `--plugin a --plugin b`, the override `plugins=[a,b]`."""
    return [*([f"plugins=[{','.join(plugins)}]"] if plugins else []), *(overrides or [])]


def load_plugins(plugins: list[str] | None) -> None:
    """Load plugins that no configuration names."""
    for name in plugins or ():
        load_plugin(name)


def stored_sweep(given: str, option: Path | None) -> tuple[str, str]:
    """Name and store of a sweep given by name or by spec, or by a folder that `ottt sweep export` wrote."""
    from analysis.store.exported import ExportStore, is_export

    place, folder = Results.at(option), user_path(given)
    if not place.has_plan(given) and is_export(folder):
        return ExportStore(folder).sweep, str(folder)
    return sweep_name(given, place), place.store


def sweep_name(given: str, results: Results) -> str:
    """Name of a sweep given by name or by spec; the name of a sweep that never ran here is returned unchanged."""
    if results.has_plan(given):
        return given
    try:
        path = find_spec(given)
    except UserError:
        return given
    from experiments.sweep_spec.read import read_spec

    return read_spec(path).name
