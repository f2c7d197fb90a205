"""Normalisation of inputs by the mean and standard deviation of each channel.

Shapes: N samples, T frames, C channels, H W image.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ottt.data.info import DATASETS
from ottt.data.sets import Prepared
from ottt.data.splits import Indices


@dataclass(frozen=True)
class Statistics:
    """Statistics of stored values, one entry per channel.

    Attributes:
        mean: mean.
        std: standard deviation.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


_CIFAR = Statistics((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))

# As published with the networks, in units of the brightest value; for other data sets they are measured.
PUBLISHED: dict[str, Statistics] = {
    "cifar10": _CIFAR,
    "cifar100": _CIFAR,
    "fashion_mnist": Statistics((0.2860,), (0.3530,)),
    "imagenet": Statistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "cifar10_dvs": Statistics((0.2728, 0.1295), (0.2225, 0.1290)),
    "dvs128_gesture": Statistics((0.0, 0.0), (1.0, 1.0)),
}


def published(name: str, *, white: int | None = None) -> Statistics:
    """Statistics of the stored values of data set `name`, as published with the networks.

    Args:
        name: name of the data set.
        white: stored value of the brightest pixel; None: that of the data set.
    """
    white = DATASETS[name].white if white is None else white
    known = PUBLISHED[name]
    return Statistics(tuple(white * mean for mean in known.mean), tuple(white * std for std in known.std))


def measured(data: Prepared, train: Indices) -> Statistics:
    """Statistics over the values of the training samples."""
    values: NDArray[np.uint8] | NDArray[np.float32] = data.inputs[train]
    axes = tuple(axis for axis in range(values.ndim) if axis != values.ndim - 3)
    mean, std = values.mean(axes, dtype=np.float64), values.std(axes, dtype=np.float64)
    return Statistics(tuple(mean.tolist()), tuple(std.tolist()))


class Normalisation:
    """(x - mean) / std per channel, on one device."""

    def __init__(self, statistics: Statistics, device: torch.device) -> None:
        self.mean_C11 = torch.tensor(statistics.mean, device=device)[:, None, None]
        self.std_C11 = torch.tensor(statistics.std, device=device)[:, None, None]

    def __call__(self, stored: Tensor) -> Tensor:
        """Normalised float32 values of stored [...,C,H,W]."""
        return stored.to(torch.float32, copy=True).sub_(self.mean_C11).div_(self.std_C11)

    def undo(self, normalised: Tensor) -> Tensor:
        """The stored values as float32."""
        return normalised * self.std_C11 + self.mean_C11
