"""Folders of images: their discovery and cropping, and batches that do not depend on the workers."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from ottt.data.augment import Augmentation
from ottt.data.normalise import Normalisation, published
from ottt.data.readers.imagenet import (
    SIZE,
    ImageFolder,
    StreamedSamples,
    find_classes,
    find_images,
    in_colour,
    prepared,
    random_box,
)
from ottt.errors import UserError

NAMES = ["n01", "n02", "n03"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for label, name in enumerate(NAMES):
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
    images = find_images(folder, NAMES, 12)
    assert images.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert images.paths[0] == b"n01/n01_0.JPEG"
    samples = streamed(images, 0)
    (inputs, labels) = next(samples.batches(12))
    assert inputs.shape == (12, 3, SIZE, SIZE)
    stored = samples.normalisation.undo(inputs)
    assert torch.equal(stored.mean((2, 3)).argmax(1), labels)
    assert stored.mean((2, 3)).amax(1).numpy() == pytest.approx(np.full(12, 219.5), abs=2)
    with pytest.raises(UserError, match=r"must hold 1000 folders, one per class, got 3: n01, n02, n03$"):
        find_classes(folder, 1000)


def test_evaluation_takes_the_centre() -> None:
    image = np.zeros((512, 1024, 3), dtype=np.uint8)
    image[256 - 8 : 256 + 8, 512 - 8 : 512 + 8] = 255
    cut = prepared(Image.fromarray(image), None).float()[0]
    assert cut.shape == (SIZE, SIZE)
    rows, columns = np.nonzero(cut.numpy() > 128)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (108, 115, 108, 115)


def test_workers_do_not_change_the_batches(folder: Path) -> None:
    images = find_images(folder, NAMES, 12)
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
        list(streamed(find_images(folder, NAMES, 12), workers).batches(4))


def test_validation_images_have_the_labels_of_the_training_images(folder: Path) -> None:
    (folder / "n02").rename(folder / "n04")
    rule = "must hold the class folders of the training images, n02, got n04$"
    with pytest.raises(UserError, match=rule):
        find_images(folder, NAMES, 12)
    for number, name in enumerate(("n04", "n03", "n01")):
        (folder / name).rename(folder / str(number))
    with pytest.raises(UserError, match=r"must hold the class folders of the training images, n01, got 0, 1, 2$"):
        find_images(folder, NAMES, 12)


def test_every_class_has_images_and_all_images_are_there(folder: Path) -> None:
    with pytest.raises(UserError, match=r"must hold 13 images, got 12$"):
        find_images(folder, NAMES, 13)
    for image in (folder / "n02").iterdir():
        image.unlink()
    (folder / "n02" / "a.png").mkdir()
    with pytest.raises(UserError, match=r"n02: must hold images \(\.jpeg, \.jpg, \.png\), found none"):
        find_images(folder, NAMES, 8)


def test_hidden_files_and_folders_are_skipped(folder: Path) -> None:
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / "n01" / "._n01_0.JPEG").write_bytes(b"Mac OS X attributes")
    assert find_classes(folder, 3) == NAMES
    images = find_images(folder, NAMES, 12)
    assert len(list(streamed(images, 0).batches(4))) == 3


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_keeps_its_brightness(bits: int, folder: Path) -> None:
    ramp = np.linspace(0, 2**bits - 1, 300 * 300).reshape(300, 300)
    cv2.imwrite(str(folder / "n01" / "n01_0.JPEG.png"), ramp.astype(np.uint8 if bits == 8 else np.uint16))
    images = find_images(folder, NAMES, 13)
    position = images.paths.tolist().index(b"n01/n01_0.JPEG.png")
    pixels, label = images[position, None]
    assert label == 0
    assert pixels.float().mean((1, 2)).numpy() == pytest.approx(np.full(3, 127.5), abs=1)
    assert 0 < pixels.min() < 40
    assert 215 < pixels.max() < 255


@pytest.mark.parametrize("mode", ["F", "I"])
def test_values_beyond_16_bits_are_refused(mode: str) -> None:
    with pytest.raises(ValueError, match=f"must have 8 or 16 bits, got those of PIL's mode {mode}"):
        in_colour(Image.new(mode, (4, 4), 70_000))


def test_no_damaged_image_raises_anything_else(folder: Path) -> None:
    rng = np.random.default_rng(0)
    path = folder / "n01" / "n01_1.png"
    content = path.read_bytes()
    images = find_images(folder, NAMES, 12)
    position = images.paths.tolist().index(b"n01/n01_1.png")
    refused = []
    for _ in range(20):
        changed = bytearray(content)
        for place in rng.integers(0, 200, 4):
            changed[place] = rng.integers(256)
        path.write_bytes(changed)
        try:
            images[position, None]
        except UserError as error:
            refused.append(str(error))
    assert len(refused) > 15
    assert {line.partition(": must be an image, got a damaged one: ")[0] for line in refused} == {str(path)}
