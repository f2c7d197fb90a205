"""The result of an evaluation as plain data. Standard library only, so that it can be shown without torch."""

import json
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True)
class EvalReport:
    """The result of an evaluation. All values but `top1_at` refer to T time steps.

    Attributes:
        samples: number of samples.
        time_steps: T.
        loss: mean loss per sample, nats.
        top1: share of samples whose class has the highest summed output.
        top5: share of samples whose class is among the five highest.
        top1_at: top1 after other numbers of time steps.
        layers: name of each layer of neurons.
        rates: spikes per neuron and time step, one entry per layer of neurons.
        total_rate: spikes per neuron and time step, over all neurons.
        synops: synaptic operations per sample.
        macs: multiplications and accumulations of real-valued inputs per sample.
        energy_nj: energy estimate per sample, nanojoules; see `ottt.evaluation.energy`.
        confusion: counts [K][K], true class by predicted class.
    """

    samples: int
    time_steps: int
    loss: float
    top1: float
    top5: float
    top1_at: dict[int, float]
    layers: tuple[str, ...]
    rates: tuple[float, ...]
    total_rate: float
    synops: float
    macs: float
    energy_nj: float
    confusion: tuple[tuple[int, ...], ...]

    def to_json(self) -> str:
        """The report as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The report in a text from `to_json`."""
        stored = json.loads(text)
        return cls(
            **stored
            | {
                "top1_at": {int(steps): top1 for steps, top1 in stored["top1_at"].items()},
                "layers": tuple(stored["layers"]),
                "rates": tuple(stored["rates"]),
                "confusion": tuple(map(tuple, stored["confusion"])),
            }
        )
