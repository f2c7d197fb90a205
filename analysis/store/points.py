"""Points of metrics, stored as columns: values of many runs and metrics over epochs."""

import math
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Points:
    """N values of metrics over epochs, in no order; a point that was logged twice occurs twice.

    Attributes:
        run: index into `runs`, [N].
        metric: index into `metrics`, [N].
        epoch: epoch, [N].
        timestamp: time of logging in ms since 1970, [N].
        value: value, [N].
        runs: ids of the runs.
        metrics: names of the metrics.
    """

    run: NDArray[np.int64]
    metric: NDArray[np.int64]
    epoch: NDArray[np.int64]
    timestamp: NDArray[np.int64]
    value: NDArray[np.float64]
    runs: tuple[str, ...]
    metrics: tuple[str, ...]

    def sorted_unique(self, order: Mapping[str, int]) -> "Points":
        """Sorted by run (in `order`), metric and epoch; of points logged twice, those logged last."""
        positions = np.array([order[run] for run in self.runs], dtype=np.int64)
        ranks = np.argsort(np.argsort(np.array(self.metrics, dtype=object)))
        metric_rank = ranks[self.metric] if self.metrics else self.metric
        curve = positions[self.run] * len(self.metrics) + metric_rank
        sorting = np.lexsort((self.epoch, curve))
        is_repeated = (np.diff(curve[sorting]) == 0) & (np.diff(self.epoch[sorting]) == 0)
        if is_repeated.any():  # only then: two more keys add half to the time
            sorting = np.lexsort((self.value, self.timestamp, self.epoch, curve))
        is_last = np.ones(len(curve), dtype=bool)
        is_last[:-1] = ~is_repeated
        return self._rows(sorting[is_last])

    def of_runs(self, runs: Collection[str]) -> "Points":
        """The points of some runs; the others are also dropped from `runs`."""
        kept = tuple(run for run in self.runs if run in runs)
        run = _renumbered(self.run, self.runs, kept)
        return replace(self, run=run, runs=kept)._rows(run >= 0)

    def joined(self, other: "Points") -> "Points":
        """These points and those of `other`."""
        runs = tuple(dict.fromkeys((*self.runs, *other.runs)))
        metrics = tuple(dict.fromkeys((*self.metrics, *other.metrics)))
        return Points(
            np.concatenate([_renumbered(points.run, points.runs, runs) for points in (self, other)]),
            np.concatenate([_renumbered(points.metric, points.metrics, metrics) for points in (self, other)]),
            np.concatenate([self.epoch, other.epoch]),
            np.concatenate([self.timestamp, other.timestamp]),
            np.concatenate([self.value, other.value]),
            runs,
            metrics,
        )

    def _rows(self, which: NDArray[Any]) -> "Points":
        """The points at some indices, or where a mask is True."""
        return replace(
            self,
            run=self.run[which],
            metric=self.metric[which],
            epoch=self.epoch[which],
            timestamp=self.timestamp[which],
            value=self.value[which],
        )


class PointCollector:
    """Collects points in batches."""

    def __init__(self) -> None:
        self._runs: dict[str, int] = {}
        self._metrics: dict[str, int] = {}
        self._batches: list[tuple[NDArray[Any], ...]] = []

    def add(
        self,
        runs: Sequence[str],
        metrics: Sequence[str],
        epochs: Sequence[int],
        timestamps: Sequence[int],
        values: Sequence[float | None],
    ) -> None:
        """Add points as columns, with values as a database holds them; see `restored`."""
        self._batches.append(
            (
                _indices(runs, self._runs),
                _indices(metrics, self._metrics),
                np.array(epochs, dtype=np.int64),
                np.array(timestamps, dtype=np.int64),
                _restored(np.array(values, dtype=np.float64)),
            )
        )

    def points(self) -> Points:
        """All points that were added."""
        empty = tuple(np.empty(0, dtype=kind) for kind in (np.int64, np.int64, np.int64, np.int64, np.float64))
        run, metric, epoch, timestamp, value = map(np.concatenate, zip(empty, *self._batches, strict=True))
        return Points(run, metric, epoch, timestamp, value, tuple(self._runs), tuple(self._metrics))


def restored(value: float | None) -> float:
    """The value that a database holds as `value`: None for NaN, the largest float for infinity."""
    if value is None:
        return math.nan
    return math.copysign(math.inf, value) if abs(value) == sys.float_info.max else value


def _restored(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`restored` for arrays, in which None is NaN already."""
    return np.where(np.abs(values) == sys.float_info.max, np.copysign(np.inf, values), values)


def _indices(names: Sequence[str], indices: dict[str, int]) -> NDArray[np.int64]:
    for name in dict.fromkeys(names):
        indices.setdefault(name, len(indices))
    return np.fromiter(map(indices.__getitem__, names), dtype=np.int64, count=len(names))


def _renumbered(indices: NDArray[np.int64], old: Sequence[str], new: Sequence[str]) -> NDArray[np.int64]:
    """Indices into `old` as indices into `new`; -1 for names that `new` lacks."""
    positions = {name: position for position, name in enumerate(new)}
    return np.array([positions.get(name, -1) for name in old], dtype=np.int64)[indices]
