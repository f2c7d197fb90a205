"""The trials of each variant, summarised: values by seed, counts by status, means of costs."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ottt.errors import UserError
from ottt.schema import Status

# By status the column that counts its trials.
COUNTS = {status: status.replace("-", "_") for status in (*(status.value for status in Status), "missing")}

# By column of a comparison that is a mean over finished trials, the column of runs that it averages.
MEANS = {
    "rate": "rate/total",
    "synops": "energy/synops",
    "energy_nj": "energy/nj",
    "epochs": "epochs_done",
    "epoch_s": "time/epoch_s",
    "images_per_s": "perf/images_per_s",
    "peak_mib": "mem/peak_mib",
}


@dataclass(frozen=True)
class Variant:
    """One variant of a sweep.

    Attributes:
        id: hash of the variant.
        label: readable name.
        settings: values of the settings asked for; None if no trial recorded one.
        counts: see `status_counts`.
        values: by seed the last value of the metric in finished trials, if finite.
        means: the columns of MEANS; NaN if no trial finished or nothing was measured.
        hours: total time of all trials, however they ended; NaN if none has ended.
    """

    id: str
    label: str
    settings: Mapping[str, Any]
    counts: Mapping[str, int]
    values: Mapping[int, float]
    means: Mapping[str, float]
    hours: float


def variants(runs: pd.DataFrame, *, metric: str, settings: Sequence[str]) -> list[Variant]:
    """The variants in `runs` (see `analysis.load.runs`), in order of appearance.

    Raises:
        UserError: no trials, a setting that is not a column, or a seed that occurs twice in a variant.
    """
    if runs.empty:
        raise UserError("runs must hold at least one trial, got none")
    if unknown := [key for key in settings if key not in runs.columns]:
        raise UserError(*(f"{key} is not a setting of these runs" for key in unknown))
    if twice := runs.loc[runs.duplicated(["variant", "seed"]), "label"].unique().tolist():
        raise UserError(*(f"{label} must have each seed once, got one twice" for label in twice))
    columns = {name: runs[name].tolist() for name in {"label", "status", "seed", metric, *settings} if name in runs}
    costs = {name: runs[name].to_numpy(float) for name in {*MEANS.values(), "duration_s"} if name in runs}
    return [
        _variant(str(variant), _Rows(np.asarray(rows), columns, costs), metric, settings)
        for variant, rows in runs.groupby("variant", sort=False).indices.items()
    ]


def status_counts(statuses: Iterable[str]) -> dict[str, int]:
    """The columns `planned`, the number of trials, and those of COUNTS, from the statuses of trials."""
    found = Counter(statuses)
    return {"planned": found.total(), **{name: found[status] for status, name in COUNTS.items()}}


@dataclass(frozen=True)
class _Rows:
    """Some rows of a table, as plain values: one by one, a data frame would take a millisecond for each.

    Attributes:
        positions: which rows.
        columns: values of the whole table by column.
        numbers: the same for columns of numbers.
    """

    positions: NDArray[np.int64]
    columns: Mapping[str, list[Any]]
    numbers: Mapping[str, NDArray[np.float64]]

    def __getitem__(self, column: str) -> list[Any]:
        values = self.columns[column]
        return [values[position] for position in self.positions]

    def measured(self, column: str) -> NDArray[np.float64]:
        """The numbers of a column that are not missing; none if no trial of the sweep measured it."""
        found = self.numbers[column][self.positions] if column in self.numbers else np.empty(0)
        return found[~np.isnan(found)]

    def finished(self) -> Self:
        """The rows of trials that finished."""
        is_finished = [status == Status.FINISHED for status in self["status"]]
        return replace(self, positions=self.positions[is_finished])


def _variant(variant: str, rows: _Rows, metric: str, settings: Sequence[str]) -> Variant:
    finished = rows.finished()
    measured = zip(finished["seed"], finished[metric], strict=True) if metric in rows.columns else ()
    return Variant(
        id=variant,
        label=str(rows["label"][0]),
        settings={key: _first(rows[key]) for key in settings},
        counts=status_counts(rows["status"]),
        values={int(seed): value for seed, value in measured if math.isfinite(value)},
        means={name: _mean(finished.measured(source)) for name, source in MEANS.items()},
        hours=_total(rows.measured("duration_s")) / 3600,
    )


def _mean(values: NDArray[np.float64]) -> float:
    return _total(values) / len(values) if len(values) else math.nan


def _total(values: NDArray[np.float64]) -> float:
    return float(values.sum()) if len(values) else math.nan


def _first(values: Iterable[Any]) -> Any:
    """The first value that is not missing."""
    return next((value for value in values if not (value is None or value is pd.NA or value != value)), None)
