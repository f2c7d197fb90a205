"""Ranks the settings of a search by importance, with the functional ANOVA of Optuna."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.lookup import known_metric, planned_axes
from analysis.tables.epoch_selection import LAST, RULES
from analysis.tables.footnotes import metric_note
from analysis.text import numbers
from analysis.text.columns import TextColumn, columns, printable
from analysis.text.notebook import InNotebooks
from ottt.errors import UserError
from ottt.schema import Metric, Status

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FEWEST = 10  # trials: fewer are too few to fit a forest
REPEATS = 8  # random forests, each with its own seed


@dataclass(frozen=True)
class Importance(InNotebooks):
    """The settings of a search, ranked by importance.

    Attributes:
        sweep: name of the sweep.
        metric: metric that they influence, in finished trials.
        rule: key of `analysis.tables.epoch_selection.RULES`.
        notes: footnotes of the table.
        table: one row per setting, the most important first, with the columns
            setting: key of the setting.
            importance: share of the variance that a random forest explains by this setting alone, mean over REPEATS
                forests; the shares sum to 1.
            sd: standard deviation over the forests, the random error of the estimate.
    """

    sweep: str
    metric: Metric
    rule: str
    notes: tuple[str, ...]
    table: pd.DataFrame


def importance(runs: pd.DataFrame, *, metric: str = "val/top1", seed: int = 0) -> Importance:
    """Rank a sweep's axes by their importance for `metric` (fANOVA; Hutter, Hoos and Leyton-Brown, ICML 2014).

    Args:
        runs: see `analysis.load.runs`.
        metric: name of the metric.
        seed: seed of the first forest.

    Raises:
        UserError: an unknown metric, Optuna is not installed, or fewer than FEWEST finished trials with the metric.
    """
    known, rule = known_metric(metric), runs.attrs.get("rule", LAST)
    finished = runs[runs["status"] == Status.FINISHED]
    values = finished[metric] if metric in finished else pd.Series(math.nan, index=finished.index)
    counted = finished[values.abs() < math.inf]
    axes = [axis for axis in planned_axes(runs) if len(set(map(repr, counted[axis]))) > 1]
    if len(counted) < FEWEST or not axes:
        raise UserError(f"importance needs {FEWEST} finished trials with a {metric} that differ, got {len(counted)}")
    settings = {axis: counted[axis].tolist() for axis in axes}
    forests = _forests(settings, counted[metric].tolist(), seed)
    table = pd.DataFrame({"setting": axes, "importance": forests.mean(), "sd": forests.std(ddof=1)})
    table = table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)
    notes = (
        metric_note(known, RULES[rule]),
        f"importance: share of the variance that a random forest fitted to {len(counted)} trials explains by a setting"
        f" alone (fANOVA); ± is the standard deviation over {REPEATS} forests, not over seeds.",
    )
    return Importance(runs.attrs.get("sweep", ""), known, rule, notes, table)


def _forests(settings: Mapping[str, Sequence[Any]], values: Sequence[float], seed: int) -> pd.DataFrame:
    """Importance: a row per forest, a column per setting."""
    try:
        import optuna
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    except ImportError as error:
        raise UserError(f"importance needs the package optuna, which is missing: {error}") from error
    distributions = {axis: _distribution(column) for axis, column in settings.items()}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={axis: _optuna_value(column[index]) for axis, column in settings.items()},
                distributions=distributions,
                value=value,
            )
            for index, value in enumerate(values)
        ]
    )
    rows = [
        get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed + repeat), params=list(settings))
        for repeat in range(REPEATS)
    ]
    return pd.DataFrame(rows).loc[:, list(settings)].reset_index(drop=True)


def _distribution(values: Sequence[Any]) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        low, high = float(min(values)), float(max(values))
        return FloatDistribution(low, high, log=low > 0 and high / low >= 10)
    return CategoricalDistribution(list({repr(value): _optuna_value(value) for value in values}.values()))


def _optuna_value(value: Any) -> Any:
    """`value` as Optuna accepts it: anything but numbers, bools and None as text."""
    return value if value is None or isinstance(value, bool | int | float) else str(value)


@columns.register
def _importance_columns(result: Importance, *, detailed: bool) -> list[TextColumn]:
    table = result.table
    shares = zip(table["importance"], table["sd"], strict=True)
    return [
        TextColumn("setting", tuple(printable(name) for name in table["setting"]), numeric=False),
        TextColumn("importance ± sd", tuple(numbers.with_spread(mean, sd) for mean, sd in shares)),
    ]
