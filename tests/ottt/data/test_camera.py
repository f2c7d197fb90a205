"""The simulated event camera against events computed by hand."""

import numpy as np

from ottt.data.readers.camera import Camera
from ottt.data.readers.digits import read_digits
from ottt.data.readers.digits_dvs import record_digit, scene

EXACT = Camera(threshold=0.5, mismatch=0.0, noise_hz=0.0, step_us=1000)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_events_occur_when_a_ramp_crosses_the_thresholds() -> None:
    # Log intensity rises by 1.2 in the first step, stays constant, and falls by 2 in the third.
    log = np.array([0.0, 1.2, 1.2, -0.8])[:, None, None]
    events = EXACT.record(np.exp(log).astype(np.float32), rng())
    assert events.p.tolist() == [1, 1, 0, 0, 0]
    # Upwards at 0.5 and 1.0; downwards, one threshold and more below 1.0, at 0.5, 0.0 and -0.5.
    expected = [1000 * 0.5 / 1.2, 1000 / 1.2, 2000 + 1000 * 0.7 / 2, 2000 + 1000 * 1.2 / 2, 2000 + 1000 * 1.7 / 2]
    assert np.abs(events.t - expected).max() <= 1


def test_only_a_changing_pixel_reports() -> None:
    still = np.full((3, 4, 5), 0.3, dtype=np.float32)
    assert len(EXACT.record(still, rng()).t) == 0
    still[1:, 2, 3] = 0.3 * np.exp(0.6)
    events = EXACT.record(still, rng())
    assert [column.tolist() for column in events[1:]] == [[3], [2], [1]]


def test_background_events_have_their_rate() -> None:
    still = np.ones((1001, 10, 10), dtype=np.float32)
    events = Camera(noise_hz=20.0, step_us=1000).record(still, rng())
    assert abs(len(events.t) - 2000) < 5 * np.sqrt(2000)
    assert abs(events.p.mean() - 0.5) < 0.06
    assert np.abs(np.bincount(events.y * 10 + events.x) - 20).max() < 5 * np.sqrt(20) + 1


def test_thresholds_are_fixed_for_a_camera() -> None:
    camera = Camera(threshold=0.2, mismatch=0.03)
    thresholds = camera.thresholds(100, 100)
    assert abs(thresholds.mean() - 0.2) < 0.002
    assert abs(thresholds.std() - 0.03) < 0.002
    assert np.array_equal(thresholds, camera.thresholds(100, 100))
    assert not np.array_equal(thresholds, Camera(threshold=0.2, mismatch=0.03, seed=1).thresholds(100, 100))
    assert Camera(threshold=0.2, mismatch=1.0).thresholds(50, 50).min() == 0.2 / 5


def test_recordings_of_digits() -> None:
    digit = read_digits().inputs[0, 0]
    events = record_digit(digit, Camera(), np.random.default_rng(3))
    again = record_digit(digit, Camera(), np.random.default_rng(3))
    assert all(np.array_equal(a, b) for a, b in zip(events, again, strict=True))
    assert 1000 < len(events.t) < 50_000
    assert (np.diff(events.t) >= 0).all()
    assert events.t.max() <= 150_000
    assert 0.3 < events.p.mean() < 0.7
    # A blank picture causes only background events.
    blank = record_digit(np.zeros((8, 8), np.uint8), Camera(), np.random.default_rng(3))
    assert len(blank.t) < 0.1 * len(events.t)


def test_the_scene_moves_along_the_saccades() -> None:
    digit = np.zeros((8, 8), np.uint8)
    digit[3:5, 3:5] = 16
    light = scene(digit, rng()) - 0.1
    weight = light.sum((1, 2))
    centre_x = (light.sum(1) * np.arange(24)).sum(1) / weight
    centre_y = (light.sum(2) * np.arange(24)).sum(1) / weight
    steps = [0, 25, 50, 75]
    assert np.allclose(np.diff(centre_x[steps]), [3, 3, -6], atol=0.05)
    assert np.allclose(np.diff(centre_y[steps]), [6, -6, 0], atol=0.05)
