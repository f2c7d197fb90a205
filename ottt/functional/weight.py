"""Scaled weight standardisation, which stands in for normalisation layers."""

import torch
from torch import Tensor

EPS = 1e-4


def standardize(w_FCKK: Tensor, gain_F111: Tensor) -> Tensor:
    """gain (w - mean) / sqrt(var fan_in + EPS), per output channel (Brock et al., ICLR 2021, equation 2).

    Args:
        w_FCKK: convolution kernel [out, in/groups, height, width].
        gain_F111: learnable gain [out, 1, 1, 1].

    Returns:
        The kernel that the layer applies, of w's shape; var is the unbiased one.
    """
    var, mean = torch.var_mean(w_FCKK, dim=(1, 2, 3), keepdim=True)
    fan_in = w_FCKK[0].numel()
    return gain_F111 * (w_FCKK - mean) * torch.rsqrt(var * fan_in + EPS)
