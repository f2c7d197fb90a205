"""Compares measured variants with the numbers of the paper.

`published.csv` holds the results of Xiao, Meng, Zhang, He, Lin: "Online Training Through Time for Spiking Neural
Networks", NeurIPS 2022, arXiv 2210.04195, collected from secondary sources: means and standard deviations of 3 runs, as
fractions, each run at its best test epoch. Cite the paper, not this file.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.lookup import known_metric, planned_axes
from analysis.statistics import Estimate, estimate
from analysis.tables.epoch_selection import LAST, PAPER, RULES
from analysis.tables.footnotes import left_out_note, metric_note
from analysis.tables.protocol import INPUT, KEYS, UNKNOWN, differences
from analysis.tables.variants import variants
from analysis.text import numbers
from analysis.text.columns import TextColumn, columns, done, settings
from analysis.text.notebook import InNotebooks
from ottt.errors import UserError
from ottt.schema import Metric

FILE = Path(__file__).with_name("published.csv")
CITATION = "Xiao et al., Online Training Through Time for Spiking Neural Networks, NeurIPS 2022"

# By column of the file the setting that must agree for a variant to be compared with its row.
MATCHED = {
    "data": "data.name",
    "model": "model.name",
    "T": "T",
    "rule": "rule.name",
    "update": "rule.update",
}


@dataclass(frozen=True)
class Against(InNotebooks):
    """Measured variants and published numbers.

    Attributes:
        sweep: name of the sweep.
        metric: metric that is compared, in finished trials.
        rule: key of `analysis.tables.epoch_selection.RULES`.
        axes: settings that tell the variants apart.
        notes: footnotes of the table.
        table: one row per variant that has a published number, in the plan's order, with the columns
            variant, label: hash and readable name of the variant; one per axis.
            planned, and as columns of `analysis.tables.COUNTS` the number of trials per status.
            n, mean, sd, ci_low, ci_high: `analysis.statistics.estimate` of the measured values.
            values: dict from seed to value.
            epochs: mean number of epochs of finished trials.
            published, published_sd, published_n: mean, standard deviation and number of runs; NaN if not stated.
            difference: mean - published.
            input: what the pixels held of which the published number was measured, a value of data.frames.values;
                NaN for still images.
            unlike: settings that are not as in the paper, see `analysis.tables.protocol.differences`.
            standard_errors: difference / sqrt(sd^2 / n + published_sd^2 / published_n); NaN if either
                spread is unknown.
    """

    sweep: str
    metric: Metric
    rule: str
    axes: tuple[str, ...]
    notes: tuple[str, ...]
    table: pd.DataFrame


@cache
def published() -> pd.DataFrame:
    """The file: data, model, T, rule, update, metric, mean, sd, n, best, input; NaN for what there is not."""
    return pd.read_csv(FILE)


def against_paper(runs: pd.DataFrame, *, metric: str = "test/top1") -> Against:
    """The variants for which the paper reports a number: same data set, network, time steps and update rule.

    Raises:
        UserError: an unknown metric, or no variant for which the paper reports a number.
    """
    known, rule = known_metric(metric), runs.attrs.get("rule", LAST)
    axes = planned_axes(runs)
    recorded = [key for key in (*MATCHED.values(), *KEYS) if key in runs.columns]
    found = variants(runs, metric=metric, settings=tuple(dict.fromkeys((*axes, *recorded))))
    rows: list[dict[str, Any]] = []
    inputs: list[tuple[str, str, str]] = []
    for variant in found:
        reported = _reporteds().get((metric, *(variant.settings.get(key) for key in MATCHED.values())))
        if reported is not None:
            identity = {"variant": variant.id, "label": variant.label} | {axis: variant.settings[axis] for axis in axes}
            measured = {"epochs": variant.means["epochs"], "values": dict(variant.values)}
            mean = estimate(list(variant.values.values()))
            origin = {"input": reported["input"], "unlike": differences(variant.settings)}
            rows.append({**identity, **variant.counts, **measured, **_compared(mean, reported), **origin})
            inputs.append((variant.settings["data.name"], variant.settings.get(INPUT) or "count", reported["input"]))
    if not rows:
        raise UserError(f"against paper needs a variant with a published {metric}, {_data_sets(metric)}")
    table = pd.DataFrame(rows)
    for axis in axes:
        table[axis] = pd.Series([row[axis] for row in rows], dtype=object)
    notes = _notes(table, known, rule, len(found), inputs)
    return Against(runs.attrs.get("sweep", ""), known, rule, axes, notes, table)


@cache
def _reporteds() -> dict[tuple[Any, ...], dict[Any, Any]]:
    """The rows of the file, by metric and the settings that must agree."""
    return {(row["metric"], *(row[name] for name in MATCHED)): row for row in published().to_dict("records")}


def _compared(measured: Estimate, reported: Mapping[str, Any]) -> dict[str, float]:
    difference = measured.mean - reported["mean"]
    error = math.sqrt(measured.sd**2 / measured.n + reported["sd"] ** 2 / reported["n"]) if measured.n else math.nan
    return {
        "n": measured.n,
        "mean": measured.mean,
        "sd": measured.sd,
        "ci_low": measured.low,
        "ci_high": measured.high,
        "published": float(reported["mean"]),
        "published_sd": float(reported["sd"]),
        "published_n": float(reported["n"]),
        "difference": difference,
        "standard_errors": difference / error if error > 0 else math.nan,
    }


def _data_sets(metric: str) -> str:
    known = published()
    sets = ", ".join(dict.fromkeys(known.loc[known["metric"] == metric, "data"]))
    return f"which there is for {sets} with the paper's network and T" if sets else "which there is for none"


def _unlike_note(table: pd.DataFrame) -> str:
    """Which settings are not as in the paper, and in how many variants."""
    found = Counter(difference for differences in table["unlike"] for difference in differences)
    agree = "Data set, network, time steps and update rule agree"
    if not found:
        return f"{agree}, and so does every other recorded setting."
    total = len(table)
    listed = ", ".join(
        text if count == total else f"{text} in {count} of {total} variants" for text, count in found.items()
    )
    return f"{agree}. Not as in the paper, whose value is in brackets: {listed}."


def _input_notes(inputs: Sequence[tuple[str, str, str]]) -> list[str]:
    """Which input was used where published numbers are of another, and what is not known of the paper."""
    original = sorted({used for _, used, published in inputs if published == "original"})
    names = [data for data in dict.fromkeys(data for data, *_ in inputs) if data in UNKNOWN]
    notes = [f"The paper's {UNKNOWN[data]} for {data} are not known." for data in names]
    if original:
        notes.append(
            "The published numbers of cifar10_dvs are of data.frames.values=original, in which counts wrap and one"
            f" polarity masks the other; measured: {', '.join(original)}."
        )
    return notes


def _notes(
    table: pd.DataFrame, metric: Metric, rule: str, variants: int, inputs: Sequence[tuple[str, str, str]]
) -> tuple[str, ...]:
    unlike = "" if rule == PAPER else " The paper's are at each run's best test epoch: --rule paper does the same here."
    candidates = [
        metric_note(metric, RULES[rule]),
        f"published: {CITATION}, collected from secondary sources; ± is the standard deviation over runs.{unlike}",
        _unlike_note(table),
        *_input_notes(inputs),
        "SE: the difference over its standard error, from both spreads; none where either is unknown.",
        f"Without a published number: {variants - len(table)} of {variants} variants." if variants > len(table) else "",
        left_out_note(table, metric),
    ]
    return tuple(note for note in candidates if note)


@columns.register
def _against_columns(result: Against, *, detailed: bool) -> list[TextColumn]:
    table = result.table
    records = table.to_dict("records")
    differing = [axis for axis in result.axes if len(set(map(repr, table[axis]))) > 1] or list(result.axes)
    return [
        *settings(table, differing, short=not detailed),
        done(table),
        TextColumn("epochs", tuple(numbers.quantity(row["epochs"]) for row in records), dispensable=True),
        TextColumn(f"{result.metric.name} ± sd", tuple(numbers.with_spread(row["mean"], row["sd"]) for row in records)),
        TextColumn("published ± sd", tuple(_published_mean(row) for row in records)),
        TextColumn("difference", tuple(numbers.signed(row["difference"]) for row in records)),
        TextColumn("SE", tuple(numbers.signed(row["standard_errors"], 2) for row in records)),
        TextColumn("protocol", tuple(_protocol(row["unlike"]) for row in records), numeric=False),
    ]


def _protocol(unlike: Sequence[str]) -> str:
    return f"{len(unlike)} differ" if unlike else "as published"


def _published_mean(row: dict[Any, Any]) -> str:
    return numbers.with_spread(row["published"], row["published_sd"])
