"""What an evaluation measured, as plain data. Standard library only: whoever shows it need not have torch."""

import json
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True)
class EvalReport:
    """What an evaluation measured. Everything but `top1_at` refers to T time steps.

    Attributes:
        samples: how many.
        time_steps: T.
        loss: per sample, nats.
        top1: share of samples whose class has the highest summed output.
        top5: share whose class is among the five highest.
        top1_at: top1 if the sequence had ended after so many time steps.
        layers: name of each layer of neurons.
        rates: spikes per neuron and time step, one entry per layer of neurons.
        total_rate: the same over all neurons of the network.
        synops: synaptic operations per sample.
        macs: multiplications and accumulations of real-valued inputs per sample.
        energy_nj: estimate per sample, nanojoule; see `ottt.evaluation.energy`.
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
        """Everything, for `from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The report that `to_json` wrote."""
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
