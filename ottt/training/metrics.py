"""The registry of metrics that plugins add to those of every epoch."""

from collections.abc import Callable
from typing import Literal

from ottt import schema
from ottt.evalreport import EvalReport
from ottt.plugins import claim, owner

Compute = Callable[[EvalReport], float]

KIND = "metric"
PARTS = ("val", "test")

_COMPUTED: dict[str, Compute] = {}


def register_metric(name: str, compute: Compute, *, unit: str = "1", better: Literal["higher", "lower"] | None) -> None:
    """Add `val/name` and `test/name` to the metrics of every epoch.

    Args:
        name: the part after the slash.
        compute: function that computes the value from an evaluation of validation or test samples.
        unit: unit of the value; "1" for fractions.
        better: which direction is better; None: neither.

    Raises:
        UserError: the name is taken.
    """
    claim(KIND, name, {known.partition("/")[2] for known in schema.METRICS})
    _COMPUTED[name] = compute
    for part in PARTS:
        schema.METRICS[f"{part}/{name}"] = schema.Metric(f"{part}/{name}", unit, better)


def computed(report: EvalReport, *, part: str, plugins: tuple[str, ...]) -> dict[str, float]:
    """Values of the added metrics of a trial with these plugins, from the report of one part of the data."""
    return {
        f"{part}/{name}": float(compute(report))
        for name, compute in _COMPUTED.items()
        if owner(KIND, name) in {None, *plugins}
    }
