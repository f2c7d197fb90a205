"""Draws the figures: each function takes a DataFrame of `analysis` and returns a matplotlib Figure in its style.

Figures are not registered with pyplot, so the caller alone owns them. `analysis.style.save` writes one to disk.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.lookup import known_metric
from analysis.style import COLOURS, MAP, REST, WIDTH, looks, styled
from analysis.text.columns import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKER = "o"
POINT = "#808080"
LABEL_BOX = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6}
MOST_TICKS = 10
MOST_LINES = 7  # in colour; the others are grey
SHORT = 40  # characters: with labels up to this length the legend has two columns
LEGEND_LINE = 0.19  # inches
LOG_FROM = 8.0  # largest over smallest value: from this ratio on, an axis is logarithmic


@styled()
def learning_curves(profile: pd.DataFrame, *, metric: str, stressed: Sequence[str] = ()) -> "Figure":
    """`metric` over epochs, with the interval over seeds as a band.

    Args:
        profile: profile from `analysis.profiles.learning_curves`.
        metric: name of the metric.
        stressed: labels of the variants in colour, by default the first MOST_LINES; the others are grey.
    """
    figure, axes = _figure()
    _lines(axes, profile, stressed, markers=False)
    _set_labels(axes, "epoch", _with_unit(metric))
    return figure


@styled()
def layer_rates(profile: pd.DataFrame, *, stressed: Sequence[str] = ()) -> "Figure":
    """Firing rate by neuron layer, from the profile of `analysis.profiles.layer_rates`."""
    figure, axes = _figure()
    _lines(axes, profile, stressed, markers=True)
    axes.set_xticks(sorted(set(profile["x"])))
    axes.set_ylim(bottom=0)
    _set_labels(axes, "neuron layer", "firing rate (spikes per neuron and step)")
    return figure


@styled()
def accuracy_by_steps(profile: pd.DataFrame, *, stressed: Sequence[str] = ()) -> "Figure":
    """Test accuracy by time steps of the evaluation, from the profile of `analysis.profiles.accuracy_by_steps`."""
    figure, axes = _figure()
    _lines(axes, profile, stressed, markers=True)
    axes.set_xticks(sorted(set(profile["x"])))
    _set_labels(axes, "time steps of the evaluation", "test/top1")
    return figure


@styled()
def axis_response(table: pd.DataFrame, *, axis: str, metric: str) -> "Figure":
    """`metric` by the values of one setting: the mean with its interval, and next to it the value of each seed.

    Args:
        table: table of `analysis.tables.marginal_means.marginal(runs, [axis])`.
        axis: key of the setting.
        metric: name of the metric.
    """
    figure, axes = _figure()
    x = _response_positions(axes, table[axis].tolist(), table["mean"].to_numpy())
    _seed_points(axes, x, table["values"].tolist())
    margins = np.array([table["mean"] - table["ci_low"], table["ci_high"] - table["mean"]])
    known = table["ci_low"].notna().to_numpy()
    axes.errorbar(
        np.array(x)[known],
        table["mean"].to_numpy()[known],
        yerr=margins[:, known],
        fmt="none",
        ecolor=COLOURS[0],
        capsize=3,
        zorder=3,
    )
    axes.plot(x, table["mean"], MARKER, color=COLOURS[0], zorder=4)
    _set_labels(axes, axis, _with_unit(metric))
    return figure


@styled()
def heat_map(table: pd.DataFrame, *, rows: str, cols: str, metric: str) -> "Figure":
    """`metric` by two settings, each cell with its mean; cells without a value are grey.

    Args:
        table: table of `analysis.tables.two_way.Crossing`.
        rows, cols: keys of the settings.
        metric: name of the metric.
    """
    down, across = _levels(table[rows]), _levels(table[cols])
    means = np.full((len(down), len(across)), math.nan)
    for row in table.to_dict("records"):
        means[down.index(str(row[rows])), across.index(str(row[cols]))] = row["mean"]
    figure, axes = _figure(height=0.9 + 0.42 * len(down))
    axes.grid(visible=False)
    axes.set_facecolor("#F2F2F2")
    image = axes.imshow(np.ma.masked_invalid(means), cmap=MAP, aspect="auto")
    low, high = image.get_clim()
    for (row, col), mean in np.ndenumerate(means):
        dark = mean < (low + high) / 2
        text = "-" if math.isnan(mean) else f"{mean:#.4g}"
        axes.text(col, row, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
    axes.set_xticks(range(len(across)), map(_escaped, across))
    axes.set_yticks(range(len(down)), map(_escaped, down))
    figure.colorbar(image, ax=axes, label=_with_unit(metric))
    _set_labels(axes, cols, rows)
    return figure


@styled()
def pareto(table: pd.DataFrame, *, x: str, y: str) -> "Figure":
    """The variants by two metrics, with standard deviations and a line through the Pareto front.

    Args:
        table: table of `analysis.tables.pareto.Front` with both metrics.
        x, y: names of the metrics.
    """
    figure, axes = _figure()
    measured = table.dropna(subset=[x, y])
    for on_front, colour in ((False, REST), (True, COLOURS[0])):
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
        _scale_x(axes, measured[x].tolist())
    _legend(axes)
    _set_labels(axes, _with_unit(x), _with_unit(y))
    return figure


@styled()
def parallel_coordinates(table: pd.DataFrame, *, axes: Sequence[str], metric: str) -> "Figure":
    """One line per variant through the values of its settings, coloured by its mean.

    Args:
        table: table of `analysis.tables.Comparison`.
        axes: keys of the settings, from left to right.
        metric: name of the metric in the column `mean`.
    """
    import matplotlib
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    figure, frame = _figure(height=3.0)
    measured = table.dropna(subset="mean").sort_values("mean")
    normalize = Normalize(measured["mean"].min(), measured["mean"].max())
    colours = matplotlib.colormaps[MAP]
    heights = [_heights(table[axis].tolist()) for axis in axes]
    for _, row in measured.iterrows():
        path = [levels[str(row[axis])] for axis, levels in zip(axes, heights, strict=True)]
        frame.plot(range(len(axes)), path, color=colours(normalize(row["mean"])), linewidth=1, alpha=0.8)
    for position, levels in enumerate(heights):
        frame.axvline(position, color="#555555", linewidth=0.8, zorder=0)
        for level, height in levels.items():
            frame.annotate(
                _escaped(level), (position, height), (4, 2), textcoords="offset points", fontsize=7, bbox=LABEL_BOX
            )
    frame.grid(visible=False)
    frame.set_yticks([])
    frame.spines[:].set_visible(False)
    frame.set_xlim(-0.05, len(axes) - 1 + 0.35)
    frame.set_xticks(range(len(axes)), [_escaped(axis) for axis in axes])
    figure.colorbar(ScalarMappable(normalize, MAP), ax=frame, label=_with_unit(metric))
    return figure


def _figure(height: float = 3.2) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def _response_positions(axes: "Axes", values: Sequence[Any], means: NDArray[np.float64]) -> list[float]:
    """The positions of a setting's values on the x axis, whose ticks it sets; a line joins the means of numbers."""
    x, names = _positions(values)
    if names is not None:
        axes.set_xticks(x, names)
        axes.set_xlim(-0.5, len(x) - 0.5)
        return x
    order = np.argsort(x)
    axes.plot(np.take(x, order), means[order], color=COLOURS[0], linewidth=1)
    _scale_x(axes, x)
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
    chosen = [label for label in labels if label in stressed] if stressed else labels[:MOST_LINES]
    parts = dict(tuple(profile.groupby("label", sort=False)))
    for label in labels:
        if label not in chosen:
            axes.plot(parts[label]["x"], parts[label]["mean"], color=REST, linewidth=0.7, zorder=1)
    for label, (colour, marker) in zip(chosen, looks(len(chosen)), strict=True):
        part = parts[label]
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
    figure.legend(handles, [_escaped(text) for text in texts], loc="outside lower center", ncols=columns)


def _set_labels(axes: "Axes", x: str, y: str) -> None:
    axes.set_xlabel(_escaped(x))
    axes.set_ylabel(_escaped(y))


def _escaped(name: str) -> str:
    """`name` with `$` escaped, which starts mathematics in matplotlib."""
    return printable(name).replace("$", r"\$")


def _with_unit(metric: str) -> str:
    unit = known_metric(metric).unit
    return metric if unit == "1" else f"{metric} ({unit})"


def _levels(values: pd.Series) -> list[str]:
    return list(dict.fromkeys(map(str, values.tolist())))


def _positions(values: Sequence[Any]) -> tuple[list[float], list[str] | None]:
    """Positions of values on an axis, and tick labels: numbers at their value without labels, others side by side."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return [float(value) for value in values], None
    return [float(index) for index in range(len(values))], [_escaped(str(value)) for value in values]


def _scale_x(axes: "Axes", x: Sequence[float]) -> None:
    if min(x) > 0 and max(x) / min(x) >= LOG_FROM:
        axes.set_xscale("log")


def _heights(values: Sequence[Any]) -> dict[str, float]:
    """By text of a value its height in [0, 1], evenly spaced, numbers in their order."""
    distinct = {str(value): value for value in values}
    numeric = _positions(list(distinct.values()))[1] is None
    ordered = sorted(distinct, key=lambda text: distinct[text]) if numeric else list(distinct)
    return {text: index / max(len(ordered) - 1, 1) for index, text in enumerate(ordered)}
