"""Data frames like those of `analysis.load.runs`, made without a store."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import pytest

MakeRuns = Callable[..., pd.DataFrame]


def _make_runs(
    values: Mapping[tuple[Any, ...], Sequence[float | str]],
    axes: Sequence[str] = ("rule.update", "neuron.tau"),
    baseline: Mapping[str, Any] | None = None,
    metric: str = "test/top1",
) -> pd.DataFrame:
    """One variant per key, its settings; per seed the metric of a finished trial, or the status of another."""
    rows = []
    for settings, seeds in values.items():
        label = " ".join(f"{axis}={value}" for axis, value in zip(axes, settings, strict=True))
        for seed, value in enumerate(seeds):
            finished = not isinstance(value, str)
            row = {"trial": f"{label} {seed}", "variant": f"hash of {label}", "label": label, "seed": seed}
            row |= {"status": "finished" if finished else value, metric: value if finished else 0.5}
            rows.append(row | dict(zip(axes, settings, strict=True)))
    frame = pd.DataFrame(rows)
    for axis in axes:
        frame[axis] = pd.Series([row[axis] for row in rows], dtype=object)
    frame.attrs = {"sweep": "demo", "axes": list(axes), "baseline": baseline}
    return frame


@pytest.fixture
def make_runs() -> MakeRuns:
    return _make_runs
