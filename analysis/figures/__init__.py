"""Figures in one style: each function takes a data frame of this package and returns a matplotlib Figure."""

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
