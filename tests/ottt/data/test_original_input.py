"""`data.frames.values=original`: the input of the published results on CIFAR10-DVS."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torchvision import transforms

from ottt.config.load import load_config
from ottt.config.trial import TrialConfig
from ottt.data.events import Events, resized
from ottt.data.frames import Framing
from ottt.data.normalise import published as statistics
from ottt.data.original_input import as_original
from ottt.data.readers.cifar10_dvs import read_cifar10_dvs
from tests.ottt.data.writers import aedat2, published, random_events, zipped

ORIGINAL = {"data.name": "cifar10_dvs", "T": 4, "data.frames.values": "original"}


def clustered(count: int, seed: int) -> Events:
    """Events that are dense in the middle of the sensor, as around an object."""
    generator = np.random.default_rng(seed)
    x, y = generator.normal(64, 20, (2, count)).astype(np.int64).clip(0, 127)
    return Events(np.arange(count), x, y, generator.integers(0, 2, count))


def counts(events: Events) -> NDArray[np.float32]:
    return Framing(10, "count", 128, 128)(events)


def test_counts_wrap() -> None:
    frame = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)
    assert as_original(frame, None).tolist() == [[[[0, 255], [254, 253]], [[252, 251], [250, 249]]]]


def test_the_second_polarity_masks_the_first() -> None:
    frame = np.zeros((1, 2, 4, 4), np.float32)
    frame[0, 0] = 1
    assert as_original(frame, 2)[0, 0].max() == 0
    frame[0, 1, :, :2] = 1
    assert as_original(frame, 2)[0, 0].tolist() == [[255, 255], [255, 255]]


@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_what_the_transforms_of_the_original_make(seed: int) -> None:
    frames = counts(clustered(20_000, seed))
    theirs = transforms.Compose([transforms.ToPILImage(), transforms.Resize(48), transforms.ToTensor()])
    expected = np.stack([theirs(torch.from_numpy(frame)).numpy() for frame in frames])
    assert frames.max() > 2
    assert np.array_equal(as_original(frames, 48) / np.float32(255), expected)


def test_it_is_another_input_than_the_counts() -> None:
    frames = counts(clustered(20_000, 0))
    one, other = resized(frames, 48), as_original(frames, 48)
    found = [np.corrcoef(one[:, channel].ravel(), other[:, channel].ravel())[0, 1] for channel in range(2)]
    assert found == pytest.approx([0.53, 0.94], abs=0.01)


def test_the_reader_makes_it_beside_the_counts(tmp_path: Path) -> None:
    content = {f"cat/cifar10_cat_{i}.aedat": aedat2(random_events(2000, i)) for i in range(2)}
    file = published(tmp_path, "cat.zip", zipped(content))
    plain, original = (Framing(4, "count", 128, 128, 48, values) for values in ("count", "original"))
    read = [
        read_cifar10_dvs(tmp_path, framing, files=(file,), per_class=2, train_per_class=1)
        for framing in (plain, original, plain)
    ]
    assert [data.inputs.dtype for data in read] == [np.float32, np.uint8, np.float32]
    assert np.array_equal(read[1].inputs[0], original(random_events(2000, 0)))
    assert read[0].digest == read[2].digest != read[1].digest


def test_it_is_normalised_as_a_share_of_white() -> None:
    config = TrialConfig().replace(ORIGINAL)
    white = config.data.samples.white
    assert white == 255
    assert statistics("cifar10_dvs", white=white).mean == pytest.approx((255 * 0.2728, 255 * 0.1295))
    assert TrialConfig().replace({"data.name": "cifar10_dvs", "T": 4}).data.samples.white == 1


def test_the_hash_names_it_and_is_as_before_without_it() -> None:
    before = load_config({"preset": "cifar10_dvs"})
    assert "data.frames.values" not in before.effective()
    assert before.trial_hash == "6c6fe8a3eb5679e3"  # of the version without the setting
    assert before.replace({"data.frames.values": "original"}).effective()["data.frames.values"] == "original"


def test_other_recordings_never_had_it() -> None:
    with pytest.raises(ValidationError, match=r"data\.frames\.values must be count for dvs128_gesture, got 'original'"):
        TrialConfig().replace(ORIGINAL | {"data.name": "dvs128_gesture"})
    still = TrialConfig().replace(ORIGINAL | {"data.name": "digits"})
    assert still.trial_hash == still.replace({"data.frames.values": "count"}).trial_hash
