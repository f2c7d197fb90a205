"""The comparison of a sweep's variants: one row per variant, with its difference to a baseline."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.dtypes import column
from analysis.lookup import is_share, known_metric, planned_axes
from analysis.statistics import (
    ALPHA,
    LEVEL,
    MAX_PAIRS,
    estimate,
    holm,
    paired_difference,
    probability_of_improvement,
    sign_flip_p,
    smallest_sign_flip_p,
)
from analysis.tables import footnotes
from analysis.tables.epoch_selection import LAST, RULES
from analysis.tables.variants import Variant, variants
from analysis.text import numbers
from analysis.text.columns import TextColumn, columns, done, measured, settings
from analysis.text.notebook import InNotebooks
from ottt.errors import UserError
from ottt.schema import Metric

# Dispensable columns and their headings, the least important last.
_EXTRAS = {
    "rate": "rate",
    "improvement": "P(better)",
    "synops": "synops",
    "energy_nj": "nJ",
    "epoch_s": "s/epoch",
    "images_per_s": "images/s",
    "peak_mib": "MiB",
    "epochs": "epochs",
    "hours": "hours",
}


@dataclass(frozen=True)
class Comparison(InNotebooks):
    """The variants of a sweep, compared with one of them.

    Attributes:
        sweep: name of the sweep.
        metric: metric that is compared, in finished trials.
        rule: key of `analysis.tables.epoch_selection.RULES`: the epoch at which trials are compared.
        axes: settings that tell the variants apart.
        baseline: label of the variant that the others are compared with.
        notes: footnotes of the table.
        table: one row per variant, in the plan's order, with the columns
            variant, label: hash and readable name of the variant.
            one per axis: value of the setting.
            is_baseline: whether the row is the baseline.
            planned: number of planned trials; and as columns of COUNTS, how many have each status.
            n: number of finished trials with a finite value of the metric; only these count below.
            values: dict from seed to value.
            mean, sd, ci_low, ci_high: `analysis.statistics.estimate` of the values.
            pairs: number of seeds with a value both here and in the baseline; 0 in the baseline's row.
            unpaired: tuple of the seeds with a value on one side only.
            difference, difference_low, difference_high: mean of value - baseline over the pairs, and its interval.
            p: exact two-sided sign-flip p value of the difference, for 2 to MAX_PAIRS pairs.
            p_holm: p adjusted over the rows of the table.
            too_few: whether there are too few pairs for any difference to reach p <= ALPHA.
            improvement: probability that a trial of this variant is better than one of the baseline
                (`analysis.statistics.probability_of_improvement`, over all pairs of values; at least two each).
            rate, synops, energy_nj, epochs, epoch_s, images_per_s, peak_mib: means over finished trials: total
                firing rate, spikes per neuron and step; synaptic operations and nJ per sample; epochs trained;
                duration of the last epoch, s; training images per second; peak memory, MiB.
            hours: total time of all trials, however they ended, h; trials that shared a device or a network count in
                full.
    """

    sweep: str
    metric: Metric
    rule: str
    axes: tuple[str, ...]
    baseline: str
    notes: tuple[str, ...]
    table: pd.DataFrame


def compare(
    runs: pd.DataFrame,
    *,
    metric: str = "test/top1",
    by: Sequence[str] | None = None,
    baseline: Mapping[str, Any] | None = None,
) -> Comparison:
    """Compare the variants in `runs` with one of them, seed by seed.

    Args:
        runs: one row per planned trial, from `analysis.load.runs` or `analysis.tables.epoch_selection.select`.
        metric: name of the metric.
        by: settings to show; None for the axes of the plan in which the variants differ.
        baseline: settings of the variant to compare with; None for the baseline of the plan, or its first variant if
            the plan has none.

    Raises:
        UserError: no trials, an unknown metric or setting, settings that do not tell the variants apart, or a
            baseline that is not exactly one variant.
    """
    known = known_metric(metric)
    rule = runs.attrs.get("rule", LAST)
    axes = planned_axes(runs) if by is None else tuple(by)
    wanted = runs.attrs.get("baseline") if baseline is None else baseline
    keys = tuple(dict.fromkeys((*axes, *(wanted or ()))))
    found = variants(runs, metric=metric, settings=keys)
    reference = found[0] if wanted is None else _matching(found, wanted)
    shown = _differing(found, axes) if by is None else axes
    _check_distinct(found, shown)
    table = _table(found, reference, shown, known)
    origin = "" if wanted is not None else " (the first variant: none is named)"
    notes = footnotes.comparison_notes(table, known, f"{reference.label}{origin}", rule=RULES[rule])
    return Comparison(runs.attrs.get("sweep", ""), known, rule, shown, reference.label, notes, table)


def foremost(comparison: Comparison, *, count: int = 5) -> list[str]:
    """The ids of the `count` variants to highlight: the baseline, then those with the best means."""
    table = comparison.table
    ranked = table.sort_values("mean", ascending=comparison.metric.better == "lower", kind="stable")
    reference = table.loc[table["is_baseline"], "variant"].tolist()
    measured = ranked.loc[ranked["mean"].notna(), "variant"].tolist()
    return [*reference, *(variant for variant in measured if variant not in reference)][:count]


def _matching(found: Sequence[Variant], wanted: Mapping[str, Any]) -> Variant:
    matches = [variant for variant in found if all(variant.settings[key] == value for key, value in wanted.items())]
    if len(matches) != 1:
        settings = " ".join(f"{key}={value}" for key, value in wanted.items())
        labels = "; ".join(variant.label for variant in matches) or "none"
        raise UserError(f"baseline must match exactly one variant, {settings} matches {labels}")
    return matches[0]


def _differing(found: Sequence[Variant], axes: Sequence[str]) -> tuple[str, ...]:
    """The axes with more than one value; all axes if there is none."""
    differing = tuple(axis for axis in axes if len({repr(variant.settings[axis]) for variant in found}) > 1)
    return differing or tuple(axes)


def _check_distinct(found: Sequence[Variant], axes: Sequence[str]) -> None:
    labels: dict[str, str] = {}
    for variant in found:
        key = repr([variant.settings[axis] for axis in axes])
        if key in labels:
            given = ", ".join(axes) or "nothing"
            raise UserError(f"by must tell the variants apart, {given} does not: {labels[key]}; {variant.label}")
        labels[key] = variant.label


def _table(found: Sequence[Variant], reference: Variant, axes: Sequence[str], metric: Metric) -> pd.DataFrame:
    rows = pd.DataFrame([_row(variant, reference, metric) for variant in found])
    settings = {axis: column(variant.settings[axis] for variant in found) for axis in axes}
    tested = rows["p"].notna()
    rows.loc[tested, "p_holm"] = holm(rows.loc[tested, "p"])
    table = pd.concat([rows, pd.DataFrame(settings)], axis="columns")
    identity = ["variant", "label", *axes]
    return table[[*identity, *(name for name in table.columns if name not in identity)]]


def _row(variant: Variant, reference: Variant, metric: Metric) -> dict[str, Any]:
    is_baseline = variant is reference
    mean = estimate(list(variant.values.values()))
    pairs = [] if is_baseline else [seed for seed in variant.values if seed in reference.values]
    ours, theirs = [variant.values[seed] for seed in pairs], [reference.values[seed] for seed in pairs]
    difference = paired_difference(ours, theirs)
    testable = 2 <= len(pairs) <= MAX_PAIRS
    return {
        "variant": variant.id,
        "label": variant.label,
        "is_baseline": is_baseline,
        **variant.counts,
        "n": mean.n,
        "values": dict(variant.values),
        "mean": mean.mean,
        "sd": mean.sd,
        "ci_low": mean.low,
        "ci_high": mean.high,
        "pairs": len(pairs),
        "unpaired": tuple(sorted(variant.values.keys() ^ reference.values.keys())),
        "difference": difference.mean,
        "difference_low": difference.low,
        "difference_high": difference.high,
        "p": sign_flip_p(np.subtract(ours, theirs)) if testable else math.nan,
        "p_holm": math.nan,
        "too_few": not is_baseline and smallest_sign_flip_p(len(pairs)) > ALPHA,
        "improvement": _improvement(variant, reference, metric),
        **variant.means,
        "hours": variant.hours,
    }


def _improvement(variant: Variant, reference: Variant, metric: Metric) -> float:
    if variant is reference or metric.better is None or min(len(variant.values), len(reference.values)) < 2:
        return math.nan
    higher = probability_of_improvement(list(variant.values.values()), list(reference.values.values()))
    return higher if metric.better == "higher" else 1 - higher


@columns.register
def _comparison_columns(result: Comparison, *, detailed: bool) -> list[TextColumn]:
    table = result.table
    left_out = TextColumn(
        "left out", tuple(footnotes.left_out(row) for _, row in table.iterrows()), numeric=False, wraps=True
    )
    return [
        *settings(table, result.axes, short=not detailed),
        done(table),
        *measured([left_out] if detailed else []),
        _mean(result),
        *([_interval(result)] if detailed and table["ci_low"].notna().any() else []),
        *_differences(table),
        *measured(_extra(header, table[name]) for name, header in _EXTRAS.items()),
        *measured([] if detailed else [left_out]),
    ]


def _extra(header: str, values: "pd.Series[float]") -> TextColumn:
    return TextColumn(header, tuple(numbers.quantity(value) for value in values), dispensable=True)


def _mean(comparison: Comparison) -> TextColumn:
    table, metric = comparison.table, comparison.metric
    spread = " ± sd" if table["sd"].notna().any() else ""
    cells = tuple(numbers.with_spread(mean, sd) for mean, sd in zip(table["mean"], table["sd"], strict=True))
    best = None
    if metric.better and table["mean"].notna().any():
        best = int(table["mean"].argmax() if metric.better == "higher" else table["mean"].argmin())
    return TextColumn(f"{metric.name}{spread}", cells, bold=best)


def _interval(comparison: Comparison) -> TextColumn:
    """The t interval of the mean; of a share cut at 0 and 1, beyond which no mean lies: it covers the mean as often."""
    low, high = comparison.table["ci_low"], comparison.table["ci_high"]
    if is_share(comparison.metric.name):
        low, high = low.clip(lower=0), high.clip(upper=1)
    cells = tuple(numbers.interval(*bounds) for bounds in zip(low, high, strict=True))
    return TextColumn(f"{LEVEL:.0%} interval", cells)


def _differences(table: pd.DataFrame) -> list[TextColumn]:
    """The difference to the baseline, and its p value if any pair was tested."""
    if len(table) == 1:
        return []
    records = table.to_dict("records")
    interval = f" [{LEVEL:.0%}]" if table["difference_low"].notna().any() else ""
    differences = tuple("baseline" if row["is_baseline"] else _difference(row) for row in records)
    shown = [TextColumn(f"difference{interval}", differences)]
    if table["p"].notna().any():
        shown.append(TextColumn("p (Holm)", tuple(_test(row) for row in records)))
    return shown


def _difference(row: dict[Any, Any]) -> str:
    return numbers.with_interval(row["difference"], row["difference_low"], row["difference_high"])


def _test(row: dict[Any, Any]) -> str:
    return "n too small" if row["too_few"] and row["pairs"] else numbers.p_value(row["p_holm"])
