"""Figures of a sweep in one style, as matplotlib figures and as files.

Main entries: the functions below, from a DataFrame to a Figure, and `save.save_all`, which writes all of a sweep.
"""

from analysis.figures.plots import (
    accuracy_by_steps,
    axis_response,
    heat_map,
    layer_rates,
    learning_curves,
    parallel_coordinates,
    pareto,
)

__all__ = [
    "accuracy_by_steps",
    "axis_response",
    "heat_map",
    "layer_rates",
    "learning_curves",
    "parallel_coordinates",
    "pareto",
]
