"""Reader of ImageNet (ILSVRC 2012) from folders of images, which worker processes decode in advance.

Shapes: B batch, H W image of three channels.
"""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.v2 import functional as transforms

from ottt.data.augment import Augmentation
from ottt.data.normalise import Normalisation
from ottt.errors import UserError, first_line

SIZE = 224  # pixels of an input, height and width
SHORT_SIDE = 256  # pixels of the shorter side before the centre is cropped for evaluation
AREA = (0.08, 1.0)  # area of a random crop, as a share of the image
ASPECT = (3 / 4, 4 / 3)  # width / height of a random crop
ATTEMPTS = 10  # draws before the centre is used instead of a random crop
PREFETCH = 4  # batches per worker
WHITE_16 = 65_535  # brightest value of 16 bits
SHOWN = 5  # most names of folders in a message

_SUFFIXES = (".jpeg", ".jpg", ".png")

Request = tuple[int, int | None]  # position in the folder; seed of the crop, None for evaluation
Box = tuple[int, int, int, int]  # top, left, height, width


@dataclass(frozen=True)
class ImageFolder(Dataset):
    """Images in one folder per class.

    Attributes:
        root: folder of the class folders.
        paths: paths of the images below it, as bytes, so that worker processes share them without copying.
        labels: number of the class folder in alphabetical order of the training images' folders, [N] int64.
    """

    root: Path
    paths: NDArray[np.bytes_]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, request: Request) -> tuple[Tensor, int]:
        """An image as [3,224,224] uint8, and its label."""
        position, seed = request
        path = self.root / os.fsdecode(self.paths[position])
        try:
            with Image.open(path) as file:
                image = in_colour(file)
        except MemoryError:
            raise
        except Exception as error:  # what damaged bytes raise in the decoders is not listed
            raise UserError(f"{path}: must be an image, got a damaged one: {first_line(error)}") from error
        return prepared(image, seed), int(self.labels[position])


def find_classes(folder: Path, count: int) -> list[str]:
    """The names of the class folders in `folder`, in alphabetical order; hidden ones are no classes.

    Raises:
        UserError: there are not `count` of them.
    """
    names = _visible(entry for entry in os.scandir(folder) if entry.is_dir())
    if len(names) != count:
        shown = f": {_listed(names)}" if names else ""
        raise UserError(f"{folder}: must hold {count} folders, one per class, got {len(names)}{shown}")
    return names


def find_images(folder: Path, classes: Sequence[str], count: int) -> ImageFolder:
    """The images in `folder`, class by class, in alphabetical order; hidden files are no images.

    Args:
        folder: folder of the class folders.
        classes: their names, in the order of the labels.
        count: number of images.

    Raises:
        UserError: there are other class folders, a class without images, or another number of images.
    """
    own = find_classes(folder, len(classes))
    if missing := sorted(set(classes) - set(own)):
        others = _listed(sorted(set(own) - set(classes)))
        raise UserError(f"{folder}: must hold the class folders of the training images, {missing[0]}, got {others}")
    paths, labels = [], []
    for label, name in enumerate(classes):
        files = (entry for entry in os.scandir(folder / name) if entry.name.lower().endswith(_SUFFIXES))
        found = _visible(entry for entry in files if entry.is_file())
        if not found:
            raise UserError(f"{folder / name}: must hold images ({', '.join(_SUFFIXES)}), found none")
        paths += [os.fsencode(f"{name}/{image}") for image in found]
        labels += [label] * len(found)
    if len(paths) != count:
        raise UserError(f"{folder}: must hold {count} images, got {len(paths)}")
    return ImageFolder(folder, np.array(paths, dtype=np.bytes_), np.array(labels, dtype=np.int64))


def _visible(entries: Iterable[os.DirEntry[str]]) -> list[str]:
    return sorted(entry.name for entry in entries if not entry.name.startswith("."))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def in_colour(image: Image.Image) -> Image.Image:
    """The image with 8 bits each of red, green and blue.

    Raises:
        ValueError: a grey image of more than 16 bits.
    """
    if image.mode.startswith(("I", "F")):  # PIL would clip these to 255
        grey_HW = np.asarray(image)
        if image.mode == "F" or grey_HW.min() < 0 or grey_HW.max() > WHITE_16:
            raise ValueError(f"grey values must have 8 or 16 bits, got those of PIL's mode {image.mode}")
        image = Image.fromarray((grey_HW // (WHITE_16 // 255)).astype(np.uint8))
    return image.convert("RGB")


def prepared(image: Image.Image, seed: int | None) -> Tensor:
    """A colour image cropped to [3,224,224] uint8: at random with a seed, at the centre without."""
    if seed is None:
        cut = transforms.center_crop(transforms.resize(image, [SHORT_SIDE]), [SIZE, SIZE])
    else:
        box = random_box(image.height, image.width, np.random.default_rng(seed))
        cut = transforms.resized_crop(image, *box, [SIZE, SIZE])
    pixels: Tensor = transforms.pil_to_tensor(cut)
    return pixels


def random_box(height: int, width: int, rng: np.random.Generator) -> Box:
    """A random crop (Szegedy et al. 2015) with uniform area and log-uniform aspect; the centre if none fits."""
    for _ in range(ATTEMPTS):
        area = height * width * rng.uniform(*AREA)
        aspect = math.exp(rng.uniform(math.log(ASPECT[0]), math.log(ASPECT[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    w = min(width, round(height * ASPECT[1]))
    h = min(height, round(width / ASPECT[0]))
    return (height - h) // 2, (width - w) // 2, h, w


@dataclass(frozen=True)
class StreamedSamples:
    """Samples that are read and decoded on demand.

    Attributes:
        images: the image files.
        members: positions of this part's images, [n].
        normalisation: normalisation of the inputs, on the device.
        augment: augmentation of training batches, after the random crop.
        workers: number of worker processes; 0: decode in this process.
        device: device of the batches.
    """

    images: ImageFolder
    members: NDArray[np.int64]
    normalisation: Normalisation
    augment: Augmentation
    workers: int
    device: torch.device

    def __len__(self) -> int:
        return len(self.members)

    @property
    def labels(self) -> Tensor:
        """See `Samples.labels`."""
        return torch.from_numpy(self.images.labels[self.members])

    def select(self, chosen: Sequence[int]) -> Self:
        """See `Samples.select`."""
        return replace(self, members=self.members[list(chosen)])

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Samples.batches`."""
        requests: list[Request] = [(position, None) for position in self.members.tolist()]
        for stored, labels in self._loaded(requests, size):
            yield self.normalisation(stored), labels

    def training_batches(
        self, size: int, *, order: torch.Generator, augmentation: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Samples.training_batches`; crops depend on a seed per sample, not on the worker."""
        shuffled = self.members[torch.randperm(len(self), generator=order).numpy()]
        seeds = torch.randint(2**62, (len(self),), generator=order)
        requests: list[Request] = list(zip(shuffled.tolist(), seeds.tolist(), strict=True))
        for stored, labels in self._loaded(requests, size):
            yield self.normalisation(self.augment(stored, generator=augmentation)), labels

    def _loaded(self, requests: list[Request], size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Stored inputs [B,3,H,W] and labels on the device."""
        loader = DataLoader(
            self.images,
            batch_sampler=[requests[start : start + size] for start in range(0, len(requests), size)],
            num_workers=self.workers,
            prefetch_factor=PREFETCH if self.workers else None,
            pin_memory=self.device.type == "cuda",
        )
        for stored, labels in loader:
            yield stored.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)
