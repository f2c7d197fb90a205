"""Variants that no other beats on every count: accuracy against energy, memory, time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.dtypes import column
from analysis.lookup import known_metric, planned_axes
from analysis.statistics.few_seeds import FloatArray, estimate
from analysis.tables.comparison import COUNTS
from analysis.tables.epoch_selection import LAST, RULES
from analysis.tables.footnotes import absent
from analysis.tables.variants import Variant, variants
from analysis.text import numbers
from analysis.text.columns import TextColumn, columns, done, settings
from ottt.errors import UserError
from ottt.schema import Metric


@dataclass(frozen=True)
class Front:
    """The variants of a sweep by several metrics.

    Attributes:
        sweep: its name.
        metrics: names of the metrics, in finished trials.
        rule: key of `analysis.tables.epoch_selection.RULES`.
        axes: settings that tell the variants apart.
        notes: sentences without which the table would be misread.
        table: one row per variant, in the plan's order, with the columns
            variant, label: identity and readable name; one per axis.
            planned, and as columns of `analysis.tables.COUNTS` how many trials stand in each status.
            one per metric: its mean over finished trials, NaN for none; `sd <metric>` the standard deviation.
            front: whether no other variant's means are at least as good in all metrics and better in one.
            beaten_by: label of the first variant that does; None on the front and for variants without means.
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
        UserError: fewer than two metrics, an unknown one, one without a better direction, or one measured nowhere.
    """
    known = [known_metric(name) for name in metrics]
    if len(set(metrics)) < 2 or len(set(metrics)) < len(metrics):
        raise UserError(f"pareto must name two or more different metrics, got {', '.join(metrics) or 'none'}")
    if undirected := [one.name for one in known if one.better is None]:
        raise UserError(f"pareto needs metrics with a better direction, {', '.join(undirected)} has none")
    axes = planned_axes(runs)
    by_metric = [variants(runs, metric=name, settings=axes) for name in metrics]
    levels = [[estimate(list(one.values.values())) for one in members] for members in by_metric]
    means = np.array([[level.mean for level in one] for one in levels]).T  # [variant, metric]
    if unmeasured := [name for name, values in zip(metrics, means.T, strict=True) if np.isnan(values).all()]:
        raise UserError(f"pareto needs measured metrics, no finished trial has {', '.join(unmeasured)}")
    members = by_metric[0]
    signs = [1 if one.better == "higher" else -1 for one in known]
    rivals = dominated_by(means * signs)
    table = pd.DataFrame([_identity(one) for one in members])
    for place, name in enumerate(metrics):
        table[name] = means[:, place]
        table[f"sd {name}"] = [level.sd for level in levels[place]]
    table["front"] = [rival is None and bool(np.isfinite(means[row]).all()) for row, rival in enumerate(rivals)]
    table["beaten_by"] = column(None if rival is None else members[rival].label for rival in rivals)
    rule = runs.attrs.get("rule", LAST)
    notes = _notes(table, known, RULES[rule])
    return Front(runs.attrs.get("sweep", ""), tuple(metrics), rule, axes, notes, table)


def dominated_by(scores: FloatArray) -> list[int | None]:
    """For each row [n, k] the first row at least as high in every column and higher in one; None where none is.

    A row with a NaN neither beats nor is beaten.
    """
    found: list[int | None] = []
    for row in scores:
        beats = (scores >= row).all(axis=1) & (scores > row).any(axis=1)
        found.append(int(beats.argmax()) if beats.any() else None)
    return found


def _identity(one: Variant) -> dict[str, object]:
    counts = {name: one.statuses[status] for status, name in COUNTS.items()}
    return {"variant": one.id, "label": one.label, **one.settings, "planned": one.statuses.total(), **counts}


def _notes(table: pd.DataFrame, metrics: Sequence[Metric], rule: str) -> tuple[str, ...]:
    wanted = ", ".join(f"{one.better} {one.name}" for one in metrics)
    candidates = [
        f"Means {rule}; better is: {wanted}.",
        "front: no other variant's means are as good in all and better in one; the seeds' spread is not considered.",
        absent(table.assign(n=table["finished"]), metrics[0]),
    ]
    return tuple(note for note in candidates if note)


@columns.register
def _of_front(result: Front, *, detailed: bool) -> list[TextColumn]:
    table = result.table
    found = [*settings(table, result.axes, short=not detailed), done(table)]
    for name in result.metrics:
        levels = zip(table[name], table[f"sd {name}"], strict=True)
        found.append(TextColumn(f"{name} ± sd", tuple(numbers.with_spread(mean, sd) for mean, sd in levels)))
    marks = tuple(
        "front" if on_it else numbers.ABSENT if math.isnan(mean) else ""
        for on_it, mean in zip(table["front"], table[result.metrics[0]], strict=True)
    )
    return [*found, TextColumn("Pareto", marks, numeric=False)]
