"""Parsers of AEDAT 2.0 and 3.1, the recording formats of the jAER and cAER software for event cameras.

Events stay in the order of the file, whatever their timestamps.
"""

import numpy as np
from numpy.typing import NDArray

from ottt.data.events import Events
from ottt.errors import UserError

_END_OF_HEADER = b"#!END-HEADER"
_PACKET = np.dtype(
    [
        ("type", "<u2"),
        ("source", "<u2"),
        ("size", "<u4"),  # bytes per event
        ("offset", "<u4"),
        ("overflow", "<u4"),  # number of overflows of the 31-bit timestamps
        ("capacity", "<u4"),
        ("number", "<u4"),
        ("valid", "<u4"),
    ]
)
_POLARITY = 1  # packet type


def parse_aedat2(content: bytes, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Addresses and timestamps (microseconds), [N] each; the meaning of an address depends on the sensor.

    Layout: lines that start with `#`, then big-endian 32-bit pairs.

    Raises:
        UserError: no events, or an incomplete pair at the end.
    """
    start = 0
    while content[start : start + 1] == b"#":
        start = content.find(b"\n", start) + 1 or len(content)
    size = len(content) - start
    if size == 0 or size % 8 != 0:
        raise UserError(f"{name}: must hold events of 8 bytes after its header, got {size} bytes")
    pairs = np.frombuffer(content, ">u4", offset=start).astype(np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def parse_aedat3(content: bytes, name: str) -> Events:
    """The valid polarity events of an AEDAT 3.1 file.

    Layout: lines that start with `#`, the last `#!END-HEADER`; then packets, each a header and `capacity` events, of
    which the first `number` are filled. Packets of other types are skipped.

    Raises:
        UserError: no end of the header, an incomplete packet, or a timestamp of more than 31 bits.
    """
    marker = content.find(_END_OF_HEADER)
    if not content.startswith(b"#") or marker < 0:
        raise UserError(f"{name}: must have a header that ends with {_END_OF_HEADER.decode()}, found none")
    position = content.find(b"\n", marker) + 1 or len(content)
    words, times = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    while position < len(content):
        data_position = position + _PACKET.itemsize
        header = _header(content, position, name)
        position = data_position + int(header["capacity"]) * int(header["size"])
        if position > len(content):
            raise UserError(f"{name}: must hold {position} bytes for its last packet, got {len(content)}")
        if header["type"] == _POLARITY:
            data, stamps = _polarity(content, data_position, header, name)
            words.append(data)
            times.append(stamps)
    data_N, t_N = np.concatenate(words), np.concatenate(times)
    events = Events(t_N, (data_N >> 17) & 0x7FFF, (data_N >> 2) & 0x7FFF, (data_N >> 1) & 1)
    return events.select((data_N & 1).astype(bool))


def _header(content: bytes, position: int, name: str) -> np.void:
    if len(content) - position < _PACKET.itemsize:
        raise UserError(f"{name}: must hold a packet header of {_PACKET.itemsize} bytes at {position}, got the end")
    header: np.void = np.frombuffer(content, _PACKET, 1, offset=position)[0]
    return header


def _polarity(content: bytes, position: int, header: np.void, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Data words and timestamps of the filled events of a packet."""
    size, number, capacity = int(header["size"]), int(header["number"]), int(header["capacity"])
    if size < 8 or number > capacity:
        raise UserError(
            f"{name}: packet at {position} must hold at most {capacity} events of >= 8 bytes, got {number} of {size}"
        )
    rows = np.frombuffer(content, np.uint8, number * size, offset=position).reshape(number, size)
    pairs = np.ascontiguousarray(rows[:, :8]).view("<u4").astype(np.int64)
    is_valid = (pairs[:, 0] & 1).astype(bool)
    if len(wrong := pairs[is_valid & (pairs[:, 1] >> 31 != 0), 1]):
        raise UserError(f"{name}: packet at {position} must have timestamps of 31 bits, got {wrong[0]}")
    return pairs[:, 0], pairs[:, 1] + (int(header["overflow"]) << 31)
