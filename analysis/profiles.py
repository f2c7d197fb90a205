"""Profiles: means over seeds as a function of epoch, layer, time steps, or a setting.

A profile is a long DataFrame with the columns variant, label, x, n, mean, low, high; [low, high] is the 95 % interval
of the mean over finished trials, NaN for fewer than two: for accuracies and firing rates on the logit scale, which
keeps it in [0, 1], for others Student's t (`analysis.statistics.mean_intervals`).
"""

import re

import numpy as np
import pandas as pd

from analysis.lookup import is_share, planned_axes
from analysis.statistics import mean_intervals
from analysis.text.numbers import is_number
from ottt.errors import UserError
from ottt.schema import Status

COSTS_BY_T = {
    "memory": "mem/peak_rss_mib",
    "gpu-memory": "mem/peak_mib",
    "time": "time/epoch_s",
}  # that can grow with T
PROFILE_COLUMNS = ("variant", "label", "x", "n", "mean", "low", "high")


def learning_curves(runs: pd.DataFrame, history: pd.DataFrame, *, metric: str = "val/top1") -> pd.DataFrame:
    """The profile of `metric` over epochs, of finished trials.

    Raises:
        UserError: no finished trial has measured it.
    """
    points = history.loc[history["metric"] == metric, ["trial", "epoch", "value"]]
    return _profile(runs, points.rename(columns={"epoch": "x"}), metric, share=is_share(metric))


def layer_rates(runs: pd.DataFrame) -> pd.DataFrame:
    """The profile of firing rates over neuron layers, counted from 0, at the reported epoch.

    Raises:
        UserError: no finished trial has measured them.
    """
    return _profile(runs, _numbered(runs, "rate/layer_"), "rate/layer_NN", share=True)


def accuracy_by_steps(runs: pd.DataFrame) -> pd.DataFrame:
    """The profile of test accuracy over the number of time steps of the evaluation (`T_eval`).

    Raises:
        UserError: no finished trial was evaluated at several numbers of steps.
    """
    return _profile(runs, _numbered(runs, "test/top1_at_"), "test/top1_at_NN", share=True)


def by_setting(runs: pd.DataFrame, *, axis: str = "T", metric: str) -> pd.DataFrame:
    """The profile of `metric` over the values of a setting, a line for each combination of the other axes.

    Axes that go with the setting, as `rule.k` = T/2 does, tell no lines apart. `variant` and `label` are the values of
    the axes that do.

    Raises:
        UserError: the sweep does not vary the setting by numbers, or no finished trial has measured the metric.
    """
    axes = planned_axes(runs)
    if axis not in axes or len(set(runs[axis])) < 2 or not all(map(is_number, runs[axis])):
        raise UserError(f"{axis} must be varied, by numbers")
    shown = {key: [f"{key}={value}" for value in runs[key]] for key in axes if key != axis}
    free = [key for key in shown if len(set(zip(runs[axis], shown[key], strict=True))) > len(set(runs[axis]))]
    labels = list(map(" ".join, zip(*(shown[key] for key in free), strict=True))) if free else metric
    points = pd.DataFrame({"trial": runs["trial"], "x": runs[axis], "value": runs.get(metric, np.nan)})
    return _profile(runs.assign(variant=labels, label=labels), points, metric, share=is_share(metric))


def _numbered(runs: pd.DataFrame, prefix: str) -> pd.DataFrame:
    """Long form of the columns `<prefix><number>`: trial, x, value."""
    names = [name for name in runs.columns if re.fullmatch(rf"{prefix}\d+", str(name))]
    long = runs.melt(id_vars="trial", value_vars=names, var_name="x", value_name="value")
    return long.assign(x=[int(name.removeprefix(prefix)) for name in long["x"]])


def _profile(runs: pd.DataFrame, points: pd.DataFrame, metric: str, *, share: bool) -> pd.DataFrame:
    finished = runs.loc[runs["status"] == Status.FINISHED, ["trial", "variant", "label"]]
    merged = points[np.isfinite(points["value"].astype(float))].merge(finished, on="trial")
    if merged.empty:
        raise UserError(f"no finished trial has measured {metric}")
    order = {variant: position for position, variant in enumerate(dict.fromkeys(runs["variant"]))}
    groups = merged.groupby(["variant", "label", "x"], sort=False)["value"].agg(["count", "mean", "std"]).reset_index()
    n = groups["count"].to_numpy()
    low, high = mean_intervals(groups["mean"], groups["std"], n, share=share)
    found = groups.assign(n=n, low=low, high=high)
    found = found.assign(order=found["variant"].map(order)).sort_values(["order", "x"], ignore_index=True)
    return found.loc[:, list(PROFILE_COLUMNS)]
