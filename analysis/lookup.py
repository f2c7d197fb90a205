"""Looks up what users name, metrics and a sweep's axes, with errors for them."""

import re

import pandas as pd

from ottt.errors import UserError
from ottt.schema import METRICS, Metric
from ottt.schema import metric as metric_named

_SHARE = re.compile(r"(train|val|test)/top[15](_at_\d+)?|rate/(total|layer_\d+)")  # a neuron spikes once a step at most


def is_share(metric: str) -> bool:
    """Whether all values of a metric lie in [0, 1]: accuracies and firing rates."""
    return _SHARE.fullmatch(metric) is not None


def known_metric(name: str) -> Metric:
    """The metric called `name`.

    Raises:
        UserError: no such metric.
    """
    try:
        return metric_named(name)
    except KeyError as error:
        known = ", ".join((*METRICS, "rate/layer_NN", "test/top1_at_NN"))
        raise UserError(f"metric must be one of {known}; got {name!r}") from error


def planned_axes(runs: pd.DataFrame) -> tuple[str, ...]:
    """The axes of the sweep that `runs` belong to: the settings that it varies.

    Raises:
        UserError: `runs` carry no plan.
    """
    if "axes" not in runs.attrs:
        raise UserError("by must name the settings to compare: these runs carry no plan")
    return tuple(runs.attrs["axes"])
