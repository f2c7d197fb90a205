"""Reader of DVS128 Gesture (Amir et al. 2017): AEDAT 3.1 recordings of several gestures, cut by tables of labels."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from ottt.data.events import Events
from ottt.data.files import FILES, SourceFile, locate, verify
from ottt.data.frames import Framing, Recordings, cached_frames
from ottt.data.readers.aedat import parse_aedat3
from ottt.data.sets import Prepared
from ottt.errors import UserError

SENSOR = 128  # pixels, height and width
CLASSES = 11

_LISTS = ("trials_to_train.txt", "trials_to_test.txt")


@dataclass(frozen=True)
class _Table:
    """The gestures in one recording.

    Attributes:
        first: position of its first gesture among all samples.
        rows: class from 1, start, end (excluded) in microseconds, [K,3].
    """

    first: int
    rows: NDArray[np.int64]


def read_dvs128_gesture(
    root: Path, framing: Framing, *, files: tuple[SourceFile, ...] = FILES["dvs128_gesture"]
) -> Prepared:
    """The frames of the data set, [N,T,2,H,W]: gestures in the order of the published lists, training first.

    Args:
        root: folder of the data sets.
        framing: conversion to frames.
        files: the archive, then the table of gesture names.

    Raises:
        UserError: a file is missing, truncated or altered.
    """

    def open_recordings() -> Recordings:
        archive, mapping = locate("dvs128_gesture", root, files)
        verify(archive, files[0])
        verify(mapping, files[1])
        tables, train = _index(archive)
        labels = np.concatenate([table.rows[:, 0] for table in tables.values()]) - 1
        return Recordings(labels, train, lambda: _read(archive, tables))

    return cached_frames(root, "dvs128_gesture", framing, {"md5": [file.md5 for file in files]}, open_recordings)


def _index(archive: Path) -> tuple[dict[str, _Table], int]:
    """The gestures of each listed recording by its file name, and the number of training gestures."""
    texts = {
        PurePosixPath(name).name: content.decode() for name, content in _members(archive, (*_LISTS, "_labels.csv"))
    }
    tables: dict[str, _Table] = {}
    counts = [0]
    for listing in _LISTS:
        total = counts[-1]
        for recording in _text(archive, texts, listing).split():
            if recording in tables:
                raise UserError(f"{archive}: must list each recording once, got {recording} twice")
            table = f"{PurePosixPath(recording).stem}_labels.csv"
            rows = _rows(_text(archive, texts, table), f"{archive}/{table}")
            tables[recording] = _Table(total, rows)
            total += len(rows)
        counts.append(total)
    return tables, counts[1]


def _text(archive: Path, texts: dict[str, str], name: str) -> str:
    if name not in texts:
        raise UserError(f"{archive}: must contain {name}, found none")
    return texts[name]


def _rows(text: str, name: str) -> NDArray[np.int64]:
    """Class, start and end of each gesture, [K,3]."""
    try:
        rows = np.array([line.split(",") for line in text.split()[1:]], dtype=np.int64).reshape(-1, 3)
    except ValueError as error:
        raise UserError(f"{name}: must hold rows of three whole numbers: {error}") from error
    wrong = rows[(rows[:, 0] < 1) | (rows[:, 0] > CLASSES), 0]
    if len(wrong):
        raise UserError(f"{name}: class must be 1 to {CLASSES}, got {wrong[0]}")
    return rows


def _read(archive: Path, tables: dict[str, _Table]) -> Iterator[tuple[int, str, Events]]:
    seen = set()
    for path, content in _members(archive, (".aedat",)):
        recording = PurePosixPath(path).name
        if recording not in tables:
            continue
        if recording in seen:
            raise UserError(f"{archive}: must contain {recording} once, got it twice")
        seen.add(recording)
        name = f"{archive}/{path}"
        events = parse_aedat3(content, name)
        table = tables[recording]
        for offset, (_, start, end) in enumerate(table.rows):
            gesture = events.select((events.t >= start) & (events.t < end))
            if not len(gesture.t):
                raise UserError(f"{name}: must have events from {start} to {end} us, where a gesture is, got none")
            yield table.first + offset, name, gesture
    if missing := sorted(tables.keys() - seen):
        raise UserError(f"{archive}: must contain {missing[0]}, which is listed for training or testing")


def _members(archive: Path, endings: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the archive's files with one of these endings, in the archive's order."""
    with tarfile.open(archive, "r|gz") as tar:
        for member in tar:
            if member.name.endswith(endings) and (file := tar.extractfile(member)) is not None:
                yield member.name, file.read()
