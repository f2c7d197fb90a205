"""The command that compares the variants of a sweep: `ottt compare`."""

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.cli.arguments import PluginOption, ResultsOption, StoredSweepArgument, load_plugins, stored_sweep
from experiments.cli.shell.completion import metrics
from experiments.cli.table_choice import NOT_FLOATING, Floating, View

if TYPE_CHECKING:
    import pandas as pd

    from analysis.text.columns import Result

PIPED_WIDTH = 100  # characters per line without a terminal


class Format(StrEnum):
    """Formats of a table."""

    TEXT = "text"
    MD = "md"
    LATEX = "latex"
    CSV = "csv"
    HTML = "html"
    JSON = "json"


class Rule(StrEnum):
    """Epoch of a trial at which its metrics are reported: keys of `analysis.tables.epoch_selection.RULES`."""

    LAST = "last"
    BEST_VAL = "best-val"
    PAPER = "paper"


class Published(StrEnum):
    """Published results to compare with."""

    PAPER = "paper"


RuleOption = Annotated[
    Rule,
    typer.Option(
        help="Epoch to report: the last; the best on validation data; or, as in the paper, the best on the metric"
        " itself, which is optimistic."
    ),
]


ColumnsOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,NAME",
        help="Columns to show, by heading (of CSV and JSON: by name); +NAME,NAME adds to the default ones.",
    ),
]
CaptionOption = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Caption of --format latex, which is then a floating table.")
]
LabelOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Label of a table with a caption (default: tab:SWEEP).")
]


BaselineOption = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Setting of the variant to compare with; repeat for several."),
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Only variants with this setting; repeat for several."),
]
ParetoOption = Annotated[
    str | None, typer.Option(metavar="METRIC,METRIC", help="Variants that no other beats on all these metrics.")
]


def compare(
    sweep: StoredSweepArgument,
    metric: Annotated[str, typer.Option(autocompletion=metrics, help="Metric to compare.")] = "test/top1",
    by: Annotated[str | None, typer.Option(metavar="KEY,KEY", help="Settings to show (default: those varied).")] = None,
    baseline: BaselineOption = None,
    where: WhereOption = None,
    rule: RuleOption = Rule.LAST,
    rows: Annotated[str | None, typer.Option(metavar="KEY", help="Two-way table: setting of the rows.")] = None,
    cols: Annotated[str | None, typer.Option(metavar="KEY", help="Two-way table: setting of the columns.")] = None,
    effects: Annotated[bool, typer.Option("--effects", help="Share of the variance by axis and interaction.")] = False,
    importance: Annotated[bool, typer.Option("--importance", help="Rank the settings of a search.")] = False,
    pareto: ParetoOption = None,
    against: Annotated[Published | None, typer.Option(help="Show published results beside measured ones.")] = None,
    columns: ColumnsOption = None,
    form: Annotated[Format, typer.Option("--format", help="Format of the table.")] = Format.TEXT,
    caption: CaptionOption = None,
    label: LabelOption = None,
    plugin: PluginOption = None,
    results: ResultsOption = None,
) -> None:
    """Compare the variants of a sweep with its baseline, seed by seed.

    Example: ottt compare quickstart --baseline rule.update=online --baseline neuron.tau=2.0 --format latex
    """
    view = View(
        *(_listed(by), _settings(baseline), rows, cols, effects, importance, _listed(pareto)),
        paper=against is Published.PAPER,
        where=_settings(where),
    )
    load_plugins(plugin)
    name, store = stored_sweep(sweep, results)
    floating = Floating.of(caption, label, name, form)
    found = view.of(chosen_runs(name, store=store, rule=rule, metric=metric), metric=metric)
    print(formatted(_selected(found, columns, form), form, floating), end="")


def comparison(sweep: str, *, store: str, metric: str = "test/top1", form: Format = Format.TEXT) -> str:
    """Comparison of the variants of `sweep`, formatted for standard output."""
    from analysis import load, tables

    return formatted(tables.compare(load.runs(sweep, store=store), metric=metric), form)


def chosen_runs(sweep: str, *, store: str, rule: Rule, metric: str) -> "pd.DataFrame":
    """Runs of `sweep` with their metrics at the epoch that `rule` selects."""
    from analysis import load
    from analysis.tables import epoch_selection

    runs = load.runs(sweep, store=store)
    if rule is Rule.LAST:
        return runs
    return epoch_selection.select(runs, load.history(sweep, store=store), rule=rule, metric=metric)


def _selected(result: "Result", asked: str | None, form: Format) -> "Result":
    """The result with the columns of `--columns`."""
    if asked is None:
        return result
    from analysis.text.selected import Selected, with_columns

    names, adds = _listed(asked.removeprefix("+")) or [asked], asked.startswith("+")
    if form in (Format.CSV, Format.JSON):
        return with_columns(result, names, adds=adds)
    return Selected(result, names, adds)


def formatted(result: "Result", form: Format, floating: Floating = NOT_FLOATING) -> str:
    """`result` in this format, for standard output."""
    from analysis import render

    match form:
        case Format.MD:
            return render.markdown(result)
        case Format.LATEX:
            return render.latex(result, caption=floating.caption, label=floating.label)
        case Format.HTML:
            return render.html(result)
        case Format.CSV:
            return render.csv(result)
        case Format.JSON:
            return render.json(result)
        case Format.TEXT:
            terminal = sys.stdout.isatty()
            width = get_terminal_size().columns if terminal else PIPED_WIDTH
            return render.text(result, width=width, colour=terminal and "NO_COLOR" not in os.environ)


def _listed(names: str | None) -> list[str] | None:
    return None if names is None else [name.strip() for name in names.split(",") if name.strip()]


def _settings(given: Sequence[str] | None) -> dict[str, Any] | None:
    from ottt.config.yaml_reader import parse_override

    return dict(map(parse_override, given)) if given else None
