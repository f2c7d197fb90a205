"""Many points of metrics at once, column by column."""

import math
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Points:
    """Values of metrics over epochs, N of them, in no order; a point written twice is there twice.

    Attributes:
        run: index into `runs`, [N].
        metric: index into `metrics`, [N].
        epoch, timestamp: [N]; the timestamp in ms since 1970.
        value: [N].
        runs, metrics: what the indices mean.
    """

    run: NDArray[np.int64]
    metric: NDArray[np.int64]
    epoch: NDArray[np.int64]
    timestamp: NDArray[np.int64]
    value: NDArray[np.float64]
    runs: tuple[str, ...]
    metrics: tuple[str, ...]

    def resolved(self, order: Mapping[str, int]) -> "Points":
        """Sorted by run, as `order` places them, metric and epoch; of a point written twice the one written last."""
        places = np.array([order[run] for run in self.runs], dtype=np.int64)
        ranks = np.argsort(np.argsort(np.array(self.metrics, dtype=object)))
        ranked = ranks[self.metric] if self.metrics else self.metric
        curve = places[self.run] * len(self.metrics) + ranked
        sorting = np.lexsort((self.epoch, curve))
        is_again = (np.diff(curve[sorting]) == 0) & (np.diff(self.epoch[sorting]) == 0)
        if is_again.any():  # two more keys would take half as long again
            sorting = np.lexsort((self.value, self.timestamp, self.epoch, curve))
        is_last = np.ones(len(curve), dtype=bool)
        is_last[:-1] = ~is_again
        return self._taken(sorting[is_last])

    def of(self, runs: Collection[str]) -> "Points":
        """Those of some runs; the others are not even named."""
        kept = tuple(run for run in self.runs if run in runs)
        run = _renumbered(self.run, self.runs, kept)
        return replace(self, run=run, runs=kept)._taken(run >= 0)

    def joined(self, other: "Points") -> "Points":
        """These and the others."""
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

    def _taken(self, which: NDArray[Any]) -> "Points":
        """Those at some places."""
        return replace(
            self,
            run=self.run[which],
            metric=self.metric[which],
            epoch=self.epoch[which],
            timestamp=self.timestamp[which],
            value=self.value[which],
        )


class PointCollector:
    """Gathers points piece by piece."""

    def __init__(self) -> None:
        self._runs: dict[str, int] = {}
        self._metrics: dict[str, int] = {}
        self._pieces: list[tuple[NDArray[Any], ...]] = []

    def add(
        self,
        runs: Sequence[str],
        metrics: Sequence[str],
        epochs: Sequence[int],
        timestamps: Sequence[int],
        values: Sequence[float | None],
    ) -> None:
        """Add points, column by column; values as `restored` has them."""
        self._pieces.append(
            (
                _indices(runs, self._runs),
                _indices(metrics, self._metrics),
                np.array(epochs, dtype=np.int64),
                np.array(timestamps, dtype=np.int64),
                _restored(np.array(values, dtype=np.float64)),
            )
        )

    def points(self) -> Points:
        """All of them."""
        empty = tuple(np.empty(0, dtype=kind) for kind in (np.int64, np.int64, np.int64, np.int64, np.float64))
        run, metric, epoch, timestamp, value = map(np.concatenate, zip(empty, *self._pieces, strict=True))
        return Points(run, metric, epoch, timestamp, value, tuple(self._runs), tuple(self._metrics))


def restored(value: float | None) -> float:
    """The value that a database holds as `value`: None for NaN, the largest float for infinity."""
    if value is None:
        return math.nan
    return math.copysign(math.inf, value) if abs(value) == sys.float_info.max else value


def _restored(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """See `restored`; numpy has made NaN of None."""
    return np.where(np.abs(values) == sys.float_info.max, np.copysign(np.inf, values), values)


def _indices(names: Sequence[str], known: dict[str, int]) -> NDArray[np.int64]:
    for name in dict.fromkeys(names):
        known.setdefault(name, len(known))
    return np.fromiter(map(known.__getitem__, names), dtype=np.int64, count=len(names))


def _renumbered(indices: NDArray[np.int64], names: Sequence[str], among: Sequence[str]) -> NDArray[np.int64]:
    """Indices into `names` as indices into `among`; -1 for a name that is not there."""
    places = {name: place for place, name in enumerate(among)}
    return np.array([places.get(name, -1) for name in names], dtype=np.int64)[indices]
