"""Renders the page: fills the template and embeds scripts and styles."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from analysis.figures.highlight import highlighted
from analysis.load import COLUMNS
from analysis.report.charts import charts
from analysis.report.origin import Origin
from analysis.report.palette import palette
from analysis.report.summary import summary
from analysis.tables import Comparison
from analysis.tables.paper import against_paper
from analysis.tables.variance_explained import effects
from analysis.text.columns import Result, columns, printable
from analysis.text.numbers import plain, quantity
from ottt.errors import UserError
from ottt.schema import Status

LONGEST = 60  # characters of a label in a legend
ASSETS = Path(__file__).with_name("assets")
SCRIPTS = ("svg.js", "reader.js", "figures.js", "coloured.js", "table.js", "main.js")


@dataclass(frozen=True)
class Sheet:
    """A table for the template: headings, rows of cells, footnotes, and which columns the page may hide."""

    headings: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    dispensable: tuple[bool, ...] = ()

    @classmethod
    def of(cls, result: Result) -> "Sheet":
        """The sheet of any result of `analysis`."""
        shown = columns(result, detailed=True)
        cells = zip(*(column.cells for column in shown), strict=True)
        headings, numeric = tuple(column.header for column in shown), tuple(column.numeric for column in shown)
        dispensable = tuple(column.dispensable for column in shown)
        return cls(headings, numeric, tuple(cells), tuple(map(printable, result.notes)), dispensable)


def page(runs: pd.DataFrame, history: pd.DataFrame, comparison: Comparison, origin: Origin) -> str:
    """One HTML document that needs no other file.

    Args:
        runs: the runs that `comparison` compares, see `analysis.load.runs`.
        history: see `analysis.load.history`.
        comparison: comparison of the variants.
        origin: provenance of the sweep.
    """
    figures = charts(runs, history, comparison)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_asset("page.html")).render(
        **_tables(runs, comparison),
        **_configuration(runs),
        parts=_parts,
        origin=origin,
        figures=figures,
        style=Markup(f"{palette()}\n{_asset('page.css')}"),
        script=Markup("\n".join(map(_asset, SCRIPTS))),
        data=Markup(_json(_script_data(comparison, figures))),
    )


def _tables(runs: pd.DataFrame, comparison: Comparison) -> dict[str, Any]:
    """Variables of the template: summary and tables."""
    table, metric = comparison.table, comparison.metric.name
    return {
        "sweep": printable(comparison.sweep),
        "summary": summary(comparison),
        "variants": Sheet.of(comparison),
        "ids": table["variant"].tolist(),
        "baseline": table.loc[table["is_baseline"], "variant"].iloc[0],
        "effects": _effects(runs, metric),
        "paper": _paper(runs, metric),
        "unfinished": _unfinished(runs),
        "trials": _trials(runs, metric),
    }


def _configuration(runs: pd.DataFrame) -> dict[str, Any]:
    """Variables of the template: settings, devices, commits and start."""
    axes = runs.attrs.get("axes", ())
    return {
        "varied": [(axis, ", ".join(dict.fromkeys(map(printable, runs[axis])))) for axis in axes],
        "common": _common(runs),
        "devices": _distinct(runs["device"]),
        "commits": _distinct(runs["commit"]),
        "started": _moment(runs["started"].min()),
    }


def _script_data(comparison: Comparison, figures: dict[str, Any]) -> dict[str, Any]:
    """The data that the page's script reads."""
    return {
        "metric": comparison.metric.name,
        "better": comparison.metric.better,
        "variants": _named(comparison),
        "baseline": comparison.table.loc[comparison.table["is_baseline"], "variant"].iloc[0],
        "stressed": highlighted(comparison),
        "charts": figures,
    }


def _named(comparison: Comparison) -> list[dict[str, Any]]:
    """By variant its id and label, and its text in legends: of long labels only what is not as in the baseline."""
    rows = comparison.table.to_dict("records")
    (baseline,) = (row for row in rows if row["is_baseline"])
    named = []
    for row in rows:
        short = printable(row["label"])
        if len(short) > LONGEST:
            other = [axis for axis in comparison.axes if repr(row[axis]) != repr(baseline[axis])]
            short = " ".join(printable(f"{axis}={row[axis]}") for axis in other)
        short = f"{short} (baseline)" if short and row is baseline else short or "baseline"
        named.append({"id": row["variant"], "label": printable(row["label"]), "short": short})
    return named


def _parts(heading: str) -> list[str]:
    """The parts of a heading between which it can be broken: `neuron.`, `surrogate.`, `alpha`."""
    return re.findall(r"[^._]*[._]|[^._]+", heading)


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _json(data: Any) -> str:
    """JSON that cannot end the script element that contains it."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _effects(runs: pd.DataFrame, metric: str) -> Sheet | str:
    try:
        return Sheet.of(effects(runs, metric=metric))
    except UserError as error:
        return str(error)


def _paper(runs: pd.DataFrame, metric: str) -> Sheet | None:
    """None if the paper has no number for any variant."""
    try:
        return Sheet.of(against_paper(runs, metric=metric))
    except UserError:
        return None


def _unfinished(runs: pd.DataFrame) -> Sheet:
    rows = runs[runs["status"] != Status.FINISHED]
    cells = [
        (row["label"], str(row["seed"]), row["status"], str(row["epochs_done"]), row["reason"] or "")
        for row in rows.to_dict("records")
    ]
    headings = ("variant", "seed", "status", "epochs", "reason")
    return Sheet(headings, (False, True, False, True, False), _printable(cells))


def _trials(runs: pd.DataFrame, metric: str) -> Sheet:
    values = runs[metric] if metric in runs else pd.Series(float("nan"), index=runs.index)
    cells = [
        (
            row["label"],
            str(row["seed"]),
            row["status"],
            str(row["epochs_done"]),
            plain(value),
            quantity(row["duration_s"]),
        )
        for row, value in zip(runs.to_dict("records"), values, strict=True)
    ]
    headings = ("variant", "seed", "status", "epochs", metric, "s")
    return Sheet(headings, (False, True, False, True, True, True), _printable(cells))


def _printable(cells: list[tuple[Any, ...]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(map(printable, row)) for row in cells)


def _common(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """The settings that all recorded trials share."""
    own = {*COLUMNS, "selected_epoch", *runs.attrs.get("axes", ())}
    keys = [str(name) for name in runs.columns if name not in own and "/" not in str(name)]
    recorded = runs[runs["run_id"].notna()]
    values = {key: dict.fromkeys(map(printable, recorded[key])) for key in sorted(keys)}
    return [(key, ", ".join(found)) for key, found in values.items()]


def _distinct(values: "pd.Series[Any]") -> list[str]:
    return list(dict.fromkeys(map(printable, values.dropna())))


def _moment(started: pd.Timestamp) -> str:
    return "" if pd.isna(started) else f"{started:%Y-%m-%d %H:%M} UTC"
