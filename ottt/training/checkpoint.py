"""Writing and reading of checkpoints: the newest and the previous one, each replaced atomically.

A checkpoint is a file of `torch.save`, a zip archive. The comment at the end of the archive holds the SHA-256 of
everything before the digest, and the state holds FORMAT, so that a file whose comment was damaged is not taken for an
earlier one without a comment. Those, and the original implementation's, are checked by the sums of the archive's parts.

If the newest file cannot be used (a disk error, an incomplete copy), the previous one is, with a warning.
"""

import hashlib
import os
import struct
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ottt.errors import UserError, first_line
from ottt.files import damaged_member, replacing

NEWEST = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"
FORMAT = "checksummed"  # key of the states whose file must have a comment with a digest

_LABEL = b"ottt-sha256:"
_DIGEST = 64  # hex digits
_COMMENT = len(_LABEL) + _DIGEST
_END = struct.Struct("<4s16xH")  # end of a zip archive without a comment: signature, and the comment's length
_SIGNATURE = b"PK\x05\x06"
_CHUNK = 1 << 20  # bytes read at once

State = dict[str, Any]

# What a trial's state holds.
_PARTS: dict[str, type | tuple[type, ...]] = {
    "trial": str,
    "config": dict,
    "epoch": int,
    "net": dict,
    "optimizer": dict,
    "schedule": dict,
    "scaler": (dict, type(None)),
    "order": Tensor,
    "masks": Tensor,
    "augmentation": Tensor,
}


class DamagedCheckpointWarning(UserWarning):
    """The newest checkpoint could not be used, so the previous one was."""


class UnusableState(Exception):
    """A file that is damaged, is no checkpoint, or does not fit; the message is the rest of a line about the file."""


def write_checkpoint(folder: Path, state: Mapping[str, Any]) -> Path:
    """Write `state` (tensors and plain values) into `folder`, keep the previous checkpoint, and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    newest = folder / NEWEST
    with replacing(newest) as partial:
        with partial.open("w+b") as file:
            _save({**state, FORMAT: True}, file)
            _seal(file)
        if newest.exists():
            newest.replace(folder / PREVIOUS)
    return newest


def read_checkpoint(source: Path, *, use: Callable[[State], None] | None = None) -> State:
    """Read a checkpoint of `write_checkpoint`, or one of the original implementation, without running pickled code.

    Args:
        source: the folder, or one file.
        use: function that takes the state; if it raises `UnusableState`, the previous checkpoint of the folder is used.

    Raises:
        UserError: there is no usable checkpoint; one line per file.
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
            state = _read(path)
            if use is not None:
                use(state)
        except UnusableState as error:
            problems.append(f"{path}: {error}")
            continue
        if problems:
            warnings.warn(f"{problems[0]}; using {path.name}", DamagedCheckpointWarning, stacklevel=2)
        return state
    raise UserError(*problems)


def restore(
    state: State,
    *,
    net: nn.Module,
    optimizer: Optimizer,
    schedule: LRScheduler,
    scaler: GradScaler | None,
    generators: Mapping[str, torch.Generator],
) -> None:
    """Load a trial's state into the parts of its trainer.

    Raises:
        UnusableState: the state does not fit; some parts can have been loaded.
    """
    load_weights(net, state["net"])
    _load_optimizer(optimizer, state["optimizer"])
    unknown = state["schedule"].keys() - schedule.state_dict().keys()
    if unknown or state["schedule"].get("last_epoch") != state["epoch"]:
        raise UnusableState(f"schedule must be after epoch {state['epoch']}, got {str(state['schedule'])[:60]}")
    schedule.load_state_dict(state["schedule"])
    try:
        if scaler is not None:
            scaler.load_state_dict(state["scaler"])
        for name, generator in generators.items():
            generator.set_state(state[name])
    except (KeyError, RuntimeError, TypeError) as error:
        raise UnusableState(f"must be of this precision and kind of device: {first_line(error)}") from error


def load_weights(net: nn.Module, weights: Mapping[str, Any]) -> None:
    """Load the parameters and buffers of a checkpoint into `net`.

    Raises:
        UnusableState: one is missing, is left over, or has another shape; `net` is unchanged.
    """
    own = net.state_dict()
    for name in [*own, *(name for name in weights if name not in own)]:
        expected, got = _shape(own.get(name)), _shape(weights.get(name))
        if expected != got:
            raise UnusableState(f"{name} must be {expected} in this network, got {got}")
    net.load_state_dict(weights)


def _load_optimizer(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    settings = [sorted(group) for group in optimizer.state_dict()["param_groups"]]
    try:
        if settings != [sorted(group) for group in state["param_groups"]]:
            raise UnusableState("optimizer must be of the same kind, got one with other settings")
        optimizer.load_state_dict(dict(state))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnusableState(f"optimizer must fit the network: {first_line(error)}") from error
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.dim() and value.shape != parameter.shape:
                raise UnusableState(f"optimizer.{name} must be {_shape(parameter)}, got {_shape(value)}")


def _save(state: Mapping[str, Any], file: BinaryIO) -> None:
    """`torch.save`, whose own error would hide that of the file system."""
    try:
        torch.save(state, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def _seal(file: BinaryIO) -> None:
    """Give the zip archive in `file` the comment with its digest."""
    file.seek(-_END.size, os.SEEK_END)
    assert _END.unpack(file.read()) == (_SIGNATURE, 0), "torch.save must write a zip archive without a comment"
    file.seek(-2, os.SEEK_END)
    file.write(struct.pack("<H", _COMMENT) + _LABEL)
    length = file.tell()
    file.seek(0)
    digest = _digest_of(file, length)
    file.seek(length)
    file.write(digest.encode())


def _read(path: Path) -> State:
    """The state in a file, whose content is checked.

    Raises:
        UnusableState: the file cannot be read, is damaged, or holds no state.
    """
    try:
        with path.open("rb") as file:
            checked = _has_digest(file)
            if not checked and (member := damaged_member(file)) is not None:  # torch does not look at these sums
                raise UnusableState(f"damaged: {member} does not have its CRC-32")
            file.seek(0)
            state = torch.load(file, map_location="cpu", weights_only=True)
    except (UnusableState, MemoryError):
        raise
    except Exception as error:  # what damaged bytes raise in the readers of zip archives and pickles is not listed
        raise UnusableState(f"damaged, or no checkpoint: {first_line(error)}") from error
    if not isinstance(state, dict):
        raise UnusableState(f"must hold a mapping, got a {type(state).__name__}")
    if FORMAT in state and not checked:
        raise UnusableState("damaged: the SHA-256 at its end is missing")
    if FORMAT in state or "trial" in state:
        _check_state(state)
    return state


def _has_digest(file: BinaryIO) -> bool:
    """Whether the file ends with its digest; False if with none."""
    size = file.seek(0, os.SEEK_END)
    if size < _COMMENT + _END.size:
        return False
    file.seek(size - _COMMENT)
    comment = file.read()
    if not comment.startswith(_LABEL):
        return False
    file.seek(0)
    digest = _digest_of(file, size - _DIGEST)
    if comment.removeprefix(_LABEL) != digest.encode():
        raise UnusableState("damaged: its content does not have the SHA-256 at its end")
    return True


def _digest_of(file: BinaryIO, length: int) -> str:
    """SHA-256 of the next `length` bytes, in hex; the file is not held in memory."""
    digest = hashlib.sha256()
    while length > 0 and (chunk := file.read(min(length, _CHUNK))):
        digest.update(chunk)
        length -= len(chunk)
    return digest.hexdigest()


def _check_state(state: State) -> None:
    """Check that a trial's state has all parts, of their types."""
    for part, kind in _PARTS.items():
        if part not in state:
            raise UnusableState(f"must hold {part!r}, found none")
        if not isinstance(state[part], kind) or isinstance(state[part], bool):
            raise UnusableState(f"{part} must be of another type, got {str(state[part])[:60]!r}")
    epoch, epochs = state["epoch"], state["config"].get("epochs")
    if not isinstance(epochs, int) or not 0 <= epoch <= epochs:
        raise UnusableState(f"epoch must be 0 to {epochs}, its trial's epochs, got {epoch}")


def _shape(value: object) -> str:
    if value is None:
        return "absent"
    return f"of shape {list(value.shape)}" if isinstance(value, Tensor) else "no tensor"
