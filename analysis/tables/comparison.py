"""Comparison of a sweep's variants: runs -> one row per variant."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.dtypes import column
from analysis.lookup import known_metric, planned_axes
from analysis.statistics.few_seeds import (
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
from ottt.errors import UserError
from ottt.schema import Metric, Status

# Statuses that are counted, and the columns that count them.
COUNTS = {status: status.replace("-", "_") for status in (*(status.value for status in Status), "missing")}

# Dispensable columns of a comparison and their headings, the least needed last.
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
class Comparison:
    """The variants of a sweep beside each other.

    Attributes:
        sweep: its name.
        metric: what is compared, in finished trials.
        rule: key of `analysis.tables.epoch_selection.RULES`: at which epoch of a trial.
        axes: the settings that tell the variants apart.
        baseline: label of the variant that the others are compared with.
        notes: sentences without which the table would be misread.
        table: one row per variant, in the plan's order, with the columns
            variant, label: identity and readable name.
            one per axis: the variant's setting.
            is_baseline: whether the others are compared with this row.
            planned: number of trials, and as columns of COUNTS how many of them stand in each status.
            n: finished trials that have a finite value of the metric; only these enter what follows.
            values: dict from seed to value.
            mean, sd, ci_low, ci_high: `analysis.statistics.estimate` of the values.
            pairs: number of seeds with a value both here and in the baseline; 0 in the baseline's row.
            unpaired: tuple of the seeds with a value on one side only.
            difference, difference_low, difference_high: mean of value - baseline over the pairs; interval.
            p: exact two-sided sign-flip p value of the difference, for 2 to MAX_PAIRS pairs.
            p_holm: p adjusted over the table.
            too_few: whether no difference could give p <= ALPHA with so few pairs.
            improvement: probability that a trial of this variant is better than one of the baseline
                (`analysis.statistics.probability_of_improvement`, over all pairs of values; at least two each).
            rate, synops, energy_nj, epochs, epoch_s, images_per_s, peak_mib: means over finished trials: total
                firing rate, spikes per neuron and step; synaptic operations and nJ per sample; epochs trained;
                duration of the last epoch, s; training images per second; peak memory, MiB.
            hours: time that all trials took together, however they ended, h; one that shared its device
                with others counts in full.
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
        runs: one row per planned trial, as `analysis.load.runs` or `analysis.tables.epoch_selection.select` give them.
        metric: name of the metric.
        by: settings to show; None: those axes of the plan on which the variants differ.
        baseline: settings of the variant to compare with; None: the plan's, or else the plan's first variant.

    Raises:
        UserError: no trials, an unknown metric or setting, settings that do not tell the variants apart, or a
            baseline that is not exactly one variant.
    """
    measured = known_metric(metric)
    rule = runs.attrs.get("rule", LAST)
    axes = planned_axes(runs) if by is None else tuple(by)
    wanted = runs.attrs.get("baseline") if baseline is None else baseline
    keys = tuple(dict.fromkeys((*axes, *(wanted or ()))))
    members = variants(runs, metric=metric, settings=keys)
    reference = members[0] if wanted is None else _matching(members, wanted)
    shown = _differing(members, axes) if by is None else axes
    _refuse_alike(members, shown)
    table = _table(members, reference, shown, measured)
    origin = "" if wanted is not None else " (the first variant: none is named)"
    sentences = footnotes.sentences(table, measured, f"{reference.label}{origin}", rule=RULES[rule])
    return Comparison(runs.attrs.get("sweep", ""), measured, rule, shown, reference.label, sentences, table)


def foremost(comparison: Comparison, *, count: int = 5) -> list[str]:
    """The ids of the variants to be shown first: the baseline, then those of the best means."""
    table = comparison.table
    ranked = table.sort_values("mean", ascending=comparison.metric.better == "lower", kind="stable")
    reference = table.loc[table["is_baseline"], "variant"].tolist()
    measured = ranked.loc[ranked["mean"].notna(), "variant"].tolist()
    return [*reference, *(variant for variant in measured if variant not in reference)][:count]


def _matching(members: Sequence[Variant], wanted: Mapping[str, Any]) -> Variant:
    found = [one for one in members if all(one.settings[key] == value for key, value in wanted.items())]
    if len(found) != 1:
        settings = " ".join(f"{key}={value}" for key, value in wanted.items())
        labels = "; ".join(one.label for one in found) or "none"
        raise UserError(f"baseline must match exactly one variant, {settings} matches {labels}")
    return found[0]


def _differing(members: Sequence[Variant], axes: Sequence[str]) -> tuple[str, ...]:
    """The axes with more than one value; of a single variant all."""
    differing = tuple(axis for axis in axes if len({repr(one.settings[axis]) for one in members}) > 1)
    return differing or tuple(axes)


def _refuse_alike(members: Sequence[Variant], axes: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for one in members:
        key = repr([one.settings[axis] for axis in axes])
        if key in seen:
            told = ", ".join(axes) or "nothing"
            raise UserError(f"by must tell the variants apart, {told} does not: {seen[key]}; {one.label}")
        seen[key] = one.label


def _table(members: Sequence[Variant], reference: Variant, axes: Sequence[str], metric: Metric) -> pd.DataFrame:
    rows = pd.DataFrame([_row(one, reference, metric) for one in members])
    settings = {axis: column(one.settings[axis] for one in members) for axis in axes}
    tested = rows["p"].notna()
    rows.loc[tested, "p_holm"] = holm(rows.loc[tested, "p"])
    table = pd.concat([rows, pd.DataFrame(settings)], axis="columns")
    identity = ["variant", "label", *axes]
    return table[[*identity, *(name for name in table.columns if name not in identity)]]


def _row(one: Variant, reference: Variant, metric: Metric) -> dict[str, Any]:
    level = estimate(list(one.values.values()))
    pairs = [] if one is reference else [seed for seed in one.values if seed in reference.values]
    ours, theirs = [one.values[seed] for seed in pairs], [reference.values[seed] for seed in pairs]
    difference = paired_difference(ours, theirs)
    testable = 2 <= len(pairs) <= MAX_PAIRS
    counts = {name: one.statuses[status] for status, name in COUNTS.items()}
    return {
        "variant": one.id,
        "label": one.label,
        "is_baseline": one is reference,
        "planned": one.statuses.total(),
        **counts,
        "n": level.n,
        "values": dict(one.values),
        "mean": level.mean,
        "sd": level.sd,
        "ci_low": level.low,
        "ci_high": level.high,
        "pairs": len(pairs),
        "unpaired": tuple(sorted(one.values.keys() ^ reference.values.keys())),
        "difference": difference.mean,
        "difference_low": difference.low,
        "difference_high": difference.high,
        "p": sign_flip_p(np.subtract(ours, theirs)) if testable else math.nan,
        "p_holm": math.nan,
        "too_few": one is not reference and smallest_sign_flip_p(len(pairs)) > ALPHA,
        "improvement": _improvement(one, reference, metric),
        **one.means,
        "hours": one.hours,
    }


def _improvement(one: Variant, reference: Variant, metric: Metric) -> float:
    if one is reference or metric.better is None or min(len(one.values), len(reference.values)) < 2:
        return math.nan
    higher = probability_of_improvement(list(one.values.values()), list(reference.values.values()))
    return higher if metric.better == "higher" else 1 - higher


@columns.register
def _of_comparison(result: Comparison, *, detailed: bool) -> list[TextColumn]:
    table = result.table
    unfinished = TextColumn(
        "left out", tuple(footnotes.left_out(row) for _, row in table.iterrows()), numeric=False, wraps=True
    )
    return [
        *settings(table, result.axes, short=not detailed),
        done(table),
        *measured([unfinished] if detailed else []),
        _mean(result),
        *([_interval(table)] if detailed and table["ci_low"].notna().any() else []),
        *_differences(table),
        *measured(_extra(header, table[name]) for name, header in _EXTRAS.items()),
        *measured([] if detailed else [unfinished]),
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


def _interval(table: pd.DataFrame) -> TextColumn:
    bounds = zip(table["ci_low"], table["ci_high"], strict=True)
    return TextColumn(f"{LEVEL:.0%} interval", tuple(numbers.interval(low, high) for low, high in bounds))


def _differences(table: pd.DataFrame) -> list[TextColumn]:
    """Difference to the baseline, whose own row says that it is it, and the test of it where there is one."""
    if len(table) == 1:
        return []
    records = table.to_dict("records")
    interval = f" [{LEVEL:.0%}]" if table["difference_low"].notna().any() else ""
    differences = tuple("baseline" if row["is_baseline"] else _difference(row) for row in records)
    found = [TextColumn(f"difference{interval}", differences)]
    if table["p"].notna().any():
        found.append(TextColumn("p (Holm)", tuple(_test(row) for row in records)))
    return found


def _difference(row: dict[Any, Any]) -> str:
    return numbers.with_interval(row["difference"], row["difference_low"], row["difference_high"])


def _test(row: dict[Any, Any]) -> str:
    return "n too small" if row["too_few"] and row["pairs"] else numbers.p_value(row["p_holm"])
