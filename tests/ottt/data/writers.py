"""Writers of the published file formats, following their specifications value by value with `struct`."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ottt.data.events import Events
from ottt.data.files import SourceFile


def random_events(count: int, seed: int, *, size: int = 128) -> Events:
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, 2_000_000, count))
    return Events(t, rng.integers(0, size, count), rng.integers(0, size, count), rng.integers(0, 2, count))


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + b"".join(struct.pack(">I", n) for n in array.shape)
    return header + bytes(array.flatten().tolist())


def aedat2(events: Events) -> bytes:
    """The content of a CIFAR10-DVS recording: columns counted from the right, polarity inverted."""
    lines = b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n"
    words = [
        struct.pack(">II", (127 - x) << 1 | y << 8 | (1 - p), t)
        for t, x, y, p in zip(*(column.tolist() for column in events), strict=True)
    ]
    return lines + b"".join(words)


def packet(kind: int, events: list[bytes], *, size: int = 8, capacity: int | None = None, overflow: int = 0) -> bytes:
    room = len(events) if capacity is None else capacity
    header = struct.pack("<HHIIIIII", kind, 1, size, 4, overflow, room, len(events), len(events))
    return header + b"".join(events) + bytes(size * (room - len(events)))


def polarity(t: int, x: int, y: int, p: int, *, valid: int = 1) -> bytes:
    return struct.pack("<II", x << 17 | y << 2 | p << 1 | valid, t & 0x7FFFFFFF)


def aedat3(events: Events, *, per_packet: int = 1000) -> bytes:
    parts = [b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n"]
    rows = list(zip(*(column.tolist() for column in events), strict=True))
    start = 0
    while start < len(rows):
        overflow = rows[start][0] >> 31
        chunk = [row for row in rows[start : start + per_packet] if row[0] >> 31 == overflow]
        parts.append(packet(1, [polarity(*row) for row in chunk], overflow=overflow))
        start += len(chunk)
    return b"".join(parts)


def published(root: Path, path: str, content: bytes) -> SourceFile:
    """Write a file below `root` and return its description as a published one."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return SourceFile(path, f"https://example.org/{path}", hashlib.md5(content).hexdigest())


def tar_gz(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def cifar_batch(images: np.ndarray, labels: list[int], key: bytes) -> bytes:
    batch: dict[bytes, Any] = {b"data": images.reshape(len(images), -1), key: labels, b"batch_label": b"made"}
    return pickle.dumps(batch, protocol=2)


def packed(content: bytes) -> bytes:
    return gzip.compress(content)
