"""The command that writes a sweep's report: `ottt report`."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.cli.arguments import PluginOption, ResultsOption, SweepArgument, load_plugins, sweep_name
from experiments.cli.results import Rule, RuleOption
from experiments.results.folder import Results, shown


def report(
    sweep: SweepArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Page to write (default: SWEEP.html).")
    ] = None,
    metric: Annotated[str, typer.Option(help="Metric to report.")] = "test/top1",
    rule: RuleOption = Rule.LAST,
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write the figures there, as PDF and PNG.")
    ] = None,
    plugin: PluginOption = None,
    results: ResultsOption = None,
) -> None:
    """Write a sweep's report: one HTML page for any browser, which needs no network.

    Example: ottt report quickstart -o quickstart.html
    """
    from analysis import load, tables
    from analysis.report.origin import Origin
    from analysis.report.page import page
    from analysis.tables import epoch_selection

    load_plugins(plugin)
    place = Results.at(results)
    name = sweep_name(sweep, place)
    history = load.history(name, store=place.store)
    runs = epoch_selection.select(load.runs(name, store=place.store), history, rule=rule, metric=metric)
    comparison = tables.compare(runs, metric=metric)
    path = (output or Path(f"{name}.html")).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(runs, history, comparison, Origin.of(name, store=place.store)), encoding="utf-8")
    print(f"report: {shown(path)}")
    if figures is not None:
        from analysis.figures.save import save_all

        for line in save_all(runs, history, comparison, folder=figures):
            print(line)
