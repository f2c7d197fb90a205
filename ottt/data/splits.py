"""Stratified splits, which depend only on labels and a seed, and fingerprints of data."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from ottt.data.info import held_out

Indices = NDArray[np.int64]


def stratified(labels: NDArray[np.int64], fraction: float, seed: int) -> tuple[Indices, Indices]:
    """Split samples into two parts, class by class.

    Args:
        labels: class of each sample, [N].
        fraction: share of every class in the second part, rounded to whole samples.
        seed: seed of the draw.

    Returns:
        Sorted positions of the first and of the second part.
    """
    rng = np.random.default_rng(seed)
    second = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        second[rng.permutation(members)[: held_out(len(members), fraction)]] = True
    return np.flatnonzero(~second), np.flatnonzero(second)


def fingerprint(*arrays: NDArray[np.generic]) -> str:
    """16 hex digits over types, shapes and values of `arrays`."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
