"""Training that is lost: losses and parameters that are no longer finite."""

import math

import torch
from torch import nn


class Diverged(Exception):
    """A loss, a parameter or a buffer became NaN or infinite.

    Attributes:
        epoch: epoch in which it happened, from 1.
    """

    def __init__(self, epoch: int, what: str, value: float) -> None:
        super().__init__(f"{what} became {value} in epoch {epoch}")
        self.epoch = epoch


def expect_finite(epoch: int, what: str, value: float) -> None:
    """Check a loss.

    Raises:
        Diverged: it is NaN or infinite.
    """
    if not math.isfinite(value):
        raise Diverged(epoch, what, value)


def expect_finite_state(epoch: int, net: nn.Module) -> None:
    """Check all parameters and buffers. Losses do not show all: a neuron whose potential is NaN is merely silent.

    Raises:
        Diverged: one has a NaN or an infinity.
    """
    values = {name: value for name, value in net.state_dict().items() if value.is_floating_point()}
    finite = torch.stack([value.isfinite().all() for value in values.values()]).tolist()
    if not all(finite):
        name = list(values)[finite.index(False)]
        value = values[name]
        raise Diverged(epoch, name, value[~value.isfinite()][0].item())
