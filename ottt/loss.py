"""The loss of one time step.

Shapes: B batch, K classes.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class _StepLoss(torch.autograd.Function):
    """`step_loss` with a hand-written gradient, which takes fewer operations than autograd's.

    With p = softmax(z), y one-hot, and dL the gradient of the loss:

        dL/dz = [(1 - mse_weight) (p - y) / B + mse_weight 2 (z - y) / (B K)] dL / T
    """

    @staticmethod
    def forward(ctx: Any, logits_BK: Tensor, labels_B: Tensor, time_steps: int, mse_weight: float) -> Tensor:
        log_p_BK = logits_BK.log_softmax(1)
        one_hot_BK = torch.zeros_like(logits_BK).scatter_(1, labels_B[:, None], 1.0)
        loss = (1 - mse_weight) * F.nll_loss(log_p_BK, labels_B)
        difference_BK = None
        if mse_weight > 0:
            difference_BK = logits_BK - one_hot_BK
            loss = loss + mse_weight * difference_BK.square().mean()
        ctx.save_for_backward(log_p_BK, one_hot_BK, difference_BK)
        ctx.weights = time_steps, mse_weight
        return loss / time_steps

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        log_p_BK, one_hot_BK, difference_BK = ctx.saved_tensors
        time_steps, mse_weight = ctx.weights
        grad = grads[0] / time_steps
        of_log_p = grad * (1 - mse_weight) / -len(log_p_BK)
        grad_BK = torch.ops.aten._log_softmax_backward_data(one_hot_BK * of_log_p, log_p_BK, 1, log_p_BK.dtype)
        if difference_BK is not None:
            grad_BK += (difference_BK * (2 / difference_BK.numel())).mul_(grad * mse_weight)
        return grad_BK, None, None, None


def step_loss(logits_BK: Tensor, labels_B: Tensor, *, time_steps: int, mse_weight: float) -> Tensor:
    """[(1 - mse_weight) cross entropy + mse_weight mean squared error to one-hot] / T (paper, section 4.4).

    Args:
        logits_BK: network output of this step.
        labels_B: classes as int64.
        time_steps: T; the sum over a sequence is then the mean loss, in nats.
        mse_weight: lambda, 0 to 1.

    Returns:
        The mean over the batch, a scalar.
    """
    return _StepLoss.apply(logits_BK, labels_B, time_steps, mse_weight)  # type: ignore[no-any-return]
