"""The loss of one time step."""

from torch import Tensor
from torch.nn import functional as F


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
    loss = (1 - mse_weight) * F.cross_entropy(logits_BK, labels_B)
    if mse_weight > 0:
        one_hot_BK = F.one_hot(labels_B, logits_BK.shape[1]).to(logits_BK.dtype)
        loss = loss + mse_weight * F.mse_loss(logits_BK, one_hot_BK)
    return loss / time_steps
