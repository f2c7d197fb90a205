"""The trials of one variant, reduced to what a comparison needs."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ottt.errors import UserError
from ottt.schema import Status

# Columns that are means over finished trials, and the columns of runs that they come from.
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
        id: its hash.
        label: its readable name.
        settings: values of the settings asked for; None where no trial has recorded one.
        statuses: how many trials stand in each status.
        values: seed -> last value of the metric, of finished trials that have a finite one.
        means: the columns of MEANS, over finished trials; NaN where there is none or nothing was measured.
        hours: time that all its trials took, however they ended; NaN where none has ended.
    """

    id: str
    label: str
    settings: Mapping[str, Any]
    statuses: Counter[str]
    values: Mapping[int, float]
    means: Mapping[str, float]
    hours: float


def variants(runs: pd.DataFrame, *, metric: str, settings: Sequence[str]) -> list[Variant]:
    """The variants in `runs` (see `analysis.load.runs`), in order of appearance.

    Raises:
        UserError: no trials, a setting that is no column, or a seed twice in one variant.
    """
    if runs.empty:
        raise UserError("runs must hold at least one trial, got none")
    if unknown := [key for key in settings if key not in runs.columns]:
        raise UserError(*(f"{key} is not a setting of these runs" for key in unknown))
    if twice := runs.loc[runs.duplicated(["variant", "seed"]), "label"].unique().tolist():
        raise UserError(*(f"{label} must have each seed once, got one twice" for label in twice))
    groups = runs.groupby("variant", sort=False)
    return [_variant(str(variant), rows, metric, settings) for variant, rows in groups]


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
        statuses=Counter(rows["status"]),
        values=values,
        means={name: float(_measured(finished, source).mean()) for name, source in MEANS.items()},
        hours=float(_measured(rows, "duration_s").sum(min_count=1)) / 3600,
    )


def _measured(rows: pd.DataFrame, metric: str) -> "pd.Series[float]":
    """The metric's column; NaN throughout where no trial of the sweep has measured it."""
    return rows[metric] if metric in rows.columns else pd.Series(math.nan, index=rows.index)


def _first(values: pd.Series) -> Any:
    """The first value that a trial has recorded, as a builtin."""
    recorded = values.dropna().tolist()
    return recorded[0] if recorded else None
