"""What figures share: a new figure, labels of axes, positions of settings."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from analysis.lookup import known_metric
from analysis.style import WIDTH
from analysis.text.columns import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOG_FROM = 8.0  # largest over smallest value: from this ratio on, an axis is logarithmic


def new_figure(height: float = 3.2) -> "tuple[Figure, Axes]":
    """A figure as wide as a text column, `height` inches tall, with its axes."""
    from analysis.figures.shown import ShownFigure

    figure = ShownFigure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def set_labels(axes: "Axes", x: str, y: str) -> None:
    """Label the axes with two names."""
    axes.set_xlabel(escaped(x))
    axes.set_ylabel(escaped(y))


def escaped(name: str) -> str:
    """`name` with `$` escaped, which starts mathematics in matplotlib."""
    return printable(name).replace("$", r"\$")


def with_unit(metric: str) -> str:
    """Name of a metric, with its unit if it has one."""
    unit = known_metric(metric).unit
    return metric if unit == "1" else f"{metric} ({unit})"


def positions(values: Sequence[Any]) -> tuple[list[float], list[str] | None]:
    """Positions of values on an axis, and tick labels: numbers at their value without labels, others side by side."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return [float(value) for value in values], None
    return [float(index) for index in range(len(values))], [escaped(str(value)) for value in values]


def scale_x(axes: "Axes", x: Sequence[float]) -> None:
    """Make the x axis logarithmic if the positions `x` span most of a decade."""
    if min(x) > 0 and max(x) / min(x) >= LOG_FROM:
        axes.set_xscale("log")
