"""What a pass over the training samples adds up: on the device, since the host would wait for each batch it reads.

Shapes: n trials of a fused network, B batch, T time steps, K classes.
"""

import time
from typing import NamedTuple

import torch
from torch import Tensor

from ottt.rules import Batch


class Fitted(NamedTuple):
    """One pass over the training samples, each batch measured before its update.

    Attributes:
        loss: mean loss of the samples.
        top1: accuracy.
        seconds: how long it took.
    """

    loss: float
    top1: float
    seconds: float


class Sums:
    """Loss and number of correct answers of a trial, or of each trial of a fused network.

    Args:
        trials: n of a fused network; None: a network by itself.
        device: where they are kept; they never move, so that a graph can add to them.
    """

    def __init__(self, trials: int | None, device: torch.device) -> None:
        shape = () if trials is None else (trials,)
        self._loss = torch.zeros(shape, device=device)
        self._correct = torch.zeros(shape, device=device)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What a batch adds to."""
        return self._loss, self._correct

    def clear(self) -> None:
        """Start again."""
        self._loss.zero_()
        self._correct.zero_()

    def add(self, batch: Batch, labels: Tensor) -> None:
        """Add a batch with labels [B] or [n,B]."""
        self._loss += batch.losses.sum(0) * labels.shape[-1]
        self._correct += (batch.logits.sum(0).argmax(-1) == labels).sum(-1)

    def fitted(self, count: int, began: float) -> list[Fitted]:
        """The pass of each trial over `count` samples, which began at this reading of `time.perf_counter`."""
        losses, correct = self._loss.reshape(-1).tolist(), self._correct.reshape(-1).tolist()
        seconds = time.perf_counter() - began
        return [Fitted(loss / count, right / count, seconds) for loss, right in zip(losses, correct, strict=True)]
