"""Reader of CIFAR-10 and CIFAR-100 (Krizhevsky 2009) from the published archives."""

import pickle
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ottt.data.cache import INPUTS, LABELS, cached
from ottt.data.files import FILES, SourceFile, locate, verify
from ottt.data.sets import Prepared
from ottt.errors import UserError


@dataclass(frozen=True)
class _Layout:
    """Content of the archive of one of the two data sets.

    Attributes:
        train: members with training samples.
        test: members with test samples.
        labels: key of the labels.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    labels: bytes


_LAYOUTS = {
    "cifar10": _Layout(
        tuple(f"cifar-10-batches-py/data_batch_{i}" for i in range(1, 6)),
        ("cifar-10-batches-py/test_batch",),
        b"labels",
    ),
    "cifar100": _Layout(("cifar-100-python/train",), ("cifar-100-python/test",), b"fine_labels"),
}


def read_cifar(root: Path, name: str, *, file: SourceFile | None = None) -> Prepared:
    """The data set as [N,3,32,32] uint8.

    Args:
        root: folder of the data sets.
        name: cifar10 | cifar100.
        file: archive to read instead of the published one.

    Raises:
        UserError: the archive is missing, truncated or altered.
    """
    (published,) = FILES[name]
    source = file or published

    def build(folder: Path) -> int:
        (path,) = locate(name, root, (source,))
        verify(path, source)
        layout = _LAYOUTS[name]
        batches = _members(path, (*layout.train, *layout.test))
        np.save(folder / INPUTS, np.concatenate([batch[b"data"] for batch in batches]).reshape(-1, 3, 32, 32))
        labels = [np.asarray(batch[layout.labels], dtype=np.int64) for batch in batches]
        np.save(folder / LABELS, np.concatenate(labels))
        return sum(len(part) for part in labels[: len(layout.train)])

    return cached(root, name, {"md5": source.md5}, build)


def _members(archive: Path, names: tuple[str, ...]) -> list[dict[bytes, Any]]:
    """The pickled members of an archive whose checksum was verified."""
    found: dict[str, dict[bytes, Any]] = {}
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.name in names else None
            if content is not None:
                found[member.name] = pickle.load(content, encoding="bytes")
    if missing := [name for name in names if name not in found]:
        raise UserError(f"{archive}: must contain {', '.join(missing)}")
    return [found[name] for name in names]
