"""Means over everything but the settings of interest, without mixing what cannot be compared."""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.dtypes import column
from analysis.lookup import known_metric, planned_axes
from analysis.statistics.few_seeds import estimate
from analysis.tables.comparison import COUNTS
from ottt.errors import UserError
from ottt.schema import Status

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Marginal:
    """A metric by some settings, averaged over the sweep's others.

    Attributes:
        settings: of interest.
        averaged: axes that the means run over.
        blocks: combinations of values of `averaged` planned for every row: all means run over exactly these.
        dropped: combinations left out because some row does not plan them.
        table: one row per combination of `settings` in the plan, in its order, with the columns
            one per setting.
            planned, and as columns of `analysis.tables.COUNTS` how many trials stand in each status: all trials.
            n: seeds for which every block has a finite value; only these enter what follows.
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

    A mean of one row and that of another run over the same combinations of the other axes, so that they differ by
    `settings` alone. Axes that `settings` determine (they move together) are not averaged over.

    Raises:
        UserError: an unknown metric or setting, or no combination of the other axes that every row has.
    """
    known_metric(metric)
    if unknown := [key for key in settings if key not in runs.columns]:
        raise UserError(*(f"{key} is not a setting of these runs" for key in unknown))
    rows = _by(runs, settings)
    averaged = tuple(
        axis
        for axis in planned_axes(runs)
        if axis not in settings and any(len(set(_keys(part, [axis]))) > 1 for part in rows.values())
    )
    planned = [dict.fromkeys(_keys(part, averaged)) for part in rows.values()]
    every = dict.fromkeys(itertools.chain.from_iterable(planned))
    blocks = tuple(key for key in every if all(key in one for one in planned))
    if not blocks:
        raise UserError(
            f"{', '.join(settings)}: no values of {', '.join(averaged)} are planned for all of them to be compared at"
        )
    dropped = tuple(key for key in every if key not in blocks)
    found = [_row(part, averaged, blocks, metric) for part in rows.values()]
    values = {setting: column(key[place] for key in rows) for place, setting in enumerate(settings)}
    table = pd.concat([pd.DataFrame(values), pd.DataFrame(found)], axis="columns")
    return Marginal(tuple(settings), averaged, blocks, dropped, table)


def _by(runs: pd.DataFrame, settings: Sequence[str]) -> dict[Key, pd.DataFrame]:
    places: dict[Key, list[int]] = defaultdict(list)
    for place, key in enumerate(_keys(runs, settings)):
        places[key].append(place)
    return {key: runs.iloc[found] for key, found in places.items()}


def _keys(rows: pd.DataFrame, settings: Sequence[str]) -> list[Key]:
    """The values of the settings, row by row; NaN and None are one."""
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
    level, statuses = estimate(list(values.values())), Counter(rows["status"])
    return {
        "planned": len(rows),
        **{name: statuses[status] for status, name in COUNTS.items()},
        "n": level.n,
        "values": values,
        "mean": level.mean,
        "sd": level.sd,
        "ci_low": level.low,
        "ci_high": level.high,
    }
