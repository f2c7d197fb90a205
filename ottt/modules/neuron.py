"""The layer of spiking neurons."""

from torch import Tensor, nn

from ottt.config.groups import NeuronConfig
from ottt.functional.lif import lif_step, ndot_factor, trace_step
from ottt.functional.surrogate import SURROGATES
from ottt.modules.context import Context, NeuronState, Spikes


class Neuron(nn.Module):
    """A layer of spiking neurons: current in, spikes and their traces out."""

    def __init__(self, config: NeuronConfig) -> None:
        super().__init__()
        self.config = config
        self.derivative = SURROGATES[config.surrogate.name].derivative
        self.decay, self.decay_of_trace = config.decay, config.decay_of_trace

    def forward(self, x: Tensor, state: NeuronState | None, context: Context) -> tuple[Spikes, NeuronState]:
        """One time step for input current `x`, [B,...]; see `ottt.functional.lif`. Dropout precedes the trace."""
        config = self.config
        u_before, _, a_before, e_before = (None, None, None, None) if state is None else state
        s, u = lif_step(
            x,
            u_before,
            decay=self.decay,
            v_threshold=config.v_threshold,
            v_reset=config.v_reset,
            derivative=self.derivative,
            alpha=config.surrogate.alpha,
            dtype=context.dtype,
            kernels=context.kernels,
        )
        if self.training and config.dropout > 0:
            s = s * context.mask(self, s, config.dropout)
        a = sent = e = None
        if context.trace is not None:
            decay = self.decay_of_trace if e_before is None else e_before
            a, sent = trace_step(s, a_before, decay, kernels=context.kernels)
        if context.trace == "ndot":
            e = ndot_factor(u, u_before, self.decay_of_trace)
        return Spikes(s, sent), NeuronState(u, s, a, e)

    def extra_repr(self) -> str:
        """Kind, time constant and threshold."""
        return f"{self.config.kind}, tau={self.config.tau}, v_threshold={self.config.v_threshold}"
