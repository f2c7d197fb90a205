"""Folders of images: their discovery and cropping, and batches that do not depend on the workers."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from ottt.data.augment import Augmentation
from ottt.data.normalise import Normalisation, published
from ottt.data.readers.imagenet import SIZE, ImageFolder, StreamedSamples, find_images, prepared, random_box
from ottt.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for label, name in enumerate(("n01", "n02", "n03")):
        (tmp_path / name).mkdir()
        for i in range(4):
            image = rng.integers(0, 40, (250 + 10 * i, 300, 3), dtype=np.uint8)
            image[..., 2 - label] += 200  # OpenCV stores blue first, so class 0 is red
            cv2.imwrite(str(tmp_path / name / f"{name}_{i}.{'png' if i else 'JPEG'}"), image)
    (tmp_path / "n01" / "notes.txt").write_text("not an image")
    return tmp_path


def streamed(images: ImageFolder, workers: int) -> StreamedSamples:
    cpu = torch.device("cpu")
    normalisation = Normalisation(published("imagenet"), cpu)
    members = np.arange(len(images))
    return StreamedSamples(images, members, normalisation, Augmentation(flip=0.5), workers, cpu)


def epoch(samples: StreamedSamples, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    order, changes = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed)
    inputs, labels = zip(*samples.training_batches(5, order=order, augmentation=changes), strict=True)
    assert [len(part) for part in labels] == [5, 5, 2]
    return torch.cat(inputs), torch.cat(labels)


def test_images_and_classes(folder: Path) -> None:
    images = find_images(folder, 3)
    assert images.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert images.paths[0] == b"n01/n01_0.JPEG"
    samples = streamed(images, 0)
    (inputs, labels) = next(samples.batches(12))
    assert inputs.shape == (12, 3, SIZE, SIZE)
    stored = samples.normalisation.undo(inputs)
    assert torch.equal(stored.mean((2, 3)).argmax(1), labels)
    assert stored.mean((2, 3)).amax(1).numpy() == pytest.approx(np.full(12, 219.5), abs=2)
    with pytest.raises(UserError, match="must hold 1000 folders, one per class, got 3"):
        find_images(folder, 1000)


def test_evaluation_takes_the_centre() -> None:
    image = np.zeros((512, 1024, 3), dtype=np.uint8)
    image[256 - 8 : 256 + 8, 512 - 8 : 512 + 8] = 255
    cut = prepared(Image.fromarray(image), None).float()[0]
    assert cut.shape == (SIZE, SIZE)
    rows, columns = np.nonzero(cut.numpy() > 128)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (108, 115, 108, 115)


def test_workers_do_not_change_the_batches(folder: Path) -> None:
    images = find_images(folder, 3)
    alone, two = epoch(streamed(images, 0)), epoch(streamed(images, 2))
    assert torch.equal(alone[0], two[0])
    assert torch.equal(alone[1], two[1])
    other = epoch(streamed(images, 0), seed=1)
    assert sorted(other[1].tolist()) == sorted(alone[1].tolist())
    assert not torch.equal(other[0], alone[0])


def test_random_boxes() -> None:
    rng = np.random.default_rng(0)
    boxes = np.array([random_box(400, 500, rng) for _ in range(10_000)])
    top, left, height, width = boxes.T
    assert ((top >= 0) & (top + height <= 400) & (left >= 0) & (left + width <= 500)).all()
    share = height * width / (400 * 500)
    assert 0.078 < share.min() < 0.1
    # Large boxes fit less often than small ones; below half the area all of them fit.
    small = share[share < 0.5]
    assert np.histogram(small, 4, (0.08, 0.5))[0] == pytest.approx(np.full(4, len(small) / 4), rel=0.1)
    aspect = np.log(width / height)
    assert aspect.min() > np.log(0.74)
    assert aspect.max() < np.log(1.35)
    assert aspect[share < 0.5].mean() == pytest.approx(0, abs=0.01)


def test_the_centre_is_used_if_no_box_fits() -> None:
    assert random_box(10, 1000, np.random.default_rng(0)) == (0, 493, 10, 13)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_named(folder: Path, workers: int) -> None:
    path = folder / "n02" / "n02_0.JPEG"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=r"n02/n02_0\.JPEG: must be an image, got a damaged one"):
        list(streamed(find_images(folder, 3), workers).batches(4))
