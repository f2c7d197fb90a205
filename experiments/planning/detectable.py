"""What differences the seeds of a sweep can detect, from the records of trials that ran."""

import math
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING

from analysis.store.plan import Plan, PlannedTrial
from experiments.results.folder import Results
from ottt.schema import Status

if TYPE_CHECKING:
    from analysis.statistics.power import Detectable

MOST_VARIANTS = 50  # whose differences are pooled: more would only take longer to read


def detectable(plan: Plan, results: Results, *, seeds: int) -> "Detectable | None":
    """The differences of the plan's metric that can be detected, from what is recorded of the plan's trials.

    If too few of them finished, the trials of the sweep as it last ran answer: the same sweep with other settings.

    Args:
        plan: plan of the sweep.
        results: folder of results.
        seeds: number of seeds of the sweep.

    Returns:
        None if too few trials finished to know how differences vary.

    Raises:
        UserError: the plan with which the sweep last ran is damaged.
    """
    found = _from_trials(plan, results, seeds)
    if found is None and results.has_plan(plan.name):
        found = _from_trials(results.read_plan(plan.name), results, seeds)
    return found


def _from_trials(plan: Plan, results: Results, seeds: int) -> "Detectable | None":
    by_variant: dict[str, list[PlannedTrial]] = {}
    begun = results.records.trials()
    for trial in plan.trials:
        by_variant.setdefault(trial.variant, []).append(trial)
    named = (variant for variant, its in by_variant.items() if its[0].settings == plan.baseline)
    reference = next(named, next(iter(by_variant), ""))
    base = _values(by_variant.pop(reference, []), plan.metric, results, begun)
    if len(base) < 2:
        return None
    from analysis.statistics.power import Detectable

    measured = (_values(trials, plan.metric, results, begun) for trials in by_variant.values())
    pairs = ([values[seed] - base[seed] for seed in values.keys() & base] for values in measured)
    return Detectable.of(islice((one for one in pairs if len(one) > 1), MOST_VARIANTS), seeds=seeds)


def _values(trials: list[PlannedTrial], metric: str, results: Results, begun: frozenset[str]) -> Mapping[int, float]:
    """By seed the last value of the metric in finished trials, if finite."""
    values = {}
    for trial in (one for one in trials if one.trial in begun):
        record = results.records.read(trial.trial)
        if record is not None and record.status is Status.FINISHED and (epochs := results.records.epochs(trial.trial)):
            values[trial.seed] = epochs[-1].metrics.get(metric, math.nan)
    return {seed: value for seed, value in values.items() if math.isfinite(value)}
