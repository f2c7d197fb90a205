"""The data of the page's figures, as plain lists for its script."""

import math
from collections.abc import Iterable
from itertools import combinations
from typing import Any

import pandas as pd

from analysis.lookup import is_share, known_metric
from analysis.profiles import COSTS_BY_T, accuracy_by_steps, by_setting, layer_rates, learning_curves
from analysis.statistics import mean_intervals
from analysis.tables import Comparison
from analysis.tables.marginal_means import marginal
from analysis.tables.pareto import dominated_by
from analysis.tables.two_way import averaging_note, cross
from analysis.tables.variants import MEANS
from analysis.text.columns import printable
from ottt.errors import UserError

DIGITS = 5  # significant digits of numbers in figures
MOST_AXES = 6  # axes of which each pair has a heat map
CURVES = ("val/top1", "test/top1", "train/loss", "val/loss", "test/loss", "rate/total")
COSTS = ("synops", "energy_nj", "rate", "peak_mib", "epoch_s")  # columns of a comparison


Chart = dict[str, Any]


def charts(runs: pd.DataFrame, history: pd.DataFrame, comparison: Comparison) -> Chart:
    """The data of each figure, by name of the figure; empty or None if nothing was measured for it.

    Args:
        runs: the runs that `comparison` compares.
        history: see `analysis.load.history`.
        comparison: comparison of the variants.
    """
    metric = comparison.metric.name
    axes = [axis for axis in comparison.axes if axis in runs.attrs.get("axes", ())]
    return {
        "curves": _curves(runs, history, metric),
        "responses": {axis: _response(runs, axis, metric) for axis in axes},
        "maps": [_map(runs, *pair, metric) for pair in combinations(axes[:MOST_AXES], 2)],
        "layers": _optional(_layers, runs),
        "steps": _optional(_steps, runs),
        "growth": _growth(runs, metric),
        "fronts": _fronts(comparison),
        "parallel": _parallel(comparison),
    }


def _optional(chart: Any, runs: pd.DataFrame) -> Chart | None:
    """The chart, or None if nothing was measured for it."""
    try:
        return dict(chart(runs))
    except UserError:
        return None


def _curves(runs: pd.DataFrame, history: pd.DataFrame, metric: str) -> Chart:
    measured = set(history["metric"].unique())
    names = [name for name in dict.fromkeys((metric, *CURVES)) if name in measured]
    return {name: chart for name in names if (chart := _optional(lambda r, n=name: _curve(r, history, n), runs))}


def _curve(runs: pd.DataFrame, history: pd.DataFrame, metric: str) -> Chart:
    profile = learning_curves(runs, history, metric=metric)
    return _profile(profile, "epoch", _with_unit(metric), share=is_share(metric))


def _layers(runs: pd.DataFrame) -> Chart:
    return _profile(layer_rates(runs), "spiking layer, from the input", "spikes per neuron and step", share=True)


def _steps(runs: pd.DataFrame) -> Chart:
    return _profile(accuracy_by_steps(runs), "time steps of the evaluation", "test/top1", share=True)


def _growth(runs: pd.DataFrame, metric: str) -> Chart:
    """The metric and the costs by the number of time steps in training, a line per combination of other settings."""
    names = dict.fromkeys((metric, *COSTS_BY_T.values()))
    return {name: chart for name in names if (chart := _optional(lambda r, n=name: _grown(r, n), runs))}


def _grown(runs: pd.DataFrame, metric: str) -> Chart:
    return _profile(by_setting(runs, metric=metric), "T", _with_unit(metric), share=is_share(metric))


def _profile(profile: pd.DataFrame, x_label: str, y_label: str, *, share: bool) -> Chart:
    series = []
    for variant, part in profile.groupby("variant", sort=False):
        one: Chart = {"variant": variant, "x": part["x"].tolist(), "mean": _rounded(part["mean"])}
        if part["low"].notna().any():
            one |= {"low": _rounded(part["low"]), "high": _rounded(part["high"])}
        series.append(one)
    return {"xLabel": x_label, "yLabel": y_label, "share": share, "series": series}


def _response(runs: pd.DataFrame, axis: str, metric: str) -> Chart:
    try:
        found = marginal(runs, [axis], metric=metric)
    except UserError as error:
        return {"problem": str(error)}
    table, share = found.table, is_share(metric)
    low, high = mean_intervals(table["mean"], table["sd"], table["n"], share=share)
    return {
        "share": share,
        "levels": _values(table[axis]),
        "mean": _rounded(table["mean"]),
        "low": _rounded(low),
        "high": _rounded(high),
        "n": table["n"].tolist(),
        "points": [_rounded(values.values()) for values in table["values"]],
        "note": averaging_note(found),
    }


def _map(runs: pd.DataFrame, rows: str, cols: str, metric: str) -> Chart:
    chart: Chart = {"rows": rows, "cols": cols}
    try:
        found = cross(runs, rows=rows, cols=cols, metric=metric)
    except UserError as error:
        return chart | {"problem": str(error)}
    down, across = _texts(found.table[rows]), _texts(found.table[cols])
    cells = [
        [
            down.index(printable(row[rows])),
            across.index(printable(row[cols])),
            *_rounded([row["mean"], row["sd"]]),
            row["n"],
        ]
        for row in found.table.to_dict("records")
    ]
    return chart | {"down": down, "across": across, "cells": cells}


def _fronts(comparison: Comparison) -> Chart:
    """By cost metric the means of the variants, and whether each is on the Pareto front."""
    table, metric = comparison.table, comparison.metric
    found: Chart = {}
    for column in COSTS:
        cost = known_metric(MEANS[column])
        if cost == metric or metric.better is None or table[column].isna().all():
            continue
        signs = [1 if one.better == "higher" else -1 for one in (metric, cost)]
        rivals = dominated_by(table[["mean", column]].to_numpy() * signs)
        found[cost.name] = {
            "xLabel": _with_unit(cost.name),
            "variant": table["variant"].tolist(),
            "share": is_share(metric.name),
            "x": _rounded(table[column]),
            "y": _rounded(table["mean"]),
            "front": [rival is None for rival in rivals],
        }
    return found


def _parallel(comparison: Comparison) -> Chart | None:
    table = comparison.table
    if len(comparison.axes) < 2 or table["mean"].isna().all():
        return None
    axes = [{"name": axis, "values": _values(table[axis])} for axis in comparison.axes]
    return {"axes": axes, "variant": table["variant"].tolist(), "mean": _rounded(table["mean"])}


def _values(values: "pd.Series[Any]") -> list[Any]:
    """Settings as JSON numbers and booleans, others as text."""
    return [value if isinstance(value, int | float | bool) else printable(value) for value in values.tolist()]


def _texts(values: "pd.Series[Any]") -> list[str]:
    return list(dict.fromkeys(map(printable, values.tolist())))


def _rounded(values: Iterable[float]) -> list[float | None]:
    return [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in values]


def _with_unit(metric: str) -> str:
    unit = known_metric(metric).unit
    return metric if unit == "1" else f"{metric}, {unit}"
