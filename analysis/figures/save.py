"""Writes all figures of a sweep as files."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analysis.figures import coloured, plots
from analysis.figures.highlight import highlighted
from analysis.profiles import COSTS_BY_T, accuracy_by_steps, by_setting, layer_rates, learning_curves
from analysis.style import save
from analysis.tables import Comparison
from analysis.tables.marginal_means import marginal
from analysis.tables.pareto import front
from analysis.tables.two_way import cross
from ottt.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Draw = Callable[[], "Axes"]


def save_all(runs: pd.DataFrame, history: pd.DataFrame, comparison: Comparison, *, folder: Path) -> Iterator[str]:
    """Write all figures for which there are measurements into `folder`, as PDF and PNG.

    Yields:
        One line per figure: the path of its PDF, or the reason that there is none.
    """
    for name, draw in _drawings(runs, history, comparison).items():
        try:
            figure = draw().get_figure(root=True)
            assert figure is not None
            vector, _ = save(figure, folder / name)
        except UserError as error:
            yield f"no figure {name}: {error}"
        else:
            yield str(vector)


def _drawings(runs: pd.DataFrame, history: pd.DataFrame, comparison: Comparison) -> dict[str, Draw]:
    metric = comparison.metric.name
    labels = comparison.table.set_index("variant")["label"]
    stressed = [labels[variant] for variant in highlighted(comparison)]
    drawings: dict[str, Draw] = {
        "learning-curves": lambda: plots.learning_curves(
            learning_curves(runs, history, metric=metric), metric=metric, stressed=stressed
        ),
        "layer-rates": lambda: plots.layer_rates(layer_rates(runs), stressed=stressed),
        "accuracy-by-steps": lambda: plots.accuracy_by_steps(accuracy_by_steps(runs), stressed=stressed),
        "pareto": lambda: plots.pareto(front(runs, metrics=(metric, "rate/total")).table, x="rate/total", y=metric),
    }
    if "T" in comparison.axes:
        by_steps = {"metric": metric, **COSTS_BY_T}
        drawings |= {f"{name}-by-T": partial(_by_steps, runs, one) for name, one in by_steps.items() if one in runs}
    for axis in comparison.axes:
        drawings[f"response-{axis}"] = partial(_response, runs, axis, metric)
    for rows, cols in combinations(comparison.axes, 2):
        drawings[f"map-{rows}-{cols}"] = partial(_map, runs, rows, cols, metric)
    if len(comparison.axes) > 1:
        drawings["parallel-coordinates"] = lambda: coloured.parallel_coordinates(
            comparison.table, axes=comparison.axes, metric=metric
        )
    return drawings


def _by_steps(runs: pd.DataFrame, metric: str) -> "Axes":
    return plots.by_setting(by_setting(runs, metric=metric), axis="T", metric=metric)


def _response(runs: pd.DataFrame, axis: str, metric: str) -> "Axes":
    return plots.axis_response(marginal(runs, [axis], metric=metric).table, axis=axis, metric=metric)


def _map(runs: pd.DataFrame, rows: str, cols: str, metric: str) -> "Axes":
    return coloured.heat_map(
        cross(runs, rows=rows, cols=cols, metric=metric).table, rows=rows, cols=cols, metric=metric
    )
