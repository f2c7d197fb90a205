"""Sweeps: spec, expansion into trials, runner on Ray Tune, writer of MLflow; and the `ottt` command.

`experiments.Sweep` is loaded on first use, so that the command starts without what it does not need.
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
