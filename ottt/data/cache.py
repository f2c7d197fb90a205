"""Cache of prepared arrays on disk: built once, memory-mapped by every process that reads them.

An entry is a folder whose name contains a hash of everything that determines its arrays. It appears atomically; a
process killed while writing leaves only a `.partial` folder, which readers ignore and the next writer removes.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ottt.data.sets import Prepared
from ottt.errors import UserError, first_line
from ottt.files import locked

FOLDER = "cache"  # below data.root
VERSION = 1  # version of the files' content; increase it when preparation changes

INPUTS, LABELS, META = "inputs.npy", "labels.npy", "meta.json"

Build = Callable[[Path], int]  # writes INPUTS and LABELS into a folder; returns the number of training samples


def cached(root: Path, name: str, facts: Mapping[str, Any], build: Build) -> Prepared:
    """The arrays written by `build`, from the cache if possible.

    Args:
        root: folder of the data sets.
        name: name of the data set.
        facts: everything that determines the arrays, as JSON values.
        build: function that writes the arrays; concurrent processes call it once.

    Raises:
        UserError: the cache cannot be written, or an entry is damaged.
    """
    entry = root / FOLDER / f"{name}-{_key(facts)}"
    if not entry.is_dir():
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            with locked(entry.with_name(f"{entry.name}.lock")):
                if not entry.is_dir():
                    _write(entry, facts, build)
        except OSError as error:
            raise UserError(f"{entry}: cannot be written: {error.strerror or first_line(error)}") from error
    return _read(entry)


def _write(entry: Path, facts: Mapping[str, Any], build: Build) -> None:
    partial = entry.with_name(f"{entry.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        train = build(partial)
        meta = {"facts": dict(facts), "train": train, "digest": _digest(partial)}
        (partial / META).write_text(json.dumps(meta, indent=2), encoding="utf-8")
        for path in (*partial.iterdir(), partial):
            _flush(path)
        partial.rename(entry)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    _flush(entry.parent)


def _read(entry: Path) -> Prepared:
    # Copy-on-write maps: processes share the pages, and changes never reach the file.
    try:
        meta = json.loads((entry / META).read_text(encoding="utf-8"))
        inputs = np.load(entry / INPUTS, mmap_mode="c")
        labels = np.load(entry / LABELS)
    except (OSError, ValueError) as error:
        raise UserError(f"{entry}: damaged, delete it to have it made again: {first_line(error)}") from error
    return Prepared(inputs, labels, meta["train"], meta["digest"])


def _key(facts: Mapping[str, Any]) -> str:
    canonical = json.dumps({"version": VERSION, **facts}, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _digest(folder: Path) -> str:
    digests = []
    for name in (INPUTS, LABELS):
        with (folder / name).open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
