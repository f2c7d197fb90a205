"""Reader of data sets of the package tonic, by its classes; nothing is downloaded.

The archives are those that tonic would download, in the folder in which it would have them: `data.root`/NAME. tonic
unpacks them there and parses the recordings; the order of the samples is that of their paths, the same on every disk.
"""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ottt.data.events import Events
from ottt.data.files import FILES, SourceFile, locate, verify
from ottt.data.frames import Framing, Recordings, cached_frames
from ottt.data.sets import Prepared
from ottt.errors import UserError, first_line

PREFIX = "tonic:"
PARTS = (True, False)  # of tonic's argument `train`: training, then test


def read_tonic(name: str, root: Path, framing: Framing, *, files: tuple[SourceFile, ...] | None = None) -> Prepared:
    """The frames of the data set, [N,T,2,H,W], training first.

    Args:
        name: its name here, PREFIX and the name of tonic's class.
        root: folder of the data sets.
        framing: conversion to frames.
        files: the archives of both parts; None: those that tonic names.

    Raises:
        UserError: tonic is not installed; or a file is missing, truncated or altered.
    """
    sets, archives = _tonic(name), FILES[name] if files is None else files

    def open_recordings() -> Recordings:
        for path, file in zip(locate(name, root, archives), archives, strict=True):
            verify(path, file)
        parts = [_opened(getattr(sets, name.removeprefix(PREFIX)), root, train=train) for train in PARTS]
        labels = np.array([part.targets[i] for part in parts for i in _order(part)], dtype=np.int64)
        return Recordings(labels, len(parts[0]), lambda: _read(parts))

    source = {"tonic": version("tonic"), "md5": [file.md5 for file in archives]}
    return cached_frames(root, name.replace(":", "-"), framing, source, open_recordings)


def _tonic(name: str) -> ModuleType:
    try:
        import tonic.datasets
    except ImportError as error:
        raise UserError(
            f"data.name={name} needs tonic: pip install 'ottt-lab[neuromorphic]' ({first_line(error)})"
        ) from error
    sets: ModuleType = tonic.datasets
    return sets


def _opened(kind: type, root: Path, *, train: bool) -> Any:
    """A part of the data set. Where tonic would download, the archive, which was checked, is unpacked instead."""
    from tonic.download_utils import extract_archive

    def unpack(self: Any) -> None:
        extract_archive(str(Path(self.location_on_system) / self.filename), self.location_on_system)

    # tonic names the folder after the class.
    return type(kind.__name__, (kind,), {"download": unpack})(save_to=str(root), train=train)


def _order(part: Any) -> list[int]:
    """Positions of the samples in the order of their paths."""
    return sorted(range(len(part)), key=lambda i: str(part.data[i]))


def _read(parts: list[Any]) -> Iterator[tuple[int, str, Events]]:
    position = 0
    for part in parts:
        for i in _order(part):
            try:
                events, _ = part[i]
            except (IndexError, OSError, ValueError) as error:
                raise UserError(f"{part.data[i]}: must be a recording as published: {first_line(error)}") from error
            yield position, str(part.data[i]), Events(*(events[column].astype(np.int64) for column in Events._fields))
            position += 1
