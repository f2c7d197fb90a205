"""The Pareto front of a sweep's variants: accuracy against energy, memory or time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.dtypes import column
from analysis.lookup import known_metric, planned_axes
from analysis.statistics import FloatArray, estimate
from analysis.tables.epoch_selection import LAST, RULES
from analysis.tables.footnotes import left_out_note
from analysis.tables.variants import variants
from analysis.text import numbers
from analysis.text.columns import TextColumn, columns, done, settings
from analysis.text.notebook import InNotebooks
from ottt.errors import UserError
from ottt.schema import Metric


@dataclass(frozen=True)
class Front(InNotebooks):
    """The variants of a sweep by several metrics.

    Attributes:
        sweep: name of the sweep.
        metrics: names of the metrics, in finished trials.
        rule: key of `analysis.tables.epoch_selection.RULES`.
        axes: settings that tell the variants apart.
        notes: footnotes of the table.
        table: one row per variant, in the plan's order, with the columns
            variant, label: hash and readable name of the variant; one per axis.
            planned, and as columns of `analysis.tables.COUNTS` the number of trials per status.
            one per metric: its mean over finished trials, NaN if there is none; `sd <metric>`: standard deviation.
            front: whether no other variant dominates it: means at least as good in all metrics and better in one.
            beaten_by: label of the first variant that dominates it; None on the front and for variants without means.
    """

    sweep: str
    metrics: tuple[str, ...]
    rule: str
    axes: tuple[str, ...]
    notes: tuple[str, ...]
    table: pd.DataFrame


def front(runs: pd.DataFrame, *, metrics: Sequence[str] = ("test/top1", "energy/synops")) -> Front:
    """The Pareto front of the variants' means.

    Raises:
        UserError: fewer than two metrics, or a metric that is unknown, has no better direction or was never measured.
    """
    known = [known_metric(name) for name in metrics]
    if len(set(metrics)) < 2 or len(set(metrics)) < len(metrics):
        raise UserError(f"pareto must name two or more different metrics, got {', '.join(metrics) or 'none'}")
    if undirected := [metric.name for metric in known if metric.better is None]:
        raise UserError(f"pareto needs metrics with a better direction, {', '.join(undirected)} has none")
    axes = planned_axes(runs)
    by_metric = [variants(runs, metric=name, settings=axes) for name in metrics]
    estimates = [[estimate(list(variant.values.values())) for variant in found] for found in by_metric]
    means = np.array([[one.mean for one in of_metric] for of_metric in estimates]).T  # [variant, metric]
    if unmeasured := [name for name, values in zip(metrics, means.T, strict=True) if np.isnan(values).all()]:
        raise UserError(f"pareto needs measured metrics, no finished trial has {', '.join(unmeasured)}")
    found = by_metric[0]
    signs = [1 if metric.better == "higher" else -1 for metric in known]
    rivals = dominated_by(means * signs)
    table = pd.DataFrame([{"variant": one.id, "label": one.label, **one.settings, **one.counts} for one in found])
    for index, name in enumerate(metrics):
        table[name] = means[:, index]
        table[f"sd {name}"] = [one.sd for one in estimates[index]]
    table["front"] = [rival is None and bool(np.isfinite(means[row]).all()) for row, rival in enumerate(rivals)]
    table["beaten_by"] = column(None if rival is None else found[rival].label for rival in rivals)
    rule = runs.attrs.get("rule", LAST)
    notes = _notes(table, known, RULES[rule])
    return Front(runs.attrs.get("sweep", ""), tuple(metrics), rule, axes, notes, table)


def dominated_by(scores: FloatArray) -> list[int | None]:
    """For each row of [n, k] the first row at least as high in all columns and higher in one; None if there is none.

    A row with NaN neither dominates nor is dominated.
    """
    found: list[int | None] = []
    for row in scores:
        dominates = (scores >= row).all(axis=1) & (scores > row).any(axis=1)
        found.append(int(dominates.argmax()) if dominates.any() else None)
    return found


def _notes(table: pd.DataFrame, metrics: Sequence[Metric], rule: str) -> tuple[str, ...]:
    wanted = ", ".join(f"{one.better} {one.name}" for one in metrics)
    candidates = [
        f"Means {rule}; better is: {wanted}.",
        "front: no other variant's means are as good in all and better in one; the seeds' spread is not considered.",
        left_out_note(table.assign(n=table["finished"]), metrics[0]),
    ]
    return tuple(note for note in candidates if note)


@columns.register
def _front_columns(result: Front, *, detailed: bool) -> list[TextColumn]:
    table = result.table
    shown = [*settings(table, result.axes, short=not detailed), done(table)]
    for name in result.metrics:
        means = zip(table[name], table[f"sd {name}"], strict=True)
        shown.append(TextColumn(f"{name} ± sd", tuple(numbers.with_spread(mean, sd) for mean, sd in means)))
    marks = tuple(
        "front" if on_it else numbers.ABSENT if math.isnan(mean) else ""
        for on_it, mean in zip(table["front"], table[result.metrics[0]], strict=True)
    )
    return [*shown, TextColumn("Pareto", marks, numeric=False)]
