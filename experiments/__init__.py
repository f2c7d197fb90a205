"""Sweeps: specs, their trials, the driver on Ray Tune, MLflow; and the `ottt` command.

Public names are imported on first use, so that the command starts fast.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.sweep import Sweep as Sweep
    from experiments.worker.own_tuner import Trainable as Trainable

_HOMES = {"Sweep": "experiments.sweep", "Trainable": "experiments.worker.own_tuner"}

__all__ = ["Sweep", "Trainable"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'experiments' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def _refuse_mixture() -> None:
    """Stop where Python would import `ottt` or `analysis` from another place than this package.

    Raises:
        ImportError: a file or folder of that name lies on Python's path before the right one.
        SystemExit: the same, with a line on stderr, for the command.
    """
    place = Path(__file__).resolve().parents[1]
    for name in ("ottt", "analysis"):
        spec = find_spec(name)
        origin = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        if origin != place / name / "__init__.py":
            problem = f"{name} must be the package in {place}, got {origin}: rename it, or leave its folder"
            if Path(sys.argv[0]).name in ("ottt", "-m"):
                print(f"error: {problem}", file=sys.stderr)
                raise SystemExit(2)
            raise ImportError(problem)


_refuse_mixture()
