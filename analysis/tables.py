"""Comparison of a sweep's variants: runs -> one row per variant."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis import notes
from analysis.columns import column
from analysis.statistics import (
    ALPHA,
    MAX_PAIRS,
    estimate,
    holm,
    paired_difference,
    sign_flip_p,
    smallest_sign_flip_p,
)
from analysis.variants import Variant, variants
from ottt.errors import UserError
from ottt.schema import METRICS, Metric, Status
from ottt.schema import metric as metric_named

# Statuses that are counted, and the columns that count them.
COUNTS = {status: status.replace("-", "_") for status in (*(status.value for status in Status), "missing")}


@dataclass(frozen=True)
class Comparison:
    """The variants of a sweep beside each other.

    Attributes:
        sweep: its name.
        metric: what is compared, at the last epoch of finished trials.
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
            rate: mean total firing rate, spikes per neuron and step.
            epoch_s: mean duration of the last epoch, s.
    """

    sweep: str
    metric: Metric
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
        runs: one row per planned trial, as `analysis.load.runs` gives them.
        metric: name of the metric.
        by: settings to show; None: those axes of the plan on which the variants differ.
        baseline: settings of the variant to compare with; None: the plan's, or else the plan's first variant.

    Raises:
        UserError: no trials, an unknown metric or setting, settings that do not tell the variants apart, or a
            baseline that is not exactly one variant.
    """
    measured = _metric(metric)
    axes = _axes(runs) if by is None else tuple(by)
    wanted = runs.attrs.get("baseline") if baseline is None else baseline
    keys = tuple(dict.fromkeys((*axes, *(wanted or ()))))
    members = variants(runs, metric=metric, settings=keys)
    reference = members[0] if wanted is None else _matching(members, wanted)
    shown = _differing(members, axes) if by is None else axes
    _refuse_alike(members, shown)
    table = _table(members, reference, shown)
    sentences = notes.sentences(table, measured, reference.label, chosen=wanted is not None)
    return Comparison(runs.attrs.get("sweep", ""), measured, shown, reference.label, sentences, table)


def _metric(name: str) -> Metric:
    try:
        return metric_named(name)
    except KeyError as error:
        raise UserError(f"metric must be one of {', '.join(METRICS)}, rate/layer_NN; got {name!r}") from error


def _axes(runs: pd.DataFrame) -> tuple[str, ...]:
    if "axes" not in runs.attrs:
        raise UserError("by must name the settings to compare: these runs carry no plan")
    return tuple(runs.attrs["axes"])


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


def _table(members: Sequence[Variant], reference: Variant, axes: Sequence[str]) -> pd.DataFrame:
    rows = pd.DataFrame([_row(one, reference) for one in members])
    settings = {axis: column(one.settings[axis] for one in members) for axis in axes}
    tested = rows["p"].notna()
    rows.loc[tested, "p_holm"] = holm(rows.loc[tested, "p"])
    table = pd.concat([rows, pd.DataFrame(settings)], axis="columns")
    identity = ["variant", "label", *axes]
    return table[[*identity, *(name for name in table.columns if name not in identity)]]


def _row(one: Variant, reference: Variant) -> dict[str, Any]:
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
        "rate": one.rate,
        "epoch_s": one.epoch_s,
    }
