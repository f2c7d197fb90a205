"""The command that writes a sweep's report: `ottt report`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from experiments.cli.arguments import (
    PluginOption,
    ResultsOption,
    StoredSweepArgument,
    at_home,
    load_plugins,
    stored_sweep,
)
from experiments.cli.results import Rule, RuleOption
from experiments.cli.shell.completion import metrics
from experiments.results.folder import shown
from ottt.errors import UserError, first_line

OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", callback=at_home, metavar="FILE", help="Page to write (default: SWEEP.html)."),
]
FiguresOption = Annotated[
    Path | None, typer.Option(callback=at_home, metavar="DIR", help="Also write the figures there, as PDF and PNG.")
]


def report(
    sweep: StoredSweepArgument,
    output: OutputOption = None,
    metric: Annotated[str, typer.Option(autocompletion=metrics, help="Metric to report.")] = "test/top1",
    rule: RuleOption = Rule.LAST,
    figures: FiguresOption = None,
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
    name, store = stored_sweep(sweep, results)
    history = load.history(name, store=store)
    runs = epoch_selection.select(load.runs(name, store=store), history, rule=rule, metric=metric)
    comparison = tables.compare(runs, metric=metric)
    path = (output or Path(f"{name}.html")).absolute()
    text = page(runs, history, comparison, Origin.of(name, store=store))
    with _writing("--output must be a file that can be written", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    print(f"report: {shown(path)}")
    if figures is not None:
        from analysis.figures.save import save_all

        with _writing("--figures must be a folder that can be written", figures):
            for line in save_all(runs, history, comparison, folder=figures):
                print(line)


@contextmanager
def _writing(rule: str, path: Path) -> Iterator[None]:
    """Turns a failure to write into an error of one line.

    Raises:
        UserError: nothing can be written there.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"{rule}, got {path}: {error.strerror or first_line(error)}") from error
