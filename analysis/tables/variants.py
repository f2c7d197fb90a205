"""The trials of each variant, summarised: values by seed, counts by status, means of costs."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

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
    groups = runs.groupby("variant", sort=False)
    return [_variant(str(variant), rows, metric, settings) for variant, rows in groups]


def status_counts(statuses: Iterable[str]) -> dict[str, int]:
    """The columns `planned`, the number of trials, and those of COUNTS, from the statuses of trials."""
    found = Counter(statuses)
    return {"planned": found.total(), **{name: found[status] for status, name in COUNTS.items()}}


def _variant(variant: str, rows: pd.DataFrame, metric: str, settings: Sequence[str]) -> Variant:
    finished = rows[rows["status"] == Status.FINISHED]
    values = {
        int(seed): value
        for seed, value in zip(finished["seed"], _measured(finished, metric), strict=True)
        if math.isfinite(value)
    }
    return Variant(
        id=variant,
        label=str(rows["label"].iloc[0]),
        settings={key: _first(rows[key]) for key in settings},
        counts=status_counts(rows["status"]),
        values=values,
        means={name: float(_measured(finished, source).mean()) for name, source in MEANS.items()},
        hours=float(_measured(rows, "duration_s").sum(min_count=1)) / 3600,
    )


def _measured(rows: pd.DataFrame, metric: str) -> "pd.Series[float]":
    """The column of the metric; all NaN if no trial of the sweep measured it."""
    return rows[metric] if metric in rows.columns else pd.Series(math.nan, index=rows.index)


def _first(values: pd.Series) -> Any:
    """The first value that is not missing, as a builtin."""
    recorded = values.dropna().tolist()
    return recorded[0] if recorded else None
