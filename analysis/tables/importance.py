"""Which settings of a search matter: a ranking by Optuna's functional analysis of variance."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.lookup import known_metric, planned_axes
from analysis.tables.epoch_selection import LAST, RULES
from analysis.tables.footnotes import selection
from analysis.text import numbers
from analysis.text.columns import TextColumn, columns, printable
from ottt.errors import UserError
from ottt.schema import Metric, Status

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FEWEST = 10  # trials: below, a forest has nothing to learn from
REPEATS = 8  # forests, each grown from another seed


@dataclass(frozen=True)
class Importance:
    """The settings of a search by how much they matter.

    Attributes:
        sweep: its name.
        metric: what they matter for, in finished trials.
        rule: key of `analysis.tables.epoch_selection.RULES`.
        notes: sentences without which the table would be misread.
        table: one row per setting, the most important first, with the columns
            setting.
            importance: share of the variance that a random forest explains by this setting alone; mean over REPEATS
                forests. Shares sum to 1.
            sd: over the forests: what the estimate owes to chance.
    """

    sweep: str
    metric: Metric
    rule: str
    notes: tuple[str, ...]
    table: pd.DataFrame


def importance(runs: pd.DataFrame, *, metric: str = "val/top1", seed: int = 0) -> Importance:
    """Rank the sweep's axes by their importance for `metric` (fANOVA; Hutter, Hoos and Leyton-Brown, ICML 2014).

    Args:
        runs: see `analysis.load.runs`.
        metric: name of the metric.
        seed: of the forests.

    Raises:
        UserError: an unknown metric, Optuna is not installed, or fewer than FEWEST finished trials that differ.
    """
    measured, rule = known_metric(metric), runs.attrs.get("rule", LAST)
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
        selection(measured, RULES[rule]),
        f"importance: share of the variance that a random forest fitted to {len(counted)} trials explains by a setting"
        f" alone (fANOVA); ± is the standard deviation over {REPEATS} forests, not over seeds.",
    )
    return Importance(runs.attrs.get("sweep", ""), measured, rule, notes, table)


def _forests(settings: Mapping[str, Sequence[Any]], values: Sequence[float], seed: int) -> pd.DataFrame:
    """Importance by setting, a row per forest."""
    try:
        import optuna
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    except ImportError as error:
        raise UserError(f"importance needs the package optuna, which is missing: {error}") from error
    distributions = {axis: _distribution(found) for axis, found in settings.items()}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={axis: _value(found[place]) for axis, found in settings.items()},
                distributions=distributions,
                value=value,
            )
            for place, value in enumerate(values)
        ]
    )
    found = [
        get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed + repeat), params=list(settings))
        for repeat in range(REPEATS)
    ]
    return pd.DataFrame(found).loc[:, list(settings)].reset_index(drop=True)


def _distribution(found: Sequence[Any]) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in found):
        low, high = float(min(found)), float(max(found))
        return FloatDistribution(low, high, log=low > 0 and high / low >= 10)
    return CategoricalDistribution(list({repr(value): _value(value) for value in found}.values()))


def _value(value: Any) -> Any:
    """As Optuna takes it: other than numbers, flags and None become text."""
    return value if value is None or isinstance(value, bool | int | float) else str(value)


@columns.register
def _of_importance(result: Importance, *, detailed: bool) -> list[TextColumn]:
    table = result.table
    shares = zip(table["importance"], table["sd"], strict=True)
    return [
        TextColumn("setting", tuple(printable(name) for name in table["setting"]), numeric=False),
        TextColumn("importance ± sd", tuple(numbers.with_spread(mean, sd) for mean, sd in shares)),
    ]
