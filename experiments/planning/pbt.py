"""Population based training: decides which variants are replaced by copies of better ones, and when.

Jaderberg et al., 2017, arXiv 1711.09846.

Every so many epochs all variants are compared, by the mean of the sweep's metric over the seeds, and copies of the best
replace the worst (truncation selection). A copy is a variant like any other: its parent's settings with further
`schedule.changes`. So its trials can continue from the parent's checkpoints, and would give the same numbers from the
beginning. All of it is a function of spec and records: what was decided before a crash is decided again.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from pydantic import ValidationError

from experiments.results.trial_records import TrialRecords
from experiments.sweep_spec.run_settings import Scheduler
from experiments.sweep_spec.spec import SweepSpec
from ottt import schema
from ottt.config.scheduled_changes import Change, written
from ottt.config.trial import TrialConfig
from ottt.schema import ENDED

CHANGES = "schedule.changes"

Settings = Mapping[str, Any]
MetricAt = Callable[[TrialConfig, int], float | None]


class NotReached(Exception):
    """The trial has not reached this epoch yet."""


@dataclass(frozen=True)
class Copy:
    """A variant that replaces another one.

    Attributes:
        variant: hash of the new variant.
        parent: variant from whose checkpoints it continues.
        replaces: variant whose place it takes.
        epoch: number of epochs after which it does.
    """

    variant: str
    parent: str
    replaces: str
    epoch: int


@dataclass(frozen=True)
class PopulationState:
    """A population as far as its records tell.

    Attributes:
        settings: settings of every variant there has been, by hash.
        alive: the variants that train on.
        copies: all copies, in the order made.
        goal: number of epochs that the living variants complete before they are compared; all, after the last time.
    """

    settings: Mapping[str, Settings]
    alive: tuple[str, ...]
    copies: tuple[Copy, ...]
    goal: int


def population_state(spec: SweepSpec, metric_at: MetricAt) -> PopulationState:
    """The population of `spec`.

    Args:
        spec: a spec with a population.
        metric_at: gives the metric of a trial after so many epochs; None: it ended before, without a result; raises
            NotReached if it can still get there.
    """
    assert spec.population is not None
    settings: dict[str, Settings] = {}
    for row in spec.variants():
        settings.setdefault(spec.base.replace(row).variant_hash, row)
    alive = list(settings)
    copies: list[Copy] = []
    for goal in range(spec.population.period_epochs, spec.base.epochs, spec.population.period_epochs):
        try:
            scores = {variant: _score(spec, settings[variant], goal, metric_at) for variant in alive}
        except NotReached:
            return PopulationState(settings, tuple(alive), tuple(copies), goal)
        for copy, changed in _next_generation(spec.population, spec.base, settings, scores, goal):
            settings[copy.variant] = changed
            alive[alive.index(copy.replaces)] = copy.variant
            copies.append(copy)
    return PopulationState(settings, tuple(alive), tuple(copies), spec.base.epochs)


def recorded_metric(records: TrialRecords, metric: str) -> MetricAt:
    """Looks the metric up in the records, whichever sweep made them."""

    def metric_at(config: TrialConfig, epochs: int) -> float | None:
        found = records.epochs(trial := config.trial_hash)
        if len(found) >= epochs:
            return found[epochs - 1].metrics.get(metric)
        record = records.read(trial)
        if record is None or record.status not in ENDED:
            raise NotReached
        return None

    return metric_at


def _score(spec: SweepSpec, settings: Settings, epochs: int, metric_at: MetricAt) -> float:
    """The higher the better; minus infinity for a variant of which no trial got that far."""
    config = spec.base.replace(settings)
    values = [metric_at(config.replace({"seed": seed}), epochs) for seed in spec.seeds]
    measured = [value for value in values if value is not None]
    sign = 1 if schema.metric(spec.metric).better == "higher" else -1
    return sign * fmean(measured) if measured else -math.inf


def _next_generation(
    population: Scheduler, base: TrialConfig, settings: Mapping[str, Settings], scores: Mapping[str, float], epoch: int
) -> list[tuple[Copy, Settings]]:
    """The copies to make after `epoch` epochs, with their settings, given the variants' scores."""
    ranked = sorted(scores, key=lambda variant: scores[variant], reverse=True)
    count = max(1, int(len(ranked) * population.quantile))
    best = [variant for variant in ranked[:count] if scores[variant] > -math.inf]
    draw = random.Random(f"{population.seed} {epoch}")
    made: dict[str, tuple[Copy, Settings]] = {}
    for replaced in ranked[-count:] if best else ():
        if replaced in best:
            continue
        parent = draw.choice(best)
        changed = _perturbed(population, base, settings[parent], epoch, draw)
        variant = base.replace(changed).variant_hash
        if variant not in settings and variant not in made:
            made[variant] = Copy(variant, parent, replaced, epoch), changed
    return list(made.values())


def _perturbed(
    population: Scheduler, base: TrialConfig, settings: Settings, epoch: int, draw: random.Random
) -> Settings:
    """The settings, some of them multiplied by a drawn factor from `epoch` on, where the result is allowed."""
    config = base.replace(settings)
    now = config.at(epoch).flat()
    changes: Sequence[Change] = config.changes
    for setting in population.change:
        for factor in draw.sample(population.factors, len(population.factors)):
            further = [*changes, Change(epoch, setting, float(f"{factor * now[setting]:.4g}"))]
            try:
                base.replace({**settings, CHANGES: written(further)})
            except ValidationError:
                continue
            changes = further
            break
    return {**settings, CHANGES: written(changes)}
