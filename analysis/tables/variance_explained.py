"""Analysis of variance of a sweep: the share of a metric's variance that each axis and interaction explains."""

import math
from dataclasses import asdict, dataclass

import pandas as pd

from analysis.lookup import known_metric, planned_axes
from analysis.statistics import LEVEL
from analysis.statistics.anova import RESIDUAL, analyse
from analysis.tables.epoch_selection import LAST, RULES
from analysis.tables.footnotes import left_out_note, metric_note
from analysis.tables.variants import status_counts
from analysis.text import numbers
from analysis.text.columns import TextColumn, columns, printable
from analysis.text.notebook import InNotebooks
from ottt.errors import UserError
from ottt.schema import Metric, Status

SEED = "seed"
MOST_CELLS = 2000  # combinations of all axes


@dataclass(frozen=True)
class Effects(InNotebooks):
    """Main effects and interactions of a sweep's axes.

    Attributes:
        sweep: name of the sweep.
        metric: metric whose variance is explained, in finished trials.
        rule: key of `analysis.tables.epoch_selection.RULES`.
        notes: footnotes of the table.
        table: one row per source of variance, with the columns of `analysis.statistics.anova.Term`.
    """

    sweep: str
    metric: Metric
    rule: str
    notes: tuple[str, ...]
    table: pd.DataFrame


def effects(runs: pd.DataFrame, *, metric: str = "test/top1") -> Effects:
    """The variance of `metric` over finished trials, by the axes of the sweep, their interactions and the seed.

    Raises:
        UserError: an unknown metric, no finished trials that differ in an axis, or more than MOST_CELLS combinations.
    """
    known, rule = known_metric(metric), runs.attrs.get("rule", LAST)
    finished = runs[runs["status"] == Status.FINISHED]
    values = finished[metric] if metric in finished else pd.Series(math.nan, index=finished.index)
    counted = finished[values.abs() < math.inf]
    axes = [axis for axis in planned_axes(runs) if len(set(map(repr, counted[axis]))) > 1]
    if not axes:
        raise UserError(f"effects need finished trials with a {metric} that differ in an axis, got {len(counted)}")
    cells = math.prod(len(set(map(repr, counted[axis]))) for axis in axes)
    if cells > MOST_CELLS:
        raise UserError(f"effects need at most {MOST_CELLS} combinations of axes, got {cells}: rank a search instead")
    factors = {axis: counted[axis].tolist() for axis in axes}
    has_seeds = counted[SEED].nunique() > 1
    if has_seeds:
        factors[SEED] = counted[SEED].tolist()
    terms = analyse(factors, counted[metric].tolist(), block=SEED if has_seeds else None)
    table = pd.DataFrame([asdict(term) for term in terms])
    notes = tuple(note for note in _notes(runs, table, known, RULES[rule], len(counted)) if note)
    return Effects(runs.attrs.get("sweep", ""), known, rule, notes, table)


def _notes(runs: pd.DataFrame, table: pd.DataFrame, metric: Metric, rule: str, counted: int) -> list[str]:
    aliased = table.loc[(table["df"] == 0) & (table["name"] != RESIDUAL), "name"].tolist()
    counts = pd.DataFrame([status_counts(runs["status"]) | {"n": counted}])
    shares = "share: of the variance over trials, less what noise alone would explain (epsilon squared)"
    return [
        metric_note(metric, rule),
        f"{shares}; [low, high] its {LEVEL:.0%} interval from the noncentral F, as if the other terms were known.",
        "Trials are missing: shares are of type II sums of squares and need not sum to 1."
        if counted < len(runs)
        else "",
        f"Cannot be separated from other terms in this sweep: {', '.join(aliased)}." if aliased else "",
        "" if table["f"].notna().any() else "No degrees of freedom are left for the noise: no interval, no test.",
        "p is Fisher's, for normal noise of one variance; it is not adjusted." if table["p"].notna().any() else "",
        left_out_note(counts, metric),
    ]


@columns.register
def _effects_columns(result: Effects, *, detailed: bool) -> list[TextColumn]:
    table = result.table
    records = table.to_dict("records")
    shown = [
        TextColumn("source", tuple(printable(name) for name in table["name"]), numeric=False),
        TextColumn("df", tuple(str(df) for df in table["df"])),
        TextColumn("share", tuple(numbers.percent(row["share"]) for row in records)),
    ]
    if table["low"].notna().any():
        shown += [
            TextColumn(f"{LEVEL:.0%} interval", tuple(_interval(row["low"], row["high"]) for row in records)),
            TextColumn("F", tuple(numbers.quantity(row["f"]) for row in records), dispensable=True),
            TextColumn("p", tuple(numbers.p_value(row["p"]) for row in records)),
        ]
    return shown


def _interval(low: float, high: float) -> str:
    return numbers.ABSENT if math.isnan(low) else f"[{numbers.percent(low)}, {numbers.percent(high)}]"
