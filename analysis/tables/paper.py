"""The paper's numbers beside measured ones.

`published.csv` holds the results reported by Xiao, Meng, Zhang, He, Lin: "Online Training Through Time for Spiking
Neural Networks", NeurIPS 2022, arXiv 2210.04195, gathered from secondary readings: means and standard deviations of
3 runs, as fractions, each run at its best test epoch. Cite the paper, not this file.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.lookup import known_metric, planned_axes
from analysis.statistics.few_seeds import Estimate, estimate
from analysis.tables.comparison import COUNTS
from analysis.tables.epoch_selection import LAST, PAPER, RULES
from analysis.tables.footnotes import absent, selection
from analysis.tables.variants import variants
from analysis.text import numbers
from analysis.text.columns import TextColumn, columns, done, settings
from ottt.errors import UserError
from ottt.schema import Metric

FILE = Path(__file__).with_name("published.csv")
CITATION = "Xiao et al., Online Training Through Time for Spiking Neural Networks, NeurIPS 2022"

# What must agree for a variant to stand beside a published number: the file's columns and the settings.
MATCHED = {
    "data": "data.name",
    "model": "model.name",
    "T": "T",
    "rule": "rule.name",
    "update": "rule.update",
}


@dataclass(frozen=True)
class Against:
    """Measured variants beside published numbers.

    Attributes:
        sweep: its name.
        metric: what is compared, in finished trials.
        rule: key of `analysis.tables.epoch_selection.RULES`.
        axes: settings that tell the variants apart.
        notes: sentences without which the table would be misread.
        table: one row per variant that has a published number, in the plan's order, with the columns
            variant, label: identity and readable name; one per axis.
            planned, and as columns of `analysis.tables.COUNTS` how many trials stand in each status.
            n, mean, sd, ci_low, ci_high: `analysis.statistics.estimate` of the measured values.
            values: dict from seed to value.
            epochs: mean number of epochs of finished trials.
            published, published_sd, published_n: NaN where the paper states none.
            difference: mean - published.
            standard_errors: difference / sqrt(sd^2 / n + published_sd^2 / published_n); NaN without a spread on
                either side.
    """

    sweep: str
    metric: Metric
    rule: str
    axes: tuple[str, ...]
    notes: tuple[str, ...]
    table: pd.DataFrame


@cache
def published() -> pd.DataFrame:
    """The file: data, model, T, rule, update, metric, mean, sd, n, best; NaN where the paper states none."""
    return pd.read_csv(FILE)


def against_paper(runs: pd.DataFrame, *, metric: str = "test/top1") -> Against:
    """The variants for which the paper reports a number: same data set, network, time steps and update rule.

    Raises:
        UserError: an unknown metric, or no variant that the paper reports.
    """
    measured, rule = known_metric(metric), runs.attrs.get("rule", LAST)
    axes = planned_axes(runs)
    matched = [setting for setting in MATCHED.values() if setting in runs.columns]
    members = variants(runs, metric=metric, settings=tuple(dict.fromkeys((*axes, *matched))))
    rows: list[dict[str, Any]] = []
    for one in members:
        number = _numbers().get((metric, *(one.settings.get(setting) for setting in MATCHED.values())))
        if number is not None:
            level = estimate(list(one.values.values()))
            counts = {name: one.statuses[status] for status, name in COUNTS.items()}
            identity = {"variant": one.id, "label": one.label, **{axis: one.settings[axis] for axis in axes}}
            numbers = {"epochs": one.means["epochs"], "values": dict(one.values), **_beside(level, number)}
            rows.append({**identity, "planned": one.statuses.total(), **counts, **numbers})
    if not rows:
        raise UserError(f"against paper needs a variant with a published {metric}, {_closest(metric)}")
    table = pd.DataFrame(rows)
    for axis in axes:
        table[axis] = pd.Series([row[axis] for row in rows], dtype=object)
    notes = _notes(table, measured, rule, len(members))
    return Against(runs.attrs.get("sweep", ""), measured, rule, axes, notes, table)


@cache
def _numbers() -> dict[tuple[Any, ...], dict[Any, Any]]:
    """The rows of the file by metric and what must agree."""
    return {(row["metric"], *(row[name] for name in MATCHED)): row for row in published().to_dict("records")}


def _beside(level: Estimate, number: Mapping[str, Any]) -> dict[str, float]:
    difference = level.mean - number["mean"]
    error = math.sqrt(level.sd**2 / level.n + number["sd"] ** 2 / number["n"]) if level.n else math.nan
    return {
        "n": level.n,
        "mean": level.mean,
        "sd": level.sd,
        "ci_low": level.low,
        "ci_high": level.high,
        "published": float(number["mean"]),
        "published_sd": float(number["sd"]),
        "published_n": float(number["n"]),
        "difference": difference,
        "standard_errors": difference / error if error > 0 else math.nan,
    }


def _closest(metric: str) -> str:
    known = published()
    sets = ", ".join(dict.fromkeys(known.loc[known["metric"] == metric, "data"]))
    return f"which there is for {sets} with the paper's network and T" if sets else "which there is for none"


def _notes(table: pd.DataFrame, metric: Metric, rule: str, variants: int) -> tuple[str, ...]:
    unlike = "" if rule == PAPER else " The paper's are at each run's best test epoch: to compare alike, --rule paper."
    candidates = [
        selection(metric, RULES[rule]),
        f"published: {CITATION}, as gathered from secondary readings; ± is the standard deviation over runs.{unlike}",
        "Data set, network, time steps and update rule agree; other settings may not, epochs and splits among them.",
        "SE: the difference over its standard error, from both spreads; none where either is unknown.",
        f"{variants - len(table)} variants have no published number." if variants > len(table) else "",
        absent(table, metric),
    ]
    return tuple(note for note in candidates if note)


@columns.register
def _of_against(result: Against, *, detailed: bool) -> list[TextColumn]:
    table = result.table
    records = table.to_dict("records")
    differing = [axis for axis in result.axes if len(set(map(repr, table[axis]))) > 1] or list(result.axes)
    return [
        *settings(table, differing, short=not detailed),
        done(table),
        TextColumn("epochs", tuple(numbers.quantity(row["epochs"]) for row in records), dispensable=True),
        TextColumn(f"{result.metric.name} ± sd", tuple(numbers.with_spread(row["mean"], row["sd"]) for row in records)),
        TextColumn("published ± sd", tuple(_published(row) for row in records)),
        TextColumn("difference", tuple(numbers.signed(row["difference"]) for row in records)),
        TextColumn("SE", tuple(numbers.signed(row["standard_errors"], 2) for row in records)),
    ]


def _published(row: dict[Any, Any]) -> str:
    return numbers.with_spread(row["published"], row["published_sd"])
