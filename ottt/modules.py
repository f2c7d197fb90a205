"""Layers that own parameters and call `ottt.functional`. They hold no state across calls.

What a layer needs beyond its input comes in two parts: the `NeuronState` of one time step, which goes in and comes
out, and the `Context` of one mini-batch, which all layers share.

Shapes: B batch, C/F channels in/out, N/M features in/out, H W image, K kernel size; `...` either of the last two.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ottt.config import NeuronConfig
from ottt.functional.kernels import EAGER, Kernels
from ottt.functional.lif import lif_step, ndot_factor, trace_step
from ottt.functional.surrogate import SURROGATES
from ottt.functional.trace import trace_conv2d, trace_linear
from ottt.functional.weight import standardize

# Keeps the variance of standardised layers across a spiking neuron: 1 / std of a spike train at the usual rates.
SPIKE_SCALE = 2.74


Trace = Literal["decay", "ndot"]


class Spikes(NamedTuple):
    """What neurons send to the layers above in one time step.

    Attributes:
        s: spikes, [B,C,H,W] or [B,N], in the precision in which the layers above compute.
        a: their traces, same shape and precision; None where weight gradients come from the spikes themselves.
    """

    s: Tensor
    a: Tensor | None


class NeuronState(NamedTuple):
    """State of one layer of neurons after a time step. `None` in its place is the state before the first.

    Attributes:
        u: membrane potential after the reset.
        s: spikes sent in this step.
        a: trace, if the context keeps any.
        e: factor of the next trace step, only for the NDOT trace.
    """

    u: Tensor
    s: Tensor
    a: Tensor | None
    e: Tensor | None

    def detached(self) -> "NeuronState":
        """The same state with the past cut off: no gradient flows through it."""
        return NeuronState(self.u.detach(), self.s.detach(), self.a, self.e)


State = Sequence[NeuronState]  # one entry per layer of neurons, in the order of `Network.neurons`


class HandedOver(list[NeuronState]):
    """A state that its owner gives away: a time step releases each entry when it has read it.

    Beside the present only one layer's past is then in memory. Any other state stays whole.
    """


class Context:
    """What all layers share while one mini-batch runs through its time steps.

    Kernels are the weights as layers apply them (standardised, scaled). They are made once per update of the
    parameters rather than once per time step. With `cut`, each time step's backward pass stops at them, and
    `push_back` carries the sum on to the parameters, once.

    Attributes:
        trace: how neurons keep traces for the weight gradient: "decay" (OTTT), "ndot", or None (they keep none).
        dtype: in which weighted layers compute; None: that of their parameters.
        generator: source of what is drawn once per sequence (dropout masks); None: torch's global one.
        kernels: how neurons run.
    """

    def __init__(
        self,
        *,
        trace: Trace | None = None,
        cut: bool = False,
        dtype: torch.dtype | None = None,
        generator: torch.Generator | None = None,
        kernels: Kernels = EAGER,
    ) -> None:
        self.trace = trace
        self.dtype = dtype
        self.kernels = kernels
        self.generator = generator
        self._cut = cut
        self._shared: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        self._masks: dict[nn.Module, Tensor] = {}

    def shared(self, owner: nn.Module, make: Callable[[], Tensor]) -> Tensor:
        """`make()` for the first caller of an update, the same tensor for all later ones."""
        if owner not in self._shared:
            # Cut kernels serve steps with and without a backward pass: they always have a graph.
            with torch.set_grad_enabled(self._cut or torch.is_grad_enabled()):
                live = make()
            leaf = live.detach().requires_grad_(live.requires_grad) if self._cut else live
            self._shared[owner] = live, leaf
        return self._shared[owner][1]

    def push_back(self) -> None:
        """Carry the gradients that gathered at the shared tensors on to the parameters, and forget the tensors."""
        # Later entries were made from earlier ones, so their gradients have to go back first.
        for live, leaf in reversed(self._shared.values()):
            if live is not leaf and leaf.grad is not None:
                live.backward(leaf.grad)
        self._shared.clear()

    def mask(self, owner: nn.Module, like: Tensor, p: float) -> Tensor:
        """Dropout mask of `owner` for this sequence: 0 with probability p, else 1/(1-p); shape of `like`."""
        if owner not in self._masks:
            exact = torch.promote_types(like.dtype, torch.float32)
            keep = torch.rand(like.shape, generator=self.generator, device=like.device, dtype=exact) >= p
            self._masks[owner] = keep.to(like.dtype) / (1 - p)
        return self._masks[owner]


class Neuron(nn.Module):
    """A layer of spiking neurons: current in, spikes and their traces out."""

    def __init__(self, config: NeuronConfig) -> None:
        super().__init__()
        self.config = config
        self.derivative = SURROGATES[config.surrogate.name].derivative

    def forward(self, x: Tensor, state: NeuronState | None, context: Context) -> tuple[Spikes, NeuronState]:
        """One time step; see `ottt.functional.lif`. `x` is [B,...]; dropout acts on spikes before the trace."""
        config = self.config
        u_before = None if state is None else state.u
        s, u = lif_step(
            x,
            u_before,
            decay=config.decay,
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
            decay = config.decay_of_trace if state is None or state.e is None else state.e
            a, sent = trace_step(s, None if state is None else state.a, decay, kernels=context.kernels)
        if context.trace == "ndot":
            e = ndot_factor(u, u_before, config.decay_of_trace)
        return Spikes(s, sent), NeuronState(u, s, a, e)

    def extra_repr(self) -> str:
        """Kind, time constant and threshold."""
        return f"{self.config.kind}, tau={self.config.tau}, v_threshold={self.config.v_threshold}"


class Synapse(nn.Module):
    """Base of the weighted layers: a kernel made once per update, and a value from spikes or from a plain tensor.

    Args:
        weight: initial weight, output axis first.
        standardized: whether the weight is standardised, with a learnable gain per output channel.
        scale: constant factor on the layer's input, folded into the kernel.
    """

    def __init__(self, weight: Tensor, *, standardized: bool = False, scale: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(len(weight)))
        self.gain = nn.Parameter(torch.ones(len(weight), 1, 1, 1)) if standardized else None
        self.scale = scale

    def kernel(self) -> Tensor:
        """The weight as it is applied."""
        if self.gain is not None:
            return standardize(self.weight, self.scale * self.gain)
        return self.weight if self.scale == 1.0 else self.scale * self.weight

    def forward(self, x: Spikes | Tensor, context: Context) -> Tensor:
        """Current from spikes (weight gradient from their traces, if kept) or from a plain tensor, [B,...].

        It has the parameters' precision, except that of a convolution of spikes, which goes straight into neurons.
        """
        dtype = context.dtype or self.weight.dtype
        kernel, bias = self._kernel_for(context, dtype), self.bias.to(dtype)
        if isinstance(x, Tensor):
            y = self.apply_plain(x.to(dtype), kernel, bias)
        elif x.a is None:
            y = self.apply_plain(x.s.to(dtype), kernel, bias)
        else:
            y = self.apply_traced(x.s.to(dtype), x.a.to(dtype), kernel, bias)
        return y if isinstance(x, Spikes) and y.dim() == 4 else y.to(self.weight.dtype)

    def apply_plain(self, x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """The layer's value, with torch's own gradient."""
        raise NotImplementedError

    def apply_traced(self, s: Tensor, a: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """The layer's value for spikes `s`, with the weight gradient from traces `a`."""
        raise NotImplementedError

    def _kernel_for(self, context: Context, dtype: torch.dtype) -> Tensor:
        # A plain weight is its own kernel: sharing it would only add a copy.
        if self.gain is None and self.scale == 1.0 and dtype == self.weight.dtype:
            return self.weight
        return context.shared(self, lambda: self.kernel().to(dtype))

    def extra_repr(self) -> str:
        """Weight shape, standardisation and input scale."""
        standardized = ", standardized" if self.gain is not None else ""
        return f"{tuple(self.weight.shape)}{standardized}, scale={self.scale}"


class Conv2d(Synapse):
    """Convolution [B,C,H,W] -> [B,F,H',W'], Kaiming normal (fan-out) weights, zero bias.

    A strided 1x1 convolution reads every stride-th pixel and no other, so it is computed as the unstrided one of these
    pixels: the same value and gradients. It stays clear of an error in oneDNN 3.13 (torch 2.15, AVX-512), whose weight
    gradient of the strided one writes past its buffer for channels-last inputs of few channels (2 to 13 in, 6 out).
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel_size: int,
        *,
        stride: int = 1,
        groups: int = 1,
        standardized: bool = False,
        scale: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        weight = torch.empty(channels_out, channels_in // groups, kernel_size, kernel_size)
        fan_out = channels_out * kernel_size**2
        weight.normal_(0.0, math.sqrt(2.0 / fan_out), generator=generator)
        super().__init__(weight, standardized=standardized, scale=scale)
        self.stride, self.padding, self.groups = stride, kernel_size // 2, groups
        self._skips_pixels = kernel_size == 1 and stride > 1
        self._inner_stride = 1 if self._skips_pixels else stride

    def apply_plain(self, x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """See `Synapse.apply_plain`."""
        return F.conv2d(self._read(x), kernel, bias, self._inner_stride, self.padding, 1, self.groups)

    def apply_traced(self, s: Tensor, a: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """See `Synapse.apply_traced`."""
        s, a = self._read(s), self._read(a)
        return trace_conv2d(s, a, kernel, bias, stride=self._inner_stride, padding=self.padding, groups=self.groups)

    def _read(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW[:, :, :: self.stride, :: self.stride] if self._skips_pixels else x_BCHW


class Linear(Synapse):
    """Fully connected layer [B,N] -> [B,M], N(0, std) weights, zero bias."""

    def __init__(
        self,
        features_in: int,
        features_out: int,
        *,
        scale: float = 1.0,
        std: float = 0.01,
        generator: torch.Generator | None = None,
    ) -> None:
        weight = torch.empty(features_out, features_in).normal_(0.0, std, generator=generator)
        super().__init__(weight, scale=scale)

    def apply_plain(self, x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """See `Synapse.apply_plain`."""
        return F.linear(x, kernel, bias)

    def apply_traced(self, s: Tensor, a: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """See `Synapse.apply_traced`."""
        return trace_linear(s, a, kernel, bias)


def on_both(operation: Callable[[Tensor], Tensor], spikes: Spikes) -> Spikes:
    """Apply a linear operation without parameters (pooling, up-sampling) to spikes and traces alike."""
    return Spikes(operation(spikes.s), None if spikes.a is None else operation(spikes.a))


def halve(x_BCHW: Tensor) -> Tensor:
    """Average pooling 2x2 [B,C,H,W] -> [B,C,H/2,W/2]."""
    return F.avg_pool2d(x_BCHW, 2)


def global_mean(x_BCHW: Tensor) -> Tensor:
    """Global average pooling [B,C,H,W] -> [B,C]."""
    return x_BCHW.mean((2, 3))


def dropped(owner: nn.Module, spikes: Spikes, p: float, context: Context) -> Spikes:
    """Dropout with the mask that `owner` has for this sequence, on spikes and traces alike; nothing in evaluation."""
    if not owner.training or p == 0:
        return spikes
    mask = context.mask(owner, spikes.s, p)
    return on_both(lambda x: x * mask, spikes)


def states_of(state: State | None, count: int) -> Iterator[NeuronState | None]:
    """The entries of `state`, layer after layer, or `count` times None before the first time step.

    Raises:
        ValueError: there are not `count` of them; so it is when a state that was handed over is used again.
    """
    if state is not None and len(state) != count:
        raise ValueError(f"state must have {count} entries, one per layer of neurons, got {len(state)}")
    return _entries(state, count)


def _entries(state: State | None, count: int) -> Iterator[NeuronState | None]:
    for i in range(count):
        if isinstance(state, HandedOver):
            yield state.pop(0)
        else:
            yield None if state is None else state[i]
