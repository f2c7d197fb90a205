"""Metrics of an evaluation beside loss and accuracy: its costs, and what plugins add to every epoch."""

import posixpath
import re
from collections.abc import Callable
from math import prod
from typing import Literal

from ottt import schema
from ottt.errors import UserError, brief
from ottt.evalreport import EvalReport
from ottt.plugins import claim, owner

Compute = Callable[[EvalReport], float]

KIND = "metric"
PARTS = ("val", "test")

_STORED = re.compile(r"[\w.\- :/]+")  # what MLflow's stores can hold, see mlflow.utils.validation

_COMPUTED: dict[str, Compute] = {}


def register_metric(name: str, compute: Compute, *, unit: str = "1", better: Literal["higher", "lower"] | None) -> None:
    """Add `val/name` and `test/name` to the metrics of every epoch.

    Args:
        name: the part after the slash.
        compute: function that computes the value from an evaluation of validation or test samples.
        unit: unit of the value; "1" for fractions.
        better: which direction is better; None: neither.

    Raises:
        UserError: the name is taken, or is one that MLflow cannot store.
    """
    claim(KIND, name, {known.partition("/")[2] for known in schema.METRICS})
    _check_stored(name)
    _COMPUTED[name] = compute
    for part in PARTS:
        schema.METRICS[f"{part}/{name}"] = schema.Metric(f"{part}/{name}", unit, better)


def computed(report: EvalReport, *, part: str, plugins: tuple[str, ...]) -> dict[str, float]:
    """Values of the added metrics of a trial with these plugins, from the report of one part of the data."""
    return {
        f"{part}/{name}": _number(name, compute(report))
        for name, compute in list(_COMPUTED.items())
        if owner(KIND, name) in {None, *plugins}
    }


def cost(report: EvalReport) -> dict[str, float]:
    """Firing rates, operations and energy of inference, and accuracy at other numbers of time steps."""
    rates = {schema.rate_of_layer(i): rate for i, rate in enumerate(report.rates)}
    at = {schema.top1_at(steps): top1 for steps, top1 in report.top1_at.items()} if len(report.top1_at) > 1 else {}
    totals = {"rate/total": report.total_rate, "energy/synops": report.synops, "energy/nj": report.energy_nj}
    return rates | at | totals


def _check_stored(name: str) -> None:
    whole = f"{PARTS[0]}/{name}"
    if not _STORED.fullmatch(name) or posixpath.normpath(whole) != whole:
        raise UserError(
            f"{KIND} must be named with letters, digits, '_', '-', '.', ' ', ':' and '/' within,"
            f" which MLflow can store, got {brief(name)}"
        )
    if any(schema.is_metric(f"{part}/{name}") for part in PARTS):
        raise UserError(f"{KIND} {name!r} is a name of ottt's own metrics, e.g. {schema.top1_at(6)}")


def _number(name: str, value: object) -> float:
    """The value as a number: Python's, numpy's, or a tensor's single one.

    Raises:
        UserError: it is something else.
    """
    try:
        if isinstance(value, str | bytes | bytearray) or prod(getattr(value, "shape", ())) != 1:
            raise TypeError  # `float` would parse the texts, and refuses the arrays with various errors
        return float(value.item() if hasattr(value, "item") else value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        kind = type(value).__name__
        raise UserError(f"{KIND} {name!r} must return one number, got {brief(value)} ({kind})") from None
