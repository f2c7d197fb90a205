"""Conversion of recordings to cached frames, the same for real and simulated event cameras.

Shapes: N recordings, T frames, H W frame.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from ottt.data.cache import INPUTS, LABELS, cached
from ottt.data.events import Events, checked, frame_by_count, frame_by_time, gather, resized
from ottt.data.original_input import as_original
from ottt.data.sets import Prepared
from ottt.errors import UserError


@dataclass(frozen=True)
class Recordings:
    """The recordings of a data set, read one after another.

    Attributes:
        labels: [N] int64.
        train: number of training recordings, which come first.
        read: function that yields the position of a recording in `labels`, its source, and its events; each position
            once, in any order.
    """

    labels: NDArray[np.int64]
    train: int
    read: Callable[[], Iterator[tuple[int, str, Events]]]


@dataclass(frozen=True)
class Framing:
    """How the events of a recording become frames.

    Attributes:
        frames: T.
        by: "count" or "time"; see `ottt.data.events`.
        height: height of the sensor, pixels.
        width: width of the sensor, pixels.
        size: height and width of the frames; None: those of the sensor.
        values: "count" or "original"; see `ottt.data.original_input`.
    """

    frames: int
    by: str
    height: int
    width: int
    size: int | None = None
    values: str = "count"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the frames of one recording, [T,2,H,W]."""
        return self.frames, 2, self.size or self.height, self.size or self.width

    def __call__(self, events: Events) -> NDArray[np.float32]:
        """The frames of a recording, [T,2,H,W].

        Raises:
            ValueError: by time, and a timestamp is earlier than the one before it.
        """
        count = len(events.t)
        frame_N = frame_by_count(count, self.frames) if self.by == "count" else frame_by_time(events.t, self.frames)
        counts = gather(events, frame_N, frames=self.frames, height=self.height, width=self.width)
        if self.values == "original":
            return as_original(counts, self.size)
        return counts if self.size is None else resized(counts, self.size)


def cached_frames(
    root: Path, name: str, framing: Framing, source: Mapping[str, Any], open_recordings: Callable[[], Recordings]
) -> Prepared:
    """The frames of all recordings of a data set.

    Args:
        root: folder of the data sets.
        name: name of the data set.
        framing: conversion to frames.
        source: identity of the recordings, as JSON values.
        open_recordings: function that opens the recordings; called only if the frames are not in the cache.

    Raises:
        UserError: a recording is missing or damaged.
    """

    def build(folder: Path) -> int:
        recordings = open_recordings()
        _write(folder, recordings, framing)
        np.save(folder / LABELS, recordings.labels)
        return recordings.train

    facts = {"frames": framing.frames, "by": framing.by, "size": framing.size, **source}
    if framing.values != "count":
        facts["values"] = framing.values
    if framing.by == "time":
        facts["timestamps"] = "in order"  # entries without it can be of recordings that are refused now
    return cached(root, name, facts, build)


def _write(folder: Path, recordings: Recordings, framing: Framing) -> None:
    """Write the frames one recording at a time; finally as bytes if all values are whole numbers up to 255."""
    shape = (len(recordings.labels), *framing.shape)
    frames = open_memmap(folder / INPUTS, mode="w+", dtype=np.float32, shape=shape)
    fits_bytes = True
    for position, name, events in recordings.read():
        inside = checked(events, framing.height, framing.width, name)
        try:
            one = framing(inside)
        except ValueError as error:
            raise UserError(f"{name}: {error}") from error
        fits_bytes = fits_bytes and bool((one == one.astype(np.uint8)).all())
        frames[position] = one
    frames.flush()
    if fits_bytes:
        as_bytes = open_memmap(folder / f"bytes-{INPUTS}", mode="w+", dtype=np.uint8, shape=shape)
        for position in range(len(frames)):
            as_bytes[position] = frames[position]
        as_bytes.flush()
        (folder / f"bytes-{INPUTS}").replace(folder / INPUTS)
