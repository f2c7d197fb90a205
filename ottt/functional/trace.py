"""Weighted layers whose value comes from spikes and whose weight gradient comes from traces (paper, equation 7).

One forward and one backward kernel per call. The value does not depend on the trace, and the gradient with respect to
the spikes is that of the plain layer.

    y[t] = w s[t] + b,    dL/ds[t] = w^T g[t],    dL/dw += g[t] a[t]^T,    dL/db += sum g[t]

Shapes: B batch, C/F channels in/out, N/M features in/out, H W image, K kernel size, G groups.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


class _TraceLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, s_BN: Tensor, a_BN: Tensor, w_MN: Tensor, b_M: Tensor) -> Tensor:
        ctx.save_for_backward(a_BN, w_MN)
        return linear(s_BN, w_MN, b_M)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, Tensor | None, Tensor | None]:
        a_BN, w_MN = ctx.saved_tensors
        (g_BM,) = grads
        to_s, _, to_w, to_b = ctx.needs_input_grad
        return (
            g_BM @ w_MN if to_s else None,
            None,
            g_BM.mT @ a_BN if to_w else None,
            g_BM.sum(-2) if to_b else None,
        )


class _TraceConv2d(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        s_BCHW: Tensor,
        a_BCHW: Tensor,
        w_FCKK: Tensor,
        b_F: Tensor,
        stride: int,
        padding: int,
        groups: int,
    ) -> Tensor:
        ctx.save_for_backward(a_BCHW, w_FCKK)
        ctx.geometry = stride, padding, groups
        return F.conv2d(s_BCHW, w_FCKK, b_F, stride, padding, 1, groups)

    @staticmethod
    def backward(
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, None, Tensor | None, Tensor | None, None, None, None]:
        a_BCHW, w_FCKK = ctx.saved_tensors
        stride, padding, groups = ctx.geometry
        to_s, _, to_w, to_b = ctx.needs_input_grad[:4]
        # The input gradient of a convolution does not depend on the input's values, so one call gives both gradients.
        grad_s, grad_w, grad_b = torch.ops.aten.convolution_backward(
            grads[0],
            a_BCHW,
            w_FCKK,
            [w_FCKK.shape[0]],
            [stride, stride],
            [padding, padding],
            [1, 1],
            False,
            [0, 0],
            groups,
            [to_s, to_w, to_b],
        )
        return grad_s, None, grad_w, grad_b, None, None, None


def linear(x_BN: Tensor, w_MN: Tensor, b_M: Tensor) -> Tensor:
    """x w^T + b, [B,N] -> [B,M]; with a leading dimension, of each trial by itself."""
    return F.linear(x_BN, w_MN, b_M) if x_BN.dim() == 2 else torch.baddbmm(b_M[:, None], x_BN, w_MN.mT)


def trace_linear(s_BN: Tensor, a_BN: Tensor, w_MN: Tensor, b_M: Tensor) -> Tensor:
    """`linear` [...,B,N] -> [...,B,M]: value from spikes `s_BN`, weight gradient from traces `a_BN`."""
    return _TraceLinear.apply(s_BN, a_BN, w_MN, b_M)  # type: ignore[no-any-return]


def trace_conv2d(
    s_BCHW: Tensor,
    a_BCHW: Tensor,
    w_FCKK: Tensor,
    b_F: Tensor,
    *,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
) -> Tensor:
    """Convolution [B,C,H,W] -> [B,F,H',W']: value from spikes `s_BCHW`, weight gradient from traces `a_BCHW`."""
    return _TraceConv2d.apply(s_BCHW, a_BCHW, w_FCKK, b_F, stride, padding, groups)  # type: ignore[no-any-return]
