"""Loading of a trial's training, validation and test samples, and the registry of data sets."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ottt.config.groups import DataConfig
from ottt.config.trial import TrialConfig
from ottt.data.augment import Augmentation
from ottt.data.files import FILES, SourceFile, locate
from ottt.data.frames import Framing
from ottt.data.info import DATASETS, DataInfo
from ottt.data.normalise import PUBLISHED, Normalisation, measured, published
from ottt.data.readers.cifar import read_cifar
from ottt.data.readers.cifar10_dvs import read_cifar10_dvs
from ottt.data.readers.digits import read_digits
from ottt.data.readers.digits_dvs import read_digits_dvs
from ottt.data.readers.dvs128_gesture import read_dvs128_gesture
from ottt.data.readers.fashion import read_fashion_mnist
from ottt.data.readers.tonic import read_tonic
from ottt.data.samples import ResidentSamples, Samples
from ottt.data.sets import Prepared, checked, split
from ottt.data.splits import fingerprint
from ottt.files import user_path
from ottt.plugins import claim

Reader = Callable[[Path, Framing], Prepared]

_READERS: dict[str, Reader] = {
    "cifar10": lambda root, _: read_cifar(root, "cifar10"),
    "cifar100": lambda root, _: read_cifar(root, "cifar100"),
    "fashion_mnist": lambda root, _: read_fashion_mnist(root),
    "cifar10_dvs": read_cifar10_dvs,
    "dvs128_gesture": read_dvs128_gesture,
    "digits": lambda _root, _framing: read_digits(),
    "digits_dvs": read_digits_dvs,
    "tonic:NMNIST": partial(read_tonic, "tonic:NMNIST"),
    "tonic:DVSGesture": partial(read_tonic, "tonic:DVSGesture"),
}


@dataclass(frozen=True)
class Data:
    """The samples of a data set after the split, on a device.

    Attributes:
        train: training samples.
        val: validation samples, for selection; can be empty.
        test: test samples, for reporting.
        digest: fingerprint of the data and of the split.
    """

    train: Samples
    val: Samples
    test: Samples
    digest: str


def register_dataset(name: str, info: DataInfo, read: Reader, *, files: tuple[SourceFile, ...] = ()) -> None:
    """Add a data set that `data.name` can name.

    Args:
        name: name of the data set.
        info: its classes and the shape of its samples.
        read: function that reads its samples, given the folder of the data sets and, for event data, the framing.
        files: files that it needs, for `ottt datasets`.

    Raises:
        UserError: the name is taken.
    """
    claim("data set", name, DATASETS)
    DATASETS[name] = info
    FILES[name] = files
    _READERS[name] = read


def load_data(config: TrialConfig, device: torch.device) -> Data:
    """The data set of `config`, prepared if necessary, and split.

    Raises:
        UserError: files are missing, truncated or altered, or data.val_fraction leaves a part empty.
    """
    return _streamed(config.data, device) if config.data.name == "imagenet" else _resident(config, device)


def read_data(config: TrialConfig) -> Prepared:
    """All samples of the data set of `config`, as stored; not for ImageNet, which is not held in memory."""
    info = DATASETS[config.data.name]
    frames = config.data.frames
    values = "count" if "data.frames.values" in config.data.unread() else frames.values
    framing = Framing(config.T, frames.by, info.height, info.width, frames.size, values)
    data = _READERS[config.data.name](user_path(config.data.root), framing)
    return checked(data, config.data.samples, config.data.name)


def _resident(config: TrialConfig, device: torch.device) -> Data:
    name, data = config.data.name, read_data(config)
    parts = split(data.labels, data.train, val_fraction=config.data.val_fraction, seed=config.data.split_seed)
    white = config.data.samples.white
    statistics = published(name, white=white) if name in PUBLISHED else measured(data, parts.train)
    normalisation = Normalisation(statistics, device)
    stored = torch.from_numpy(data.inputs).to(device)
    labels = torch.from_numpy(data.labels).to(device)
    drawn = config.train_steps if DATASETS[name].events and config.train_steps < config.T else None

    def part(members: np.ndarray) -> Samples:
        chosen = torch.from_numpy(members).to(device)
        return ResidentSamples(stored, labels, chosen, normalisation, _augmentation(config.data), drawn)

    return Data(part(parts.train), part(parts.val), part(parts.test), parts.digest(data.digest))


def _streamed(config: DataConfig, device: torch.device) -> Data:
    from ottt.data.readers.imagenet import StreamedSamples, find_classes, find_images

    info = DATASETS[config.name]
    train_path, test_path = locate(config.name, user_path(config.root), FILES[config.name])
    classes = find_classes(train_path, info.classes)
    train, test = find_images(train_path, classes, info.train), find_images(test_path, classes, info.test)
    parts = split(train.labels, len(train), val_fraction=config.val_fraction, seed=config.split_seed)
    normalisation = Normalisation(published(config.name), device)
    augment = _augmentation(config)
    train_part, val_part, test_part = (
        StreamedSamples(images, members, normalisation, augment, config.workers, device)
        for images, members in ((train, parts.train), (train, parts.val), (test, np.arange(len(test))))
    )
    return Data(train_part, val_part, test_part, parts.digest(fingerprint(train.paths, test.paths)))


def _augmentation(config: DataConfig) -> Augmentation:
    """The augmentation, without settings that the data set does not read."""
    info, augment = DATASETS[config.name], config.augment
    return Augmentation(
        crop=0 if config.name == "imagenet" else augment.crop,
        flip=augment.flip,
        cutout=0.0 if info.events else augment.cutout,
        white=info.white,
    )
