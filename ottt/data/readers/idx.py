"""Parser of IDX files (the format of MNIST): a typed array preceded by its shape, plain or gzipped."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ottt.errors import UserError, first_line

_UINT8 = 0x08
_GZIP = b"\x1f\x8b"


def read_bytes(path: Path) -> bytes:
    """Content of `path`, decompressed if it is gzipped.

    Raises:
        UserError: the gzip file is damaged.
    """
    raw = path.read_bytes()
    if not raw.startswith(_GZIP):
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: must be a whole gzip file, got a damaged one: {first_line(error)}") from error


def parse_idx(content: bytes, name: str) -> NDArray[np.uint8]:
    """The array in an IDX file of unsigned bytes.

    Layout: two zero bytes, type, number of axes, the length of each axis as big-endian 32 bits, the values.

    Args:
        content: decompressed content of the file.
        name: name of the file, for errors.

    Raises:
        UserError: another type, or a number of values that does not match the header.
    """
    if len(content) < 4 or content[:3] != bytes((0, 0, _UINT8)):
        raise UserError(f"{name}: must start with 00 00 08 (IDX of bytes), got {content[:3].hex(' ') or 'nothing'}")
    axes = content[3]
    start = 4 + 4 * axes
    if len(content) < start:
        raise UserError(f"{name}: must have a header of {start} bytes, got {len(content)}")
    shape = np.frombuffer(content, ">u4", axes, offset=4).tolist()
    if len(content) - start != math.prod(shape):
        raise UserError(f"{name}: must hold {math.prod(shape)} values, got {len(content) - start}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
