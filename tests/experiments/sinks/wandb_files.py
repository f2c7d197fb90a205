"""Reads the file of a run of Weights & Biases: a log in LevelDB's format, of records of its own protocol.

The format: https://github.com/google/leveldb/blob/main/doc/log_format.md, after a header of W&B's.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK = 32_768  # bytes
_HEADER = struct.Struct("<IHB")  # CRC-32C, length, kind
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


@dataclass
class Run:
    """What a file holds: the run, its settings, and its metrics in the order in which they were logged."""

    id: str = ""
    name: str = ""
    group: str = ""
    project: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    rows: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    exit_code: int | None = None


def read(path: Path) -> Run:
    """The run in a `.wandb` file, as far as it was written."""
    run = Run()
    for text in _records(path.read_bytes()):
        record = Record.FromString(text)
        match record.WhichOneof("record_type"):
            case "run":
                one = record.run
                run.id, run.name, run.group, run.project = one.run_id, one.display_name, one.run_group, one.project
                run.config |= {item.key: json.loads(item.value_json) for item in one.config.update}
            case "history":
                values = {
                    ".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item
                }
                metrics = {key: value for key, value in values.items() if not key.startswith("_")}
                run.rows.append((record.history.step.num, metrics))
            case "exit":
                run.exit_code = record.exit.exit_code
    return run


def _records(content: bytes) -> Iterator[bytes]:
    assert content[:4] == b":W&B"
    position, parts = 7, b""
    while position + _HEADER.size <= len(content):
        room = BLOCK - position % BLOCK
        if room < _HEADER.size:  # too little for a header: zeros
            position += room
            continue
        _, length, kind = _HEADER.unpack_from(content, position)
        position += _HEADER.size
        parts += content[position : position + length]
        position += length
        if kind in (_FULL, _LAST):
            yield parts
            parts = b""
