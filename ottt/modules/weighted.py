"""Weighted layers, which apply a kernel to spikes or to a plain tensor, and layer operations without weights.

Shapes: B batch, C/F channels in/out, N/M features in/out, H W image, K kernel size; `...` either of the last two.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ottt.functional.kernels import converted
from ottt.functional.trace import linear, trace_conv2d, trace_linear
from ottt.functional.weight import standardize
from ottt.modules.context import Context, Spikes, on_both

# Preserves the variance of standardised layers across spiking neurons: 1 / std of a spike train at usual rates.
SPIKE_SCALE = 2.74


class Synapse(nn.Module):
    """Base class of the weighted layers: a kernel computed once per update, applied to spikes or to a plain tensor.

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
        """The weight as the layer applies it."""
        if self.gain is not None:
            return standardize(self.weight, self.scale * self.gain)
        return self.weight if self.scale == 1.0 else self.scale * self.weight

    def forward(self, x: Spikes | Tensor, context: Context) -> Tensor:
        """Output current for spikes (weight gradient from their traces, if any) or for a plain tensor, [B,...].

        It has the precision of the parameters, unless it is a convolution of spikes, whose output goes to neurons.
        """
        exact = self.exact
        dtype = context.dtype or exact
        kernel, bias = self.operands(context, dtype)
        if isinstance(x, Tensor):
            y = self.apply_plain(converted(x, dtype), kernel, bias)
        elif x.a is None:
            y = self.apply_plain(converted(x.s, dtype), kernel, bias)
        else:
            y = self.apply_traced(converted(x.s, dtype), converted(x.a, dtype), kernel, bias)
        return y if isinstance(x, Spikes) and y.dim() == 4 else converted(y, exact)

    def apply_plain(self, x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """The output for a plain tensor, with torch's own gradient."""
        raise NotImplementedError

    def apply_traced(self, s: Tensor, a: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """The output for spikes `s`, with the weight gradient from traces `a`."""
        raise NotImplementedError

    @property
    def exact(self) -> torch.dtype:
        """Precision of the parameters."""
        return self.weight.dtype

    def operands(self, context: Context, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Kernel and bias as `dtype`, both made once per update."""
        # A plain weight is its own kernel; sharing it would only add a copy.
        is_plain = self.gain is None and self.scale == 1.0
        return self.lowered(self.weight if is_plain else context.shared(self, self.kernel), self.bias, context, dtype)

    def lowered(self, kernel: Tensor, bias: Tensor, context: Context, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Both as `dtype`."""
        if dtype == kernel.dtype:
            return kernel, bias
        return context.lowered(self, kernel, dtype), context.lowered((self, "bias"), bias, dtype)

    def extra_repr(self) -> str:
        """Weight shape, standardisation and input scale."""
        standardized = ", standardized" if self.gain is not None else ""
        return f"{tuple(self.weight.shape)}{standardized}, scale={self.scale}"


class Conv2d(Synapse):
    """Convolution [B,C,H,W] -> [B,F,H',W'], Kaiming normal (fan-out) weights, zero bias.

    A strided 1x1 convolution reads only every stride-th pixel, so it is computed as an unstrided one of these pixels,
    with the same value and gradients. This avoids a bug in oneDNN 3.13 (torch 2.15, AVX-512), whose weight gradient of
    the strided one writes past its buffer for channels-last inputs with few channels (2 to 13 in, 6 out).
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
        fan_out = channels_out * kernel_size**2
        shape = channels_out, channels_in // groups, kernel_size, kernel_size
        weight = _normal(shape, math.sqrt(2.0 / fan_out), generator)
        super().__init__(weight, standardized=standardized, scale=scale)
        self.stride, self.padding, self.groups = stride, kernel_size // 2, groups
        self._skips_pixels = kernel_size == 1 and stride > 1
        self._inner_stride = 1 if self._skips_pixels else stride

    def apply_plain(self, x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """See `Synapse.apply_plain`."""
        return F.conv2d(self._pixels_read(x), kernel, bias, self._inner_stride, self.padding, 1, self.groups)

    def apply_traced(self, s: Tensor, a: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """See `Synapse.apply_traced`."""
        s, a = self._pixels_read(s), self._pixels_read(a)
        return trace_conv2d(s, a, kernel, bias, stride=self._inner_stride, padding=self.padding, groups=self.groups)

    def _pixels_read(self, x_BCHW: Tensor) -> Tensor:
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
        super().__init__(_normal((features_out, features_in), std, generator), scale=scale)

    def apply_plain(self, x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """See `Synapse.apply_plain`."""
        return linear(x, kernel, bias)

    def apply_traced(self, s: Tensor, a: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """See `Synapse.apply_traced`."""
        return trace_linear(s, a, kernel, bias)


def _normal(shape: tuple[int, ...], std: float, generator: torch.Generator | None) -> Tensor:
    """Draws of mean 0; on the device `meta`, which has no values, none: there torch would load its compiler first."""
    values = torch.empty(shape)
    return values if values.is_meta else values.normal_(0.0, std, generator=generator)


def halve(x_BCHW: Tensor) -> Tensor:
    """Average pooling 2x2 [B,C,H,W] -> [B,C,H/2,W/2]."""
    return F.avg_pool2d(x_BCHW, 2)


def global_mean(x_BCHW: Tensor) -> Tensor:
    """Global average pooling [B,C,H,W] -> [B,C]."""
    return F.avg_pool2d(x_BCHW, x_BCHW.shape[2:]).flatten(1)


def dropped(owner: nn.Module, spikes: Spikes, p: float, context: Context) -> Spikes:
    """Dropout on spikes and traces with the mask of `owner` for this sequence; no effect in evaluation."""
    if not owner.training or p == 0:
        return spikes
    mask = context.mask(owner, spikes.s, p)
    return on_both(lambda x: x * mask, spikes)
