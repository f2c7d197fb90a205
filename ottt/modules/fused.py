"""Layers of several trials as one layer, whose channels are those of the trials, one trial after the other.

What works channel by channel, as neurons, pooling and dropout do, works on them as it is. Weights stay with their
trials: the fused kernel is put together once per update, and its gradient goes back to each.

Shapes: n trials, B batch, C/F channels in/out of a trial, N/M features in/out of a trial, H W image, K kernel size.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ottt.functional.surrogate import Factor
from ottt.functional.weight import standardize
from ottt.modules.context import Context
from ottt.modules.neuron import Neuron, NeuronParameters
from ottt.modules.weighted import Conv2d, Linear, Synapse


class _OfTrials(Synapse):
    """A weighted layer whose parameters are those of its members, the same layer of each trial."""

    members: tuple[Synapse, ...]

    def _take(self, members: Sequence[Synapse]) -> None:
        nn.Module.__init__(self)  # without parameters of its own
        self.members, self.scale = tuple(members), members[0].scale

    @property
    def exact(self) -> torch.dtype:
        """See `Synapse.exact`."""
        return self.members[0].exact

    def operands(self, context: Context, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """See `Synapse.operands`."""
        bias = context.shared((self, "bias"), lambda: self.together([one.bias for one in self.members]))
        return self.lowered(context.shared(self, self.kernel), bias, context, dtype)

    def together(self, parameters: Sequence[Tensor]) -> Tensor:
        """One tensor of a parameter of all trials."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """The fused layers."""
        return f"{len(self.members)} x ({self.members[0].extra_repr()})"


class FusedConv2d(_OfTrials, Conv2d):
    """Convolution [B,nC,H,W] -> [B,nF,H',W'] with a group, or as many as they have, for each trial."""

    def __init__(self, members: Sequence[Conv2d]) -> None:
        self._take(members)
        first = members[0]
        self.stride, self.padding, self.groups = first.stride, first.padding, first.groups * len(members)
        self._skips_pixels, self._inner_stride = first._skips_pixels, first._inner_stride

    def together(self, parameters: Sequence[Tensor]) -> Tensor:
        """Along the output channels, [nF,...]."""
        return torch.cat(tuple(parameters))

    def kernel(self) -> Tensor:
        """The kernels as the trials apply them, [nF,C/groups,K,K]."""
        weight = self.together([one.weight for one in self.members])
        gains = [one.gain for one in self.members if one.gain is not None]
        if gains:
            return standardize(weight, self.scale * self.together(gains))
        return self.scale * weight


class FusedLinear(_OfTrials, Linear):
    """Fully connected layers side by side, [B,nN] -> [B,nM]; the bias is [n,M]."""

    def __init__(self, members: Sequence[Linear]) -> None:
        self._take(members)

    def together(self, parameters: Sequence[Tensor]) -> Tensor:
        """With a leading dimension, [n,...]."""
        return torch.stack(tuple(parameters))

    def kernel(self) -> Tensor:
        """The kernels as the trials apply them, [n,M,N]."""
        return self.scale * self.together([one.weight for one in self.members])

    def apply_plain(self, x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """See `Synapse.apply_plain`."""
        return _joined(super().apply_plain(self._apart(x), kernel, bias))

    def apply_traced(self, s: Tensor, a: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """See `Synapse.apply_traced`."""
        return _joined(super().apply_traced(self._apart(s), self._apart(a), kernel, bias))

    def _apart(self, x_BnN: Tensor) -> Tensor:
        """[B,nN] -> [n,B,N]."""
        apart: Tensor = x_BnN.unflatten(1, (len(self.members), -1))
        return apart.transpose(0, 1)


class FusedNeuron(Neuron):
    """A layer of neurons whose time constants, thresholds and surrogates are those of their trials."""

    def __init__(self, members: Sequence[Neuron]) -> None:
        super().__init__(members[0].config)
        columns = zip(*(one.numbers for one in members), strict=True)
        self._by_trial = [values[0] if len(set(values)) == 1 else values for values in columns]
        self._trials = len(members)
        self._spread: dict[tuple[torch.Size, torch.dtype, torch.device], NeuronParameters] = {}

    def neuron_parameters(self, current: Tensor) -> NeuronParameters:
        """See `Neuron.neuron_parameters`: numbers where the trials agree, else a tensor [nC,1,1] or [nC]."""
        dtype = torch.promote_types(current.dtype, torch.float32)
        key = current.shape[1:], dtype, current.device
        if key not in self._spread:
            self._spread[key] = NeuronParameters(*(self._over(values, current, dtype) for values in self._by_trial))
        return self._spread[key]

    def _over(self, values: Factor | tuple[Factor, ...], current: Tensor, dtype: torch.dtype) -> Factor:
        if not isinstance(values, tuple):
            return values
        each = torch.tensor(values, dtype=dtype, device=current.device)
        return each.repeat_interleave(current.shape[1] // self._trials).view(-1, *[1] * (current.dim() - 2))


class SideBySide(nn.Module):
    """Any layer of each trial, on the channels of that trial."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = tuple(members)  # registered with their trials

    def forward(self, x: Tensor) -> Tensor:
        """[B,nC,...] -> [B,nF,...]."""
        parts = x.chunk(len(self.members), 1)
        return torch.cat([one(part) for one, part in zip(self.members, parts, strict=True)], 1)


def _joined(y_nBM: Tensor) -> Tensor:
    """[n,B,M] -> [B,nM]."""
    return y_nBM.transpose(0, 1).flatten(1)
