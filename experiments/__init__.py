"""Sweeps: specs, their trials, the driver on Ray Tune, MLflow; and the `ottt` command.

`experiments.Sweep` is imported on first use, so that the command starts fast.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.sweep import Sweep as Sweep

__all__ = ["Sweep"]


def __getattr__(name: str) -> Any:
    if name != "Sweep":
        raise AttributeError(f"module 'experiments' has no attribute {name!r}")
    from experiments.sweep import Sweep

    return Sweep
