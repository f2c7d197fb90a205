"""A prepared data set in memory, and its split into training, validation and test samples.

Shapes: N samples, T frames, C channels, H W image.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ottt.data.splits import Indices, fingerprint, stratified


@dataclass(frozen=True)
class Prepared:
    """All samples of a data set, neither normalised nor augmented.

    Attributes:
        inputs: [N,C,H,W] or [N,T,C,H,W], uint8 or float32; can be a memory map that processes share.
        labels: [N] int64.
        train: number of training samples, which come first; the others are test samples.
        digest: fingerprint of inputs and labels.
    """

    inputs: NDArray[np.uint8] | NDArray[np.float32]
    labels: NDArray[np.int64]
    train: int
    digest: str


@dataclass(frozen=True)
class Split:
    """Positions of the samples of each part.

    Attributes:
        train: training samples.
        val: validation samples, for selection; can be empty.
        test: test samples, for reporting.
    """

    train: Indices
    val: Indices
    test: Indices

    def digest(self, data: str) -> str:
        """Fingerprint of the split and of its data, whose fingerprint is `data`."""
        return fingerprint(np.frombuffer(data.encode(), np.uint8), self.train, self.val, self.test)


def split(labels: NDArray[np.int64], train: int, *, val_fraction: float, seed: int) -> Split:
    """Hold out `val_fraction` of the first `train` samples, class by class; samples after these are for testing."""
    kept, held_out = stratified(labels[:train], val_fraction, seed)
    return Split(kept, held_out, np.arange(train, len(labels), dtype=np.int64))
