"""The digits before a simulated event camera that moves in three quick saccades, as the recordings of N-MNIST were made
(Orchard, Jayawant, Cohen, Thakor 2015). Event data for everyone: nothing to download.
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
DARK = 0.1  # intensity of black, where that of white is 1
CORNERS = ((-3.0, -3.0), (0.0, 3.0), (3.0, -3.0), (-3.0, -3.0))  # of the saccades: pixels right and down of the centre
STEPS = 25  # instants per saccade
WOBBLE = 1.0  # pixels by which the start of a recording may be off


def read_digits_dvs(root: Path, framing: Framing, *, camera: Camera | None = None) -> Prepared:
    """The frames of the data set, [N,T,2,H,W], its samples in the order of `digits`."""
    eye = camera or Camera()
    digits = read_digits()

    def recordings() -> Iterator[tuple[int, str, Events]]:
        for i, image in enumerate(digits.inputs):
            yield i, f"digit {i}", look(image[0], eye, np.random.default_rng([eye.seed, i]))

    source = {
        "digits": digits.digest,
        "camera": asdict(eye),
        "scene": [SENSOR, DIGIT, DARK, CORNERS, STEPS, WOBBLE],
    }
    return cached_frames(
        root, "digits_dvs", framing, source, lambda: Recordings(digits.labels, digits.train, recordings)
    )


def look(digit: NDArray[np.uint8], camera: Camera, rng: np.random.Generator) -> Events:
    """The recording of one digit, [8,8] of 0 to 16."""
    return camera.record(scene(digit, rng), rng)


def scene(digit: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """Intensity on the sensor at every instant of the three saccades, [S,H,W]."""
    picture = cv2.resize(digit.astype(np.float32) / 16, (DIGIT, DIGIT), interpolation=cv2.INTER_LINEAR)
    start = (SENSOR - DIGIT) / 2 + rng.uniform(-WOBBLE, WOBBLE, 2)
    moved = [cv2.warpAffine(picture, _shift(start + offset), (SENSOR, SENSOR)) for offset in _path()]
    return (DARK + (1 - DARK) * np.stack(moved)).astype(np.float32)


def _path() -> NDArray[np.float64]:
    """Place at every instant, [S,2]: straight from corner to corner."""
    at = np.linspace(0, len(CORNERS) - 1, (len(CORNERS) - 1) * STEPS + 1)
    corners = np.array(CORNERS)
    return np.stack([np.interp(at, range(len(corners)), corners[:, axis]) for axis in (0, 1)], axis=1)


def _shift(by: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([[1.0, 0.0, by[0]], [0.0, 1.0, by[1]]])
