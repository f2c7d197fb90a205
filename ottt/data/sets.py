"""A prepared data set in memory, and its split into training, validation and test samples.

Shapes: N samples, T frames, C channels, H W image.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ottt.data.info import DataInfo, empty_part
from ottt.data.splits import Indices, fingerprint, stratified
from ottt.errors import UserError


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
    """Hold out `val_fraction` of the first `train` samples, class by class; samples after these are for testing.

    Raises:
        UserError: no sample is left for training, or none is held out although the fraction is not 0.
    """
    kept, chosen = stratified(labels[:train], val_fraction, seed)
    if not len(kept) or (val_fraction > 0 and not len(chosen)):
        raise UserError(empty_part(val_fraction, len(kept), len(chosen)))
    return Split(kept, chosen, np.arange(train, len(labels), dtype=np.int64))


def checked(data: Prepared, info: DataInfo, name: str) -> Prepared:
    """`data`, if every sample has a label of the data set `name`, and there are samples for training and for testing.

    Raises:
        UserError: the reader of the data set did not keep to what is known of it.
    """
    if len(data.inputs) != len(data.labels):
        raise UserError(f"{name}: must have a label per sample, got {len(data.labels)} for {len(data.inputs)}")
    if not 0 < data.train < len(data.labels):
        raise UserError(
            f"{name}: must have samples for training and testing, got {data.train} of {len(data.labels)} for training"
        )
    if len(wrong := data.labels[(data.labels < 0) | (data.labels >= info.classes)]):
        raise UserError(f"{name}: labels must be 0 to {info.classes - 1}, got {wrong[0]}")
    image = (info.channels, info.height, info.width)
    if data.inputs.shape[-3:] != image:
        raise UserError(f"{name}: samples must have shape {image}, got {data.inputs.shape[-3:]}")
    return data
