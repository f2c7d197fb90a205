"""Conversion of weights from and to checkpoints of the original OTTT-SNN implementation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ottt.errors import UserError, first_line
from ottt.files import damaged_member
from ottt.models.base import Network

COUNTER = "num_batches_tracked"


def reference_state_dict(net: Network) -> dict[str, Tensor]:
    """The parameters and buffers of `net` under the original's names.

    Raises:
        UserError: the original has no such network.
    """
    names = net.reference_names()
    return {names[ours]: value for ours, value in net.state_dict().items()}


def load_reference_weights(net: Network, source: str | Path | Mapping[str, Any]) -> None:
    """Copy the weights of an original checkpoint into `net`, which keeps its dtype and device.

    Args:
        net: a network that the original has too.
        source: a checkpoint file, read without running pickled code, or its content: a mapping with the state dict
            under `net`. Names can have the prefix `module.` of parallel training.

    Raises:
        UserError: no such network, no readable checkpoint, or keys or shapes that do not match; all are listed.
    """
    place = "checkpoint" if isinstance(source, Mapping) else str(source)
    content = source if isinstance(source, Mapping) else _read(Path(source))
    if not isinstance(content, Mapping) or not isinstance(content.get("net"), Mapping):
        raise UserError(f"{place}: must hold a state dict under 'net', as the original's checkpoints do")
    given = {str(name).removeprefix("module."): value for name, value in content["net"].items()}
    expected = reference_state_dict(net)
    # Batch normalisation counts its batches but does not use the number; old files lack it.
    given |= {name: value for name, value in expected.items() if name.endswith(COUNTER) and name not in given}
    problems = [f"{place}: {name} is missing" for name in expected if name not in given]
    problems += [f"{place}: {name} is left over" for name in given if name not in expected]
    problems += [
        f"{place}: {name} must have shape {list(value.shape)}, got {_shape(given[name])}"
        for name, value in expected.items()
        if name in given and _shape(given[name]) != list(value.shape)
    ]
    if problems:
        raise UserError(*problems)
    net.load_state_dict({ours: given[theirs] for ours, theirs in net.reference_names().items()})


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            if (member := damaged_member(file)) is not None:  # torch does not look at these sums
                raise ValueError(f"{member} does not have its CRC-32")
            file.seek(0)
            return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except MemoryError:
        raise
    except Exception as error:  # what damaged bytes raise in the readers of zip archives and pickles is not listed
        raise UserError(f"{path}: must be a checkpoint of tensors alone: {first_line(error)}") from error


def _shape(value: Any) -> list[int] | str:
    return list(value.shape) if isinstance(value, Tensor) else repr(value)
