"""Settings that give another result since an earlier version of this package.

The identity of a trial that reads one names its revision, so that an earlier result is never taken for a new one.
"""

from collections.abc import Callable, Mapping
from typing import Any

Settings = Mapping[str, Any]

CLAMP = "quasi_clamp: 2"  # a window of half-width alpha and height 1; before: a soft rectangle that alpha narrowed
SUMS = "sums in fp32: 2"  # over time, of the gradients of bf16 and fp16 kernels; before: in their own precision


def _sums_over_time(flat: Settings) -> bool:
    """Whether an update sums the gradients of several time steps."""
    one_step = flat["rule.name"] == "sltt_k" and flat["rule.k"] == 1
    return flat["rule.update"] == "accumulate" and flat["data.frames.train_steps"] > 1 and not one_step


_REVISIONS: dict[str, Callable[[Settings], bool]] = {
    CLAMP: lambda flat: bool(flat["neuron.surrogate.name"] == "quasi_clamp"),
    SUMS: lambda flat: flat["precision"] in {"bf16", "fp16"} and _sums_over_time(flat),
}


def revisions(flat: Settings) -> list[str]:
    """The revisions that act on a trial.

    Args:
        flat: all its settings by dotted key, with `data.frames.train_steps` resolved to the time steps in training.
    """
    return [name for name, acts in _REVISIONS.items() if acts(flat)]
