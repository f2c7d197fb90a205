"""What a sink is, and what it is told of a trial. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ottt.schema import Status


class Sink(Protocol):
    """Destination of a trial's metrics."""

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Record the metrics of `epoch` (from 1), by the names of `ottt.schema`."""


class TrialSink(Sink, Protocol):
    """A sink that a sweep opens for one of its trials."""

    def close(self, status: Status) -> None:
        """There is no further epoch at present: how the trial stands."""


@dataclass(frozen=True)
class SinkTrial:
    """What a sink is told of a trial before its first epoch, without secrets.

    Attributes:
        sweep: name of the sweep.
        trial: hash of the trial's configuration.
        name: short and unique in the sweep, e.g. "tau=2 online s1".
        variant: the name without the seed.
        seed: seed of the trial.
        settings: what the sweep varies, by dotted key.
        config: every setting, by dotted key.
        metric: the sweep's metric.
        started: when the trial began, in seconds since 1970.
        folder: where the sink can write, `<results>/<sink>/<sweep>`; it need not exist.
    """

    sweep: str
    trial: str
    name: str
    variant: str
    seed: int
    settings: Mapping[str, Any]
    config: Mapping[str, Any]
    metric: str
    started: float
    folder: Path
