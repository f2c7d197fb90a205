"""Reader of CIFAR10-DVS (Li, Liu, Ji, Li, Shi 2017): ten archives of 1,000 AEDAT 2.0 recordings each, not unpacked."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from ottt.data.events import Events
from ottt.data.files import FILES, SourceFile, locate, verify
from ottt.data.frames import Framing, Recordings, cached_frames
from ottt.data.readers.aedat import parse_aedat2
from ottt.data.sets import Prepared
from ottt.errors import UserError

SENSOR = 128  # pixels, height and width
PER_CLASS = 1000  # recordings per class
TRAIN_PER_CLASS = 900  # training recordings per class, the first by number

_RECORDING = re.compile(r"[^.].*_(\d+)\.aedat")


def read_cifar10_dvs(
    root: Path,
    framing: Framing,
    *,
    files: tuple[SourceFile, ...] = FILES["cifar10_dvs"],
    per_class: int = PER_CLASS,
    train_per_class: int = TRAIN_PER_CLASS,
) -> Prepared:
    """The frames of the data set, [N,T,2,H,W]: training recordings class by class, then test recordings.

    Args:
        root: folder of the data sets.
        framing: conversion to frames.
        files: one archive per class.
        per_class: number of recordings in each.
        train_per_class: number of training recordings in each, the first by number.

    Raises:
        UserError: an archive is missing, truncated or altered, or lacks a recording.
    """

    def open_recordings() -> Recordings:
        archives = locate("cifar10_dvs", root, files)
        for path, file in zip(archives, files, strict=True):
            verify(path, file)
        parts = ((0, train_per_class), (train_per_class, per_class))
        order = [(k, number) for part in parts for k in range(len(files)) for number in range(*part)]
        labels = np.array([k for k, _ in order], dtype=np.int64)
        return Recordings(labels, len(files) * train_per_class, lambda: _read(archives, order))

    source = {"md5": [file.md5 for file in files], "per_class": per_class, "train_per_class": train_per_class}
    return cached_frames(root, "cifar10_dvs", framing, source, open_recordings)


def parse_recording(content: bytes, name: str) -> Events:
    """The events of one recording.

    Address bits 1-7 are the column from the right, bits 8-14 the row, and bit 0 the inverted polarity.

    Raises:
        UserError: the file is damaged.
    """
    address, t = parse_aedat2(content, name)
    return Events(t, 127 - ((address & 0xFE) >> 1), (address & 0x7F00) >> 8, 1 - (address & 1))


def _read(archives: list[Path], order: list[tuple[int, int]]) -> Iterator[tuple[int, str, Events]]:
    positions = {key: position for position, key in enumerate(order)}
    for label, path in enumerate(archives):
        with zipfile.ZipFile(path) as archive:
            members = _by_number(archive, path)
            for number in (number for k, number in order if k == label):
                if number not in members:
                    raise UserError(f"{path}: must contain recording {number}, found {len(members)} others")
                name = f"{path}/{members[number]}"
                yield positions[label, number], name, parse_recording(archive.read(members[number]), name)


def _by_number(archive: zipfile.ZipFile, path: Path) -> dict[int, str]:
    """Names of the recordings; hidden files, which some systems add to archives, are none."""
    found: dict[int, str] = {}
    for name in archive.namelist():
        match = _RECORDING.fullmatch(PurePosixPath(name).name)
        if match is None:
            continue
        if (other := found.setdefault(int(match[1]), name)) != name:
            raise UserError(f"{path}: must contain each recording once, got {other} and {name}")
    return found
