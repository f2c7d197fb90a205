"""Scaled weight standardisation, which replaces normalisation layers."""

from typing import Any

import torch
from torch import Tensor

EPS = 1e-4


class _Standardize(torch.autograd.Function):
    """`standardize` with a hand-written gradient, which keeps no tensor of a kernel's size other than the weight.

    With c = w - mean, r = 1 / sqrt(var N + EPS), N = fan_in, and S the sum of dL/dy c per output channel:

        y = gain r c,    dL/dgain = r S,    dL/dw = gain r (dL/dy - its mean) - gain r^3 S N / (N - 1) c
    """

    @staticmethod
    def forward(ctx: Any, w_FCKK: Tensor, gain_F111: Tensor) -> Tensor:
        var, mean = torch.var_mean(w_FCKK, dim=_INPUTS, keepdim=True)
        r = torch.rsqrt(var * w_FCKK.shape[1:].numel() + EPS)
        ctx.save_for_backward(w_FCKK, gain_F111, mean, r)
        return (w_FCKK - mean).mul_(gain_F111 * r)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        w, gain, mean, r = ctx.saved_tensors
        (grad_y,) = grads
        n = w.shape[1:].numel()
        c = w - mean
        s = (grad_y * c).sum(_INPUTS, keepdim=True)
        grad_w = (grad_y - grad_y.mean(_INPUTS, keepdim=True)).mul_(gain * r)
        return grad_w.addcmul_(c, gain * r**3 * s * (-n / (n - 1))), r * s


_INPUTS = (1, 2, 3)  # axes of one output channel's kernel


def standardize(w_FCKK: Tensor, gain_F111: Tensor) -> Tensor:
    """gain (w - mean) / sqrt(var fan_in + EPS), per output channel (Brock et al., ICLR 2021, equation 2).

    Args:
        w_FCKK: convolution kernel [out, in/groups, height, width].
        gain_F111: learnable gain [out, 1, 1, 1].

    Returns:
        The kernel that the layer applies, of w's shape; var is the unbiased variance.
    """
    return _Standardize.apply(w_FCKK, gain_F111)  # type: ignore[no-any-return]
