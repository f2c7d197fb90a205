"""Events of an event camera, which reports changes of brightness, and their conversion to frames.

Shapes: N events, T frames, H W sensor; the two channels of a frame are the polarities, 0 darker, 1 brighter.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ottt.errors import UserError


class Events(NamedTuple):
    """A recording, in the order of its file, which is the order in which the events occurred.

    Attributes:
        t: timestamps, microseconds, [N] int64.
        x: columns, [N] int64.
        y: rows, [N] int64.
        p: polarities, 0 | 1, [N] int64.
    """

    t: NDArray[np.int64]
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    p: NDArray[np.int64]

    def select(self, chosen: NDArray[np.bool_]) -> "Events":
        """The events for which `chosen`, [N], is true."""
        return Events(self.t[chosen], self.x[chosen], self.y[chosen], self.p[chosen])


def checked(events: Events, height: int, width: int, name: str) -> Events:
    """`events`, if all of them lie on the sensor.

    Raises:
        UserError: an event lies outside, which only happens in a damaged file.
    """
    outside = (events.x < 0) | (events.x >= width) | (events.y < 0) | (events.y >= height)
    if outside.any():
        i = int(outside.argmax())
        raise UserError(
            f"{name}: event {i} must lie on the sensor of {width} x {height}, got x={events.x[i]} y={events.y[i]}"
        )
    return events


def frame_by_count(count: int, frames: int) -> NDArray[np.int64]:
    """Frame of each of `count` events, [N]: floor(N / T) consecutive events per frame, the remainder in the last.

    Consecutive is meant in the order of the file: timestamps play no part.
    """
    each = count // frames
    if each == 0:
        return np.full(count, frames - 1, dtype=np.int64)
    return np.minimum(np.arange(count, dtype=np.int64) // each, frames - 1)


def frame_by_time(t_N: NDArray[np.int64], frames: int) -> NDArray[np.int64]:
    """Frame of each event, [N]: spans of floor((t[N-1] - t[0]) / T) microseconds, the remainder in the last.

    Raises:
        ValueError: a timestamp is earlier than the one before it, so that one of the two is wrong.
    """
    back = np.diff(t_N) < 0
    if back.any():
        i = int(back.argmax())
        raise ValueError(
            f"event {i + 1} must not be earlier than event {i}, got t={t_N[i + 1]} after t={t_N[i]} us:"
            " data.frames.by=count does not need timestamps"
        )
    span = int(t_N[-1] - t_N[0]) // frames if len(t_N) else 0
    if span == 0:
        return np.full(len(t_N), frames - 1, dtype=np.int64)
    frame_N: NDArray[np.int64] = np.minimum((t_N - t_N[0]) // span, frames - 1)
    return frame_N


def gather(events: Events, frame_N: NDArray[np.int64], *, frames: int, height: int, width: int) -> NDArray[np.float32]:
    """Event counts per frame, polarity and pixel, [T,2,H,W]; `frame_N` is the frame of each event."""
    cell_N = ((frame_N * 2 + events.p) * height + events.y) * width + events.x
    counts = np.bincount(cell_N, minlength=frames * 2 * height * width)
    return counts.reshape(frames, 2, height, width).astype(np.float32)


def resized(frames_T2HW: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Frames of `size` x `size` pixels, each pixel the mean count over the area that it covers."""
    # OpenCV has the channels last.
    shrunk = [cv2.resize(f.transpose(1, 2, 0), (size, size), interpolation=cv2.INTER_AREA) for f in frames_T2HW]
    return np.stack(shrunk).transpose(0, 3, 1, 2)
