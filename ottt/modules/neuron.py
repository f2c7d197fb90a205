"""The layer of spiking neurons."""

from typing import NamedTuple

from torch import Tensor, nn

from ottt.config.groups import NeuronConfig
from ottt.functional.lif import lif_step, ndot_factor, trace_step
from ottt.functional.surrogate import SURROGATES, Factor
from ottt.modules.context import Context, NeuronState, Spikes


class NeuronParameters(NamedTuple):
    """Parameters of a layer's neurons: numbers, or tensors that broadcast to its current; see `NeuronConfig`."""

    decay: Factor
    decay_of_trace: Factor
    v_threshold: Factor
    alpha: Factor

    @classmethod
    def of(cls, config: NeuronConfig) -> "NeuronParameters":
        """Those of a configuration."""
        return cls(config.decay, config.decay_of_trace, config.v_threshold, config.surrogate.alpha)


class Neuron(nn.Module):
    """A layer of spiking neurons: current in, spikes and their traces out."""

    def __init__(self, config: NeuronConfig) -> None:
        super().__init__()
        self.config = config
        self.derivative = SURROGATES[config.surrogate.name].derivative
        self.numbers = NeuronParameters.of(config)

    def forward(self, x: Tensor, state: NeuronState | None, context: Context) -> tuple[Spikes, NeuronState]:
        """One time step for input current `x`, [B,...]; see `ottt.functional.lif`. Dropout precedes the trace."""
        config, neurons = self.config, self.neuron_parameters(x)
        u_before, _, a_before, e_before = (None, None, None, None) if state is None else state
        s, u = lif_step(
            x,
            u_before,
            decay=neurons.decay,
            v_threshold=neurons.v_threshold,
            v_reset=config.v_reset,
            derivative=self.derivative,
            alpha=neurons.alpha,
            dtype=context.dtype,
            kernels=context.kernels,
        )
        if self.training and config.dropout > 0:
            s = s * context.mask(self, s, config.dropout)
        a = sent = e = None
        if context.trace is not None:
            decay = neurons.decay_of_trace if e_before is None else e_before
            a, sent = trace_step(s, a_before, decay, kernels=context.kernels)
        if context.trace == "ndot":
            e = ndot_factor(u, u_before, neurons.decay_of_trace)
        return Spikes(s, sent), NeuronState(u, s, a, e)

    def neuron_parameters(self, current: Tensor) -> NeuronParameters:
        """Parameters of the neurons that receive `current`, [B,...]."""
        return self.numbers

    def extra_repr(self) -> str:
        """Kind, time constant and threshold."""
        return f"{self.config.kind}, tau={self.config.tau}, v_threshold={self.config.v_threshold}"
