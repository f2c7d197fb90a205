"""Reader of Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): four IDX files, as published or as packaged by Debian."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ottt.data.cache import INPUTS, LABELS, cached
from ottt.data.files import FILES, SourceFile, check_md5, locate
from ottt.data.readers.idx import parse_idx, read_bytes
from ottt.data.sets import Prepared

# MD5 of each file of FILES after decompression: distributors compress the same content again.
CONTENTS = (
    "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "9018921c3c673c538a1fc5bad174d6f9",
    "8181f5470baa50b63fa0f6fddb340f0a",
    "15d484375f8d13e6eb1aabb0c3f46965",
)


def read_fashion_mnist(
    root: Path,
    *,
    files: tuple[SourceFile, ...] = FILES["fashion_mnist"],
    contents: tuple[str, ...] = CONTENTS,
) -> Prepared:
    """The data set as [N,1,28,28] uint8.

    Args:
        root: folder of the data sets.
        files: images and labels for training, then for testing.
        contents: MD5 of each after decompression.

    Raises:
        UserError: a file is missing, truncated or altered.
    """

    def build(folder: Path) -> int:
        arrays = [
            _read(path, file, md5)
            for path, file, md5 in zip(locate("fashion_mnist", root, files), files, contents, strict=True)
        ]
        train_images, train_labels, test_images, test_labels = arrays
        np.save(folder / INPUTS, np.concatenate([train_images, test_images])[:, None])
        np.save(folder / LABELS, np.concatenate([train_labels, test_labels]).astype(np.int64))
        return len(train_labels)

    return cached(root, "fashion_mnist", {"contents": list(contents)}, build)


def _read(path: Path, file: SourceFile, md5: str) -> NDArray[np.uint8]:
    content = read_bytes(path)
    check_md5(path, hashlib.md5(content, usedforsecurity=False).hexdigest(), file, expected=md5)
    return parse_idx(content, str(path))
