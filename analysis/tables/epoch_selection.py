"""Selects the epoch of each trial at which its metrics are reported."""

import math

import pandas as pd

from analysis.lookup import known_metric
from ottt.errors import UserError

LAST = "last"
BEST_VAL = "best-val"
PAPER = "paper"

CHOSEN_BY = "val/top1"  # metric by which "best-val" selects

# By name the rule as worded in footnotes.
RULES = {
    LAST: "at the last epoch of finished trials",
    BEST_VAL: f"at the epoch of the best {CHOSEN_BY} (the first of equals) of finished trials",
    PAPER: "at its own best epoch of finished trials: OPTIMISTIC, chosen on the values reported (the paper's protocol)",
}


def select(runs: pd.DataFrame, history: pd.DataFrame, *, rule: str, metric: str) -> pd.DataFrame:
    """`runs` with the value of every metric at the epoch that `rule` selects for the trial.

    Args:
        runs: see `analysis.load.runs`.
        history: see `analysis.load.history`.
        rule: key of RULES. "last": `runs` unchanged. "best-val": the epoch of the best CHOSEN_BY, the first of
            equals. "paper": the best epoch of `metric` itself; optimistic, and labelled so.
        metric: metric to report.

    Returns:
        The same rows. "best-val" and "paper" add the column `selected_epoch` (NaN for trials that never measured the
        metric by which the rule selects; their metrics are then NaN too).

    Raises:
        UserError: an unknown rule or metric, no trial has measured the metric by which the rule selects, or neither
            direction of it is better.
    """
    if rule not in RULES:
        raise UserError(f"rule must be one of {', '.join(RULES)}, got {rule!r}")
    if rule == LAST:
        return runs
    deciding = known_metric(CHOSEN_BY if rule == BEST_VAL else metric)
    if deciding.better is None:
        raise UserError(f"rule {rule} needs a metric with a better direction, {metric} has none")
    chosen = _best_epochs(history[history["metric"] == deciding.name], lowest=deciding.better == "lower")
    if chosen.empty:
        raise UserError(f"rule {rule} needs {deciding.name}, which no trial of this sweep has measured")
    return _at_epochs(runs, history, chosen, rule)


def _best_epochs(points: pd.DataFrame, *, lowest: bool) -> "pd.Series[int]":
    """By trial the epoch of its best finite value, the first of equals."""
    values = points["value"].where(points["value"].abs() < math.inf)
    ordered = points.assign(value=values).dropna(subset="value")
    ordered = ordered.sort_values(["value", "epoch"], ascending=[lowest, True], kind="stable")
    return ordered.drop_duplicates("trial").set_index("trial")["epoch"]


def _at_epochs(runs: pd.DataFrame, history: pd.DataFrame, chosen: "pd.Series[int]", rule: str) -> pd.DataFrame:
    there = history[history["epoch"] == history["trial"].map(chosen)]
    wide = there.pivot(index="trial", columns="metric", values="value").reindex(runs["trial"])
    columns = {name: wide[name].to_numpy() for name in wide.columns}
    selected = runs.assign(**columns, selected_epoch=runs["trial"].map(chosen))
    selected.attrs = runs.attrs | {"rule": rule}
    return selected
