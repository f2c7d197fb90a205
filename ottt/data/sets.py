"""A data set in memory as it was prepared, and which of its samples serve what.

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
        inputs: [N,C,H,W] or [N,T,C,H,W], uint8 or float32; may be a memory map that processes share.
        labels: [N] int64.
        train: how many of them, from the first, are for training; the others are for testing.
        digest: fingerprint of inputs and labels.
    """

    inputs: NDArray[np.uint8] | NDArray[np.float32]
    labels: NDArray[np.int64]
    train: int
    digest: str


@dataclass(frozen=True)
class Split:
    """Which samples serve what.

    Attributes:
        train: to fit on.
        val: to select on; may be empty.
        test: to report on.
    """

    train: Indices
    val: Indices
    test: Indices

    def digest(self, data: str) -> str:
        """Fingerprint of the data with fingerprint `data` and of this split of them."""
        return fingerprint(np.frombuffer(data.encode(), np.uint8), self.train, self.val, self.test)


def split(labels: NDArray[np.int64], train: int, *, val_fraction: float, seed: int) -> Split:
    """Keep `val_fraction` of the first `train` samples, class by class, for validation; the rest is for testing."""
    kept, held_out = stratified(labels[:train], val_fraction, seed)
    return Split(kept, held_out, np.arange(train, len(labels), dtype=np.int64))
