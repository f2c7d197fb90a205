"""Simulated event recordings of the digits, which need no download.

The camera moves in three quick saccades, as for N-MNIST (Orchard, Jayawant, Cohen, Thakor 2015).
"""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ottt.data.events import Events
from ottt.data.frames import Framing, Recordings, cached_frames
from ottt.data.readers.camera import Camera
from ottt.data.readers.digits import read_digits
from ottt.data.sets import Prepared

SENSOR = 24  # pixels, height and width
DIGIT = 16  # pixels, height and width of a digit on it
DARK = 0.1  # intensity of black; white is 1
CORNERS = ((-3.0, -3.0), (0.0, 3.0), (3.0, -3.0), (-3.0, -3.0))  # ends of the saccades: pixels right, down from centre
STEPS = 25  # instants per saccade
JITTER = 1.0  # pixels, largest random offset of a recording


def read_digits_dvs(root: Path, framing: Framing, *, camera: Camera | None = None) -> Prepared:
    """The frames of the data set, [N,T,2,H,W], in the order of `digits`."""
    camera = camera or Camera()
    digits = read_digits()

    def recordings() -> Iterator[tuple[int, str, Events]]:
        for i, image in enumerate(digits.inputs):
            yield i, f"digit {i}", record_digit(image[0], camera, np.random.default_rng([camera.seed, i]))

    source = {
        "digits": digits.digest,
        "camera": asdict(camera),
        "scene": [SENSOR, DIGIT, DARK, CORNERS, STEPS, JITTER],
    }
    return cached_frames(
        root, "digits_dvs", framing, source, lambda: Recordings(digits.labels, digits.train, recordings)
    )


def record_digit(digit: NDArray[np.uint8], camera: Camera, rng: np.random.Generator) -> Events:
    """The recording of one digit, [8,8] with values 0 to 16."""
    return camera.record(scene(digit, rng), rng)


def scene(digit: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """Intensity on the sensor at each instant of the three saccades, [S,H,W]."""
    picture = cv2.resize(digit.astype(np.float32) / 16, (DIGIT, DIGIT), interpolation=cv2.INTER_LINEAR)
    start = (SENSOR - DIGIT) / 2 + rng.uniform(-JITTER, JITTER, 2)
    moved = [cv2.warpAffine(picture, _shift(start + offset), (SENSOR, SENSOR)) for offset in _saccades()]
    return (DARK + (1 - DARK) * np.stack(moved)).astype(np.float32)


def _saccades() -> NDArray[np.float64]:
    """Offset at each instant, [S,2]: straight lines between corners."""
    at = np.linspace(0, len(CORNERS) - 1, (len(CORNERS) - 1) * STEPS + 1)
    corners = np.array(CORNERS)
    return np.stack([np.interp(at, range(len(corners)), corners[:, axis]) for axis in (0, 1)], axis=1)


def _shift(by: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([[1.0, 0.0, by[0]], [0.0, 1.0, by[1]]])
