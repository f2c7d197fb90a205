"""The base class of networks: the interface that update rules and the evaluation use."""

from functools import cached_property

from torch import Tensor, nn

from ottt.errors import UserError
from ottt.modules import Context, Neuron, State


class Network(nn.Module):
    """A spiking network, called once per time step.

    A time step has two parts. `encode` is the first weighted layer: its input is the frame rather than spikes, and it
    does not depend on the state, so a still image needs it once per update. `step` is the rest of the network.
    """

    def encode(self, frame: Tensor, context: Context) -> Tensor:
        """Input current of the first neurons for a frame [B,C,H,W]."""
        raise NotImplementedError

    def step(self, current: Tensor, state: State | None, context: Context) -> tuple[Tensor, State]:
        """Logits [B,K] and the next state for the encoded frame; state None starts a sequence."""
        raise NotImplementedError

    def forward(
        self, frame: Tensor, state: State | None = None, context: Context | None = None
    ) -> tuple[Tensor, State]:
        """One time step: logits [B,K] and the next state for a frame [B,C,H,W]."""
        context = Context() if context is None else context
        return self.step(self.encode(frame, context), state, context)

    @property
    def neurons(self) -> list[tuple[str, Neuron]]:
        """Name and module of every layer of neurons, in the order of the state's entries."""
        return [(name, module) for name, module in self.named_modules() if isinstance(module, Neuron)]

    @cached_property
    def neuron_layers(self) -> int:
        """Number of layers of neurons, counted once: every time step needs it."""
        return len(self.neurons)

    def reference_names(self) -> dict[str, str]:
        """The name of each parameter and buffer in checkpoints of the original implementation.

        Raises:
            UserError: the original has no such network.
        """
        raise UserError(f"the original implementation has no network like {type(self).__name__}")
