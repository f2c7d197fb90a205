"""What every network offers to update rules and to the evaluation."""

from torch import Tensor, nn

from ottt.errors import UserError
from ottt.modules import Context, Neuron, State


class Network(nn.Module):
    """A spiking network that is called once per time step.

    A step is cut in two. `encode` is the first weighted layer: it sees the frame, not spikes, and depends on no
    state, so a still image needs it once per update. `step` is everything above it.
    """

    def encode(self, frame: Tensor, context: Context) -> Tensor:
        """Current into the first neurons from a frame [B,C,H,W]."""
        raise NotImplementedError

    def step(self, current: Tensor, state: State | None, context: Context) -> tuple[Tensor, State]:
        """Logits [B,K] and the next state from the encoded frame; state None starts a sequence."""
        raise NotImplementedError

    def forward(
        self, frame: Tensor, state: State | None = None, context: Context | None = None
    ) -> tuple[Tensor, State]:
        """One time step: logits [B,K] and the next state from a frame [B,C,H,W]."""
        context = Context() if context is None else context
        return self.step(self.encode(frame, context), state, context)

    @property
    def neurons(self) -> list[tuple[str, Neuron]]:
        """Name and module of every layer of neurons, in the order of the state's entries."""
        return [(name, module) for name, module in self.named_modules() if isinstance(module, Neuron)]

    def reference_names(self) -> dict[str, str]:
        """Each parameter's and buffer's name in the checkpoints of the original implementation.

        Raises:
            UserError: the original has no such network.
        """
        raise UserError(f"the original implementation has no network like {type(self).__name__}")
