"""The trials of one variant, reduced to what a comparison needs."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ottt.errors import UserError
from ottt.schema import Status

RATE = "rate/total"
EPOCH_TIME = "time/epoch_s"


@dataclass(frozen=True)
class Variant:
    """One variant of a sweep.

    Attributes:
        id: its hash.
        label: its readable name.
        settings: values of the settings asked for; None where no trial has recorded one.
        statuses: how many trials stand in each status.
        values: seed -> last value of the metric, of finished trials that have a finite one.
        rate: mean total firing rate of finished trials, spikes per neuron and step; NaN for none.
        epoch_s: mean duration of their last epoch, s; NaN for none.
    """

    id: str
    label: str
    settings: Mapping[str, Any]
    statuses: Counter[str]
    values: Mapping[int, float]
    rate: float
    epoch_s: float


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
        rate=_measured(finished, RATE).mean(),
        epoch_s=_measured(finished, EPOCH_TIME).mean(),
    )


def _measured(rows: pd.DataFrame, metric: str) -> "pd.Series[float]":
    """The metric's column; NaN throughout where no trial of the sweep has measured it."""
    return rows[metric] if metric in rows.columns else pd.Series(math.nan, index=rows.index)


def _first(values: pd.Series) -> Any:
    """The first value that a trial has recorded, as a builtin."""
    recorded = values.dropna().tolist()
    return recorded[0] if recorded else None
