"""Draws the figures: each function takes a DataFrame of `analysis` and returns the matplotlib Axes of a new Figure.

Figures are not registered with pyplot, so the caller alone owns them: `axes.figure`, which notebooks show and
`analysis.style.save` writes to disk.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.figures.canvas import escaped, new_figure, positions, scale_x, set_labels, with_unit
from analysis.lookup import is_share
from analysis.statistics import mean_intervals
from analysis.style import ACCENT, REST, looks, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKER = "o"
POINT = "#808080"
MOST_TICKS = 10
MOST_LINES = 7  # in colour; the others are grey
SHORT = 40  # characters: with labels up to this length the legend has two columns
LEGEND_LINE = 0.19  # inches


@styled()
def learning_curves(profile: pd.DataFrame, *, metric: str, stressed: Sequence[str] = ()) -> "Axes":
    """`metric` over epochs, with the interval over seeds as a band.

    Args:
        profile: profile from `analysis.profiles.learning_curves`.
        metric: name of the metric.
        stressed: labels of the variants in colour, the baseline first; by default the first MOST_LINES. The others are
            grey.
    """
    _, axes = new_figure()
    _lines(axes, profile, stressed, markers=False)
    set_labels(axes, "epoch", with_unit(metric))
    return axes


@styled()
def layer_rates(profile: pd.DataFrame, *, stressed: Sequence[str] = ()) -> "Axes":
    """Firing rate by spiking layer, of which the first is 1, from the profile of `analysis.profiles.layer_rates`."""
    _, axes = new_figure()
    _lines(axes, profile, stressed, markers=True)
    layers = sorted(set(profile["x"]))
    axes.set_xticks(layers, [str(layer + 1) for layer in layers])
    axes.set_ylim(bottom=0)
    set_labels(axes, "spiking layer, from the input", "firing rate (spikes per neuron and step)")
    return axes


@styled()
def accuracy_by_steps(profile: pd.DataFrame, *, stressed: Sequence[str] = ()) -> "Axes":
    """Test accuracy by time steps of the evaluation, from the profile of `analysis.profiles.accuracy_by_steps`."""
    _, axes = new_figure()
    _lines(axes, profile, stressed, markers=True)
    axes.set_xticks(sorted(set(profile["x"])))
    set_labels(axes, "time steps of the evaluation", "test/top1")
    return axes


@styled()
def by_setting(profile: pd.DataFrame, *, axis: str, metric: str) -> "Axes":
    """`metric` by the values of a setting, a line for each combination of the others.

    Args:
        profile: profile from `analysis.profiles.by_setting`.
        axis: key of the setting.
        metric: name of the metric.
    """
    _, axes = new_figure()
    _lines(axes, profile, (), markers=True)
    axes.set_xticks(sorted(set(profile["x"])))
    set_labels(axes, axis, with_unit(metric))
    return axes


@styled()
def axis_response(table: pd.DataFrame, *, axis: str, metric: str) -> "Axes":
    """`metric` by the values of one setting: the mean with its interval, and next to it the value of each seed.

    Args:
        table: table of `analysis.tables.marginal_means.marginal(runs, [axis])`.
        axis: key of the setting.
        metric: name of the metric.
    """
    _, axes = new_figure()
    x = _response_positions(axes, table[axis].tolist(), table["mean"].to_numpy())
    _seed_points(axes, x, table["values"].tolist())
    means = table["mean"].to_numpy()
    low, high = mean_intervals(means, table["sd"], table["n"], share=is_share(metric))
    known = np.isfinite(low)
    axes.errorbar(
        np.array(x)[known],
        means[known],
        yerr=np.array([means - low, high - means])[:, known],
        fmt="none",
        ecolor=ACCENT,
        capsize=3,
        zorder=3,
    )
    axes.plot(x, means, MARKER, color=ACCENT, zorder=4)
    set_labels(axes, axis, with_unit(metric))
    return axes


@styled()
def pareto(table: pd.DataFrame, *, x: str, y: str) -> "Axes":
    """The variants by two metrics, with standard deviations and a line through the Pareto front.

    Args:
        table: table of `analysis.tables.pareto.Front` with both metrics.
        x, y: names of the metrics.
    """
    _, axes = new_figure()
    measured = table.dropna(subset=[x, y])
    for on_front, colour in ((False, REST), (True, ACCENT)):
        part = measured[measured["front"] == on_front].sort_values(x)
        if on_front:
            axes.plot(part[x], part[y], color=colour, linewidth=1, linestyle=":")
        axes.errorbar(
            part[x],
            part[y],
            xerr=part[f"sd {x}"].fillna(0),
            yerr=part[f"sd {y}"].fillna(0),
            fmt=MARKER,
            color=colour,
            elinewidth=0.8,
            label="Pareto front" if on_front else "beaten",
        )
    if len(measured) > 0 and measured[x].min() > 0:
        scale_x(axes, measured[x].tolist())
    _keep_in_range(axes, x, y)
    _legend(axes)
    set_labels(axes, with_unit(x), with_unit(y))
    return axes


def _keep_in_range(axes: "Axes", x: str, y: str) -> None:
    """End axes of shares at 0 and 1, which bars of standard deviations can pass."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    if is_share(x):
        axes.set_xlim(max(left, 0), min(right, 1))
    if is_share(y):
        axes.set_ylim(max(bottom, 0), min(top, 1))


def _response_positions(axes: "Axes", values: Sequence[Any], means: NDArray[np.float64]) -> list[float]:
    """The positions of a setting's values on the x axis, whose ticks it sets; a line joins the means of numbers."""
    x, names = positions(values)
    if names is not None:
        axes.set_xticks(x, names)
        axes.set_xlim(-0.5, len(x) - 0.5)
        return x
    order = np.argsort(x)
    axes.plot(np.take(x, order), means[order], color=ACCENT, linewidth=1)
    scale_x(axes, x)
    if len(x) <= MOST_TICKS:
        axes.set_xticks(x, [f"{position:g}" for position in x])
        axes.minorticks_off()
    return x


def _seed_points(axes: "Axes", x: Sequence[float], values: Sequence[Mapping[int, float]]) -> None:
    """The values of the seeds, shifted to the right of the mean; a single one is the mean and left out."""
    from matplotlib.transforms import offset_copy

    shifted = offset_copy(axes.transData, axes.get_figure(root=True), x=6, units="points")
    for position, of_seeds in zip(x, values, strict=True):
        if len(of_seeds) > 1:
            y = list(of_seeds.values())
            axes.plot([position] * len(y), y, MARKER, color=POINT, markersize=3, transform=shifted)


def _lines(axes: "Axes", profile: pd.DataFrame, stressed: Sequence[str], *, markers: bool) -> None:
    labels = list(dict.fromkeys(profile["label"]))
    chosen = [label for label in stressed if label in labels] if stressed else labels[:MOST_LINES]
    styles = dict(zip(chosen, looks(len(chosen)), strict=True))
    parts = dict(tuple(profile.groupby("label", sort=False)))
    for label in labels:
        if label not in chosen:
            axes.plot(parts[label]["x"], parts[label]["mean"], color=REST, linewidth=0.7, zorder=1)
    for label in [label for label in labels if label in styles]:
        (colour, marker), part = styles[label], parts[label]
        symbol = marker if markers or len(part) == 1 else None
        axes.plot(part["x"], part["mean"], color=colour, marker=symbol, label=label, zorder=3)
        axes.fill_between(part["x"], part["low"], part["high"], color=colour, alpha=0.18, linewidth=0, zorder=2)
    if len(chosen) < len(labels):
        axes.plot([], [], color=REST, linewidth=0.7, label=f"{len(labels) - len(chosen)} others")
    _legend(axes)


def _legend(axes: "Axes") -> None:
    """Add a legend below the axes and make the figure taller by its height."""
    handles, texts = axes.get_legend_handles_labels()
    columns = 2 if max(map(len, texts)) <= SHORT else 1
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.set_figheight(figure.get_figheight() + LEGEND_LINE * math.ceil(len(texts) / columns))
    figure.legend(handles, [escaped(text) for text in texts], loc="outside lower center", ncols=columns)
