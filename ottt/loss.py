"""The loss of one time step.

Shapes: B batch, K classes; `...` nothing, or the trials of a fused network.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class _StepLoss(torch.autograd.Function):
    """`step_loss` with a hand-written gradient, which takes fewer operations than autograd's.

    With p = softmax(z), y one-hot, and dL the gradient of the loss of a trial:

        dL/dz = [(1 - mse_weight) (p - y) / B + mse_weight 2 (z - y) / (B K)] dL / T
    """

    @staticmethod
    def forward(ctx: Any, logits_BK: Tensor, labels_B: Tensor, time_steps: int, mse_weight: float | Tensor) -> Tensor:
        log_p_BK = logits_BK.log_softmax(-1)
        one_hot_BK = torch.zeros_like(logits_BK).scatter_(-1, labels_B[..., None], 1.0)
        loss = (1 - mse_weight) * _cross_entropy(log_p_BK, labels_B)
        difference_BK = None
        if isinstance(mse_weight, Tensor) or mse_weight > 0:
            difference_BK = logits_BK - one_hot_BK
            loss = loss + mse_weight * difference_BK.square().mean((-2, -1))
        ctx.save_for_backward(log_p_BK, one_hot_BK, difference_BK)
        ctx.weights = time_steps, mse_weight
        return loss / time_steps

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        log_p_BK, one_hot_BK, difference_BK = ctx.saved_tensors
        time_steps, mse_weight = ctx.weights
        grad = grads[0] / time_steps
        batch, classes = log_p_BK.shape[-2:]
        of_log_p = _over(grad * (1 - mse_weight) / -batch)
        grad_BK = torch.ops.aten._log_softmax_backward_data(one_hot_BK * of_log_p, log_p_BK, -1, log_p_BK.dtype)
        if difference_BK is not None:
            grad_BK += (difference_BK * (2 / (batch * classes))).mul_(_over(grad * mse_weight))
        return grad_BK, None, None, None


def _cross_entropy(log_p_BK: Tensor, labels_B: Tensor) -> Tensor:
    if log_p_BK.dim() == 2:
        return F.nll_loss(log_p_BK, labels_B)
    return -log_p_BK.gather(-1, labels_B[..., None]).mean((-2, -1))


def _over(values: Tensor) -> Tensor:
    """A value, or those of trials [...], for samples and classes [...,B,K]."""
    return values[..., None, None] if values.dim() else values


def step_loss(logits_BK: Tensor, labels_B: Tensor, *, time_steps: int, mse_weight: float | Tensor) -> Tensor:
    """[(1 - mse_weight) cross entropy + mse_weight mean squared error to one-hot] / T (paper, section 4.4).

    Args:
        logits_BK: network output of this step, [...,B,K].
        labels_B: classes as int64, [...,B].
        time_steps: T; the sum over a sequence is then the mean loss, in nats.
        mse_weight: lambda, 0 to 1; or those of the trials, [...].

    Returns:
        The mean over the batch, [...].
    """
    return _StepLoss.apply(logits_BK, labels_B, time_steps, mse_weight)  # type: ignore[no-any-return]
