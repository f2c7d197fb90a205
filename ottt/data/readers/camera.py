"""A simulated event camera, which turns the brightness of a scene over time into events.

Model: each pixel stores the log intensity at its last event and reports an event each time the intensity has moved by
one more threshold from there (Lichtsteiner, Posch, Delbruck 2008). Thresholds differ between pixels, and background
events occur at random.

Shapes: S instants, H W sensor.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ottt.data.events import Events


@dataclass(frozen=True)
class Camera:
    """A simulated camera.

    Attributes:
        threshold: change of log intensity between two events of a pixel.
        mismatch: standard deviation of the threshold between pixels.
        noise_hz: background events per pixel and second.
        step_us: time between two instants of a scene, microseconds; log intensity is linear in between.
        seed: seed of the thresholds, which are fixed for a camera.
    """

    threshold: float = 0.25
    mismatch: float = 0.03
    noise_hz: float = 2.0
    step_us: int = 2000
    seed: int = 0

    def thresholds(self, height: int, width: int) -> NDArray[np.float64]:
        """Threshold of each pixel, [H,W]; at least a fifth of the nominal one."""
        drawn = np.random.default_rng(self.seed).normal(self.threshold, self.mismatch, (height, width))
        return np.maximum(drawn, self.threshold / 5)

    def record(self, scene_SHW: NDArray[np.float32], rng: np.random.Generator) -> Events:
        """The events of a scene, sorted by time.

        Args:
            scene_SHW: intensity at the instants 0, step_us, 2 step_us, ...; positive.
            rng: generator of the background events.
        """
        instants, height, width = scene_SHW.shape
        # In units of each pixel's threshold, so that the stored intensities are whole numbers and stay exact.
        log_SHW = np.log(scene_SHW.astype(np.float64))
        level_SHW = (log_SHW - log_SHW[0]) / self.thresholds(height, width)
        reference_HW = np.zeros((height, width), dtype=np.int64)
        parts = [self._background((instants - 1) * self.step_us, height, width, rng)]
        for step in range(1, instants):
            before_HW, now_HW = level_SHW[step - 1], level_SHW[step]
            crossed_HW = np.trunc(now_HW - reference_HW).astype(np.int64)
            y, x, count = _pixels(crossed_HW)
            reached = reference_HW[y, x] + count
            share = (reached - before_HW[y, x]) / (now_HW[y, x] - before_HW[y, x])
            t = ((step - 1 + share) * self.step_us).astype(np.int64)
            parts.append(Events(t, x, y, (count > 0).astype(np.int64)))
            reference_HW += crossed_HW
        return _in_order(parts)

    def _background(self, duration_us: int, height: int, width: int, rng: np.random.Generator) -> Events:
        count = rng.poisson(self.noise_hz * duration_us * 1e-6 * height * width)
        return Events(
            rng.integers(0, duration_us, count),
            rng.integers(0, width, count),
            rng.integers(0, height, count),
            rng.integers(0, 2, count),
        )


def _pixels(crossed_HW: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Row, column and signed ordinal (1, 2, ... or -1, -2, ...) of each threshold crossed."""
    y, x = np.nonzero(crossed_HW)
    crossed = crossed_HW[y, x]
    times = np.abs(crossed)
    first = np.repeat(times.cumsum() - times, times)
    ordinal = np.arange(times.sum()) - first + 1
    return np.repeat(y, times), np.repeat(x, times), ordinal * np.sign(np.repeat(crossed, times))


def _in_order(parts: list[Events]) -> Events:
    t, x, y, p = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(t, kind="stable")
    return Events(t[order], x[order], y[order], p[order])
