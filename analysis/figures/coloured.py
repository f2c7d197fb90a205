"""Figures in which colour is the metric: heat maps and parallel coordinates."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.figures.canvas import escaped, new_figure, positions, set_labels, with_unit
from analysis.style import MAP, ink_on, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

LABEL_BOX = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.6}
FAN = 0.6  # share of the height of a level over which its lines are spread


@styled()
def heat_map(table: pd.DataFrame, *, rows: str, cols: str, metric: str) -> "Axes":
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
    figure, axes = new_figure(height=0.9 + 0.42 * len(down))
    axes.grid(visible=False)
    axes.set_facecolor("#F2F2F2")
    image = axes.imshow(np.ma.masked_invalid(means), cmap=colour_map(), aspect="auto")
    low, high = image.get_clim()
    for (row, col), mean in np.ndenumerate(means):
        ink = "black" if math.isnan(mean) else ink_on(MAP[round((mean - low) / (high - low or 1) * (len(MAP) - 1))])
        text = "-" if math.isnan(mean) else f"{mean:#.4g}"
        axes.text(col, row, text, ha="center", va="center", fontsize=8, color=ink)
    axes.set_xticks(range(len(across)), map(escaped, across))
    axes.set_yticks(range(len(down)), map(escaped, down))
    figure.colorbar(image, ax=axes, label=with_unit(metric))
    set_labels(axes, cols, rows)
    return axes


@styled()
def parallel_coordinates(table: pd.DataFrame, *, axes: Sequence[str], metric: str) -> "Axes":
    """One line per variant through the values of its settings, coloured by its mean.

    A value takes a stretch of its axis, in which variants lie in the order of their means.

    Args:
        table: table of `analysis.tables.Comparison`.
        axes: keys of the settings, from left to right.
        metric: name of the metric in the column `mean`.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    figure, frame = new_figure(height=3.0)
    planned = table.dropna(subset="mean")
    measured = planned.sort_values("mean", kind="stable")
    colours = ScalarMappable(Normalize(measured["mean"].min(), measured["mean"].max()), colour_map())
    columns = [[str(value) for value in measured[axis]] for axis in axes]
    heights = [_heights(planned[axis].tolist()) for axis in axes]
    paths = np.array([_spread_out(column, of_levels) for column, of_levels in zip(columns, heights, strict=True)])
    for mean, path in zip(measured["mean"], paths.T, strict=True):
        frame.plot(range(len(axes)), path, color=colours.to_rgba(mean), linewidth=1.1)
    for position, of_levels in enumerate(heights):
        _draw_levels(frame, position, of_levels)
    frame.grid(visible=False)
    frame.set_yticks([])
    frame.spines[:].set_visible(False)
    frame.set_xlim(-0.05, len(axes) - 1 + 0.35)
    frame.set_xticks(range(len(axes)), [escaped(axis) for axis in axes])
    figure.colorbar(colours, ax=frame, label=with_unit(metric))
    return frame


def colour_map() -> "Colormap":
    """The colour map of the style."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("ottt", MAP)


def _levels(values: "pd.Series[Any]") -> list[str]:
    return list(dict.fromkeys(map(str, values.tolist())))


def _heights(values: Sequence[Any]) -> dict[str, float]:
    """By text of a value the centre of its stretch in [0, 1], numbers in their order."""
    distinct = {str(value): value for value in values}
    numeric = positions(list(distinct.values()))[1] is None
    ordered = sorted(distinct, key=lambda text: distinct[text]) if numeric else list(distinct)
    return {text: (index + 0.5) / len(ordered) for index, text in enumerate(ordered)}


def _spread_out(texts: Sequence[str], heights: Mapping[str, float]) -> list[float]:
    """The height of each of `texts`: around that of its level, in their order."""
    counts, seen, found = Counter(texts), Counter[str](), []
    for text in texts:
        share = seen[text] / (counts[text] - 1) - 0.5 if counts[text] > 1 else 0.0
        found.append(heights[text] + FAN / len(heights) * share)
        seen[text] += 1
    return found


def _draw_levels(frame: "Axes", position: int, heights: Mapping[str, float]) -> None:
    stretch = FAN / len(heights) / 2
    for level, height in heights.items():
        frame.vlines(position, height - stretch, height + stretch, color="#555555", linewidth=1.5, zorder=3)
        frame.annotate(
            escaped(level),
            (position, height),
            (4, -2),
            textcoords="offset points",
            fontsize=7,
            bbox=LABEL_BOX,
            zorder=4,
        )
