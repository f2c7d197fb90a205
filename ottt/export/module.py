"""A trained network as one torch module, for pipelines of other libraries.

Shapes: T time steps, B batch, C channels, H W image, K classes.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from ottt.config.load import Source, load_config
from ottt.config.trial import TrialConfig
from ottt.errors import UserError
from ottt.export.load import trained
from ottt.functional.precision import DTYPES, float32_products
from ottt.models.base import Network
from ottt.modules import Context, State


class TrainedModule(nn.Module):
    """A network with its time steps and its state inside: frames in, the logits of every time step out.

    Without gradients the logits are those that `ottt.evaluate` sums up, bit for bit. With gradients they are those of
    backpropagation through time, over the time steps of one call.

    Args:
        net: the network; shared, not copied.
        time_steps: how often a still image is shown.
        precision: key of `ottt.functional.precision.DTYPES`.
        keeps_state: whether a call continues the sequence of the one before, until `reset`.
    """

    def __init__(self, net: Network, *, time_steps: int, precision: str = "fp32", keeps_state: bool = False) -> None:
        super().__init__()
        self.net = net
        self.time_steps, self.precision, self.keeps_state = time_steps, precision, keeps_state
        self.training = net.training
        self._state: State | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [T,B,K] for normalised frames [T,B,C,H,W], or for a still image [B,C,H,W] shown `time_steps` times.

        Raises:
            ValueError: inputs of another number of dimensions.
        """
        if inputs.dim() not in (4, 5):
            raise ValueError(f"inputs must be [T,B,C,H,W] or [B,C,H,W], got shape {list(inputs.shape)}")
        context = Context(dtype=DTYPES[self.precision])
        state = self._state if self.keeps_state else None
        outs = []
        with float32_products(self.precision):
            still = self.net.encode(inputs, context) if inputs.dim() == 4 else None
            for t in range(self.time_steps if still is not None else len(inputs)):
                current = self.net.encode(inputs[t], context) if still is None else still
                out, state = self.net.step(current, state, context)
                outs.append(out)
        if self.keeps_state and state is not None:
            self._state = tuple(layer.detached() for layer in state)
        return torch.stack(outs)

    def reset(self) -> None:
        """Begin a new sequence with the next call; `spikingjelly.activation_based.functional.reset_net` calls it."""
        self._state = None

    def extra_repr(self) -> str:
        """Time steps, precision, and whether the state is kept."""
        return f"time_steps={self.time_steps}, precision={self.precision}, keeps_state={self.keeps_state}"


def as_module(
    source: Network | str | Path,
    *,
    config: TrialConfig | Source = None,
    time_steps: int | None = None,
    keeps_state: bool = False,
) -> TrainedModule:
    """A trained network as a plain `torch.nn.Module`, see `TrainedModule`.

    Args:
        source: a network, in any mode and shared with the module; or a checkpoint, whose network is on the CPU and in
            evaluation mode.
        config: configuration, or what `load_config` takes; read are T and precision. None: that of the checkpoint; a
            network alone computes in fp32.
        time_steps: how often a still image is shown; None: T of the configuration.
        keeps_state: whether a call continues the sequence of the one before.

    Raises:
        UserError: no usable checkpoint, or no number of time steps.
    """
    if isinstance(source, Network):
        if config is None and time_steps is None:
            raise UserError("time_steps must be given for a network without its configuration, got neither")
        net, settings = source, config if isinstance(config, TrialConfig) else load_config(config)
    else:
        net, settings = trained(source, config=config)
        net = net.to(memory_format=torch.channels_last)  # as the trainer has it: another layout can round differently
    steps = settings.T if time_steps is None else time_steps
    if steps < 1:
        raise UserError(f"time_steps must be >= 1, got {steps}")
    return TrainedModule(net, time_steps=steps, precision=settings.precision, keeps_state=keeps_state)
