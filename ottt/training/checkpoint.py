"""Writing and reading of checkpoints: the newest and the previous one, each replaced atomically.

If the newest file cannot be read (a disk error, an incomplete copy), the previous one is used, with a warning.
"""

import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch

from ottt.errors import UserError, first_line
from ottt.files import replacing

NEWEST = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"


class DamagedCheckpointWarning(UserWarning):
    """The newest checkpoint could not be read, so the previous one was used."""


def write_checkpoint(folder: Path, state: dict[str, Any]) -> Path:
    """Write `state` (tensors and plain values) into `folder`, keep the previous checkpoint, and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    newest = folder / NEWEST
    with replacing(newest) as partial:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        if newest.exists():
            newest.replace(folder / PREVIOUS)
    return newest


def read_checkpoint(source: Path) -> dict[str, Any]:
    """Read a checkpoint of `write_checkpoint`, without running pickled code.

    Args:
        source: the folder, or one file.

    Raises:
        UserError: there is no readable checkpoint.
    """
    candidates = [source / NEWEST, source / PREVIOUS] if source.is_dir() else [source]
    present = [path for path in candidates if path.is_file()]
    if not present:
        raise UserError(
            f"{source}: must hold {NEWEST}, found none" if source.is_dir() else f"{source}: no such file or folder"
        )
    problems: list[str] = []
    for path in present:
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
            problems.append(f"{path}: damaged: {first_line(error)}")
            continue
        if problems:
            warnings.warn(f"{problems[0]}; resuming from {path.name}", DamagedCheckpointWarning, stacklevel=2)
        return state
    raise UserError(*problems)
