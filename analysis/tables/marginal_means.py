"""Marginal means: a metric by some settings, averaged over the other axes without bias from missing combinations."""

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.dtypes import column
from analysis.lookup import known_metric, planned_axes
from analysis.statistics import estimate
from analysis.tables.variants import status_counts
from ottt.errors import UserError
from ottt.schema import Status

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Marginal:
    """A metric by some settings, averaged over the other axes of the sweep.

    Attributes:
        settings: settings that the table shows.
        averaged: axes that are averaged over.
        blocks: combinations of values of `averaged` that are planned for every row; all means are over these.
        dropped: combinations left out because they are not planned for every row.
        table: one row per combination of `settings` in the plan, in its order, with the columns
            one per setting.
            planned, and as columns of `analysis.tables.COUNTS` the number of trials per status.
            n: number of seeds with a finite value in every block; only these count below.
            values: dict from seed to the mean over the blocks.
            mean, sd, ci_low, ci_high: `analysis.statistics.estimate` of the values.
    """

    settings: tuple[str, ...]
    averaged: tuple[str, ...]
    blocks: tuple[Key, ...]
    dropped: tuple[Key, ...]
    table: pd.DataFrame


def marginal(runs: pd.DataFrame, settings: Sequence[str], *, metric: str = "test/top1") -> Marginal:
    """`metric` by `settings`, over the seeds, averaged over the sweep's other axes.

    All rows are averaged over the same combinations of the other axes, so that they differ in `settings` only. Axes
    that `settings` determine are not averaged over.

    Raises:
        UserError: an unknown metric or setting, or no combination of the other axes is planned for every row.
    """
    known_metric(metric)
    if unknown := [key for key in settings if key not in runs.columns]:
        raise UserError(*(f"{key} is not a setting of these runs" for key in unknown))
    groups = _grouped(runs, settings)
    averaged = tuple(
        axis
        for axis in planned_axes(runs)
        if axis not in settings and any(len(set(_keys(part, [axis]))) > 1 for part in groups.values())
    )
    combinations = [dict.fromkeys(_keys(part, averaged)) for part in groups.values()]
    planned_anywhere = dict.fromkeys(itertools.chain.from_iterable(combinations))
    blocks = tuple(key for key in planned_anywhere if all(key in planned for planned in combinations))
    if not blocks:
        raise UserError(f"no values of {', '.join(averaged)} are planned for all values of {', '.join(settings)}")
    dropped = tuple(key for key in planned_anywhere if key not in blocks)
    rows = [_row(part, averaged, blocks, metric) for part in groups.values()]
    values = {setting: column(key[index] for key in groups) for index, setting in enumerate(settings)}
    table = pd.concat([pd.DataFrame(values), pd.DataFrame(rows)], axis="columns")
    return Marginal(tuple(settings), averaged, blocks, dropped, table)


def _grouped(runs: pd.DataFrame, settings: Sequence[str]) -> dict[Key, pd.DataFrame]:
    positions: dict[Key, list[int]] = defaultdict(list)
    for position, key in enumerate(_keys(runs, settings)):
        positions[key].append(position)
    return {key: runs.iloc[found] for key, found in positions.items()}


def _keys(rows: pd.DataFrame, settings: Sequence[str]) -> list[Key]:
    """The values of the settings, row by row, with None for NaN."""
    columns = [[None if pd.isna(value) else value for value in rows[setting].tolist()] for setting in settings]
    return list(zip(*columns, strict=True)) if columns else [()] * len(rows)


def _row(rows: pd.DataFrame, averaged: Sequence[str], blocks: Sequence[Key], metric: str) -> Mapping[str, Any]:
    measured = rows[metric].tolist() if metric in rows.columns else [math.nan] * len(rows)
    by_seed: dict[int, dict[Key, float]] = defaultdict(dict)
    for seed, status, key, value in zip(rows["seed"], rows["status"], _keys(rows, averaged), measured, strict=True):
        if status == Status.FINISHED and math.isfinite(value):
            by_seed[int(seed)][key] = value
    values = {
        seed: float(np.mean([found[key] for key in blocks]))
        for seed, found in sorted(by_seed.items())
        if all(key in found for key in blocks)
    }
    mean = estimate(list(values.values()))
    return {
        **status_counts(rows["status"]),
        "n": mean.n,
        "values": values,
        "mean": mean.mean,
        "sd": mean.sd,
        "ci_low": mean.low,
        "ci_high": mean.high,
    }
