"""Figures of a sweep in one style, as matplotlib figures and as files.

Main entries: the functions below, from a DataFrame to the Axes of a figure, and `save.save_all`, which writes all of a
sweep.
"""

from analysis.figures.coloured import heat_map, parallel_coordinates
from analysis.figures.plots import accuracy_by_steps, axis_response, by_setting, layer_rates, learning_curves, pareto

__all__ = [
    "accuracy_by_steps",
    "axis_response",
    "by_setting",
    "heat_map",
    "layer_rates",
    "learning_curves",
    "parallel_coordinates",
    "pareto",
]
