"""Networks of one architecture that train as one network, each with weights, neurons and data of its own.

On a GPU a trial is thousands of small kernels with pauses between them; n trials as one network are as many kernels,
each n times as large (Wang et al., HFTA, MLSys 2021). The equations are those of the networks: a fused network is a
copy of one of them with fused layers, see `ottt.modules.fused`.

Shapes: n trials, B batch, C channels, H W image, K classes, T time steps.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ottt.errors import UserError
from ottt.models.base import Network
from ottt.models.recurrent import Recurrent
from ottt.models.resnet import ALPHA, Block, NFResNet
from ottt.models.vgg import VGG
from ottt.modules import Context, Conv2d, Linear, Neuron, State
from ottt.modules.fused import FusedConv2d, FusedLinear, FusedNeuron, SideBySide

M = TypeVar("M", bound=nn.Module)


class FusedNetwork(Network):
    """The networks of n trials as one: frames [B,nC,H,W], logits [n,B,K].

    Parameters and buffers stay with the members, which remain networks that can be used by themselves.

    Args:
        members: networks of one architecture; see `refusal`.

    Raises:
        UserError: they cannot be fused; one line per reason.
    """

    def __init__(self, members: Sequence[Network]) -> None:
        super().__init__()
        if problems := [problem for one in members for problem in refusal(one)]:
            raise UserError(*dict.fromkeys(problems))
        self.members = tuple(members)  # registered with their trials
        fused = _fused(members)
        assert isinstance(fused, Network)
        self.net = fused

    def encode(self, frame: Tensor, context: Context) -> Tensor:
        """See `Network.encode`; the frame is [B,nC,H,W]."""
        return self.net.encode(frame, context)

    def step(self, current: Tensor, state: State | None, context: Context) -> tuple[Tensor, State]:
        """See `Network.step`; the logits are [n,B,K]."""
        out, after = self.net.step(current, state, context)
        return out.unflatten(1, (len(self.members), -1)).transpose(0, 1), after

    def train(self, mode: bool = True) -> "FusedNetwork":
        """Switch the members, too."""
        for one in self.members:
            one.train(mode)
        super().train(mode)
        return self


def refusal(net: Network) -> list[str]:
    """Why networks like this one cannot be fused; empty if they can."""
    if not isinstance(net, VGG | NFResNet | Recurrent):
        return [f"trials can be fused with VGG-like, residual and recurrent networks, got {type(net).__name__}"]
    if any(isinstance(layer, Block) and layer.per_batch and layer.drop > 0 for layer in net.modules()):
        return ["trials can be fused unless model.depth_draws=batch leaves out other blocks in each of them"]
    return []


def feeds_back(net: Network) -> bool:
    """Whether spikes reach, in the next time step, weights that have no part in the first."""
    return isinstance(net, Recurrent) or (isinstance(net, VGG) and net.feedback is not None)


class _FusedBlock(Block):
    """A residual block of several trials."""

    members: tuple[Block, ...]

    def _grown(self, h: Tensor, context: Context) -> Tensor:
        gain_n = context.shared((self, "gain"), lambda: torch.stack([one.skip_gain for one in self.members]))
        return (gain_n * ALPHA).repeat_interleave(h.shape[1] // len(self.members))[:, None, None] * h


def _fused(layers: Sequence[Any]) -> nn.Module:
    """The layer that stands for those of the trials."""
    first: nn.Module = layers[0]
    match first:
        case Conv2d():
            return FusedConv2d(layers)
        case Linear():
            return FusedLinear(layers)
        case Neuron():
            return FusedNeuron(layers)
        case Block():
            block = _copied(first, _FusedBlock, layers)
            block.members = tuple(layers)
            return block
        case nn.BatchNorm2d():
            return SideBySide(layers)
        case _:
            return _copied(first, type(first), layers)


def _copied(first: nn.Module, kind: type[M], layers: Sequence[nn.Module]) -> M:
    """A module like `first` in all but its parts, which are those of all `layers`, fused."""
    copy = kind.__new__(kind)
    nn.Module.__init__(copy)
    children = {
        name: None if part is None else _fused([layer._modules[name] for layer in layers])
        for name, part in first._modules.items()
    }
    settings = {name: value for name, value in vars(first).items() if name not in vars(copy)}
    vars(copy).update(settings, _modules=children, training=first.training)
    return copy
