"""The samples of a part of a data set (training, validation, test), and their batches.

Shapes: N samples, B batch, T frames, C channels, H W image.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import torch
from torch import Tensor

from ottt.data.augment import Augmentation
from ottt.data.normalise import Normalisation


class Samples(Protocol):
    """A part of a data set."""

    @property
    def normalisation(self) -> Normalisation:
        """The conversion from stored values to inputs, which can be undone for plots."""

    @property
    def labels(self) -> Tensor:
        """Classes, [n] int64."""

    def __len__(self) -> int:
        """Number of samples, n."""

    def select(self, chosen: Sequence[int]) -> Self:
        """The samples at positions `chosen`."""

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalised inputs [B,C,H,W] or [B,T,C,H,W] and labels [B] in stored order; the last batch may be smaller."""

    def training_batches(
        self, size: int, *, order: torch.Generator, augmentation: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches in random order, augmented, with the frames drawn for training.

        Args:
            size: B.
            order: generator of the order of samples and of the frames drawn, on the CPU.
            augmentation: generator of the augmentation, on the device.
        """


@dataclass(frozen=True)
class ResidentSamples:
    """Samples held on the device as stored; all parts of a data set share one tensor.

    Attributes:
        stored: inputs of all samples, [N,C,H,W] or [N,T,C,H,W], uint8 or float32.
        stored_labels: labels of all samples, [N] int64.
        members: positions of this part's samples, [n] int64, on the device.
        normalisation: normalisation of the inputs.
        augment: augmentation of training batches.
        train_steps: number of frames drawn for each training batch, in order; None: all.
    """

    stored: Tensor
    stored_labels: Tensor
    members: Tensor
    normalisation: Normalisation
    augment: Augmentation
    train_steps: int | None = None

    def __len__(self) -> int:
        return len(self.members)

    @property
    def labels(self) -> Tensor:
        """See `Samples.labels`."""
        return self.stored_labels[self.members]

    def select(self, chosen: Sequence[int]) -> Self:
        """See `Samples.select`."""
        return replace(self, members=self.members[torch.tensor(chosen, device=self.members.device)])

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Samples.batches`."""
        for members in self.members.split(size):
            yield self.normalisation(self.stored[members]), self.stored_labels[members]

    def training_batches(
        self, size: int, *, order: torch.Generator, augmentation: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Samples.training_batches`."""
        shuffled = torch.randperm(len(self), generator=order).to(self.members.device)
        for members in self.members[shuffled].split(size):
            stored = self._frames(members, order)
            yield self.normalisation(self.augment(stored, generator=augmentation)), self.stored_labels[members]

    def _frames(self, members: Tensor, order: torch.Generator) -> Tensor:
        """Stored inputs of `members`; for recordings a random subset of the frames, sorted and equal for all."""
        if self.train_steps is None:
            return self.stored[members]
        drawn = torch.randperm(self.stored.shape[1], generator=order)[: self.train_steps].sort().values
        return self.stored[members[:, None], drawn.to(members.device)]
