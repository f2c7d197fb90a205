"""Population based training (Jaderberg et al., 2017, arXiv 1711.09846): which variant takes whose place, and when.

Every so many epochs all variants are compared, by the mean of the sweep's metric over the seeds, and copies of the best
take the place of the worst (truncation selection). A copy is a variant like any other: the settings of the one it comes
from, with further `schedule.changes`. So its trials may go on from that one's states, and would give the same from the
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
from experiments.spec.run_settings import Scheduler
from experiments.spec.spec import SweepSpec
from ottt import schema
from ottt.config.scheduled_changes import Change, written
from ottt.config.trial import TrialConfig
from ottt.schema import ENDED

CHANGES = "schedule.changes"

Cell = Mapping[str, Any]
Look = Callable[[TrialConfig, int], float | None]


class Unknown(Exception):
    """The trial has not come so far."""


@dataclass(frozen=True)
class Copy:
    """A variant that takes another's place.

    Attributes:
        variant: its hash.
        of: the variant whose states it goes on from.
        instead: the variant whose place it takes.
        epoch: after which it does.
    """

    variant: str
    of: str
    instead: str
    epoch: int


@dataclass(frozen=True)
class Lineage:
    """A population as far as its records tell.

    Attributes:
        cells: settings of every variant there has been, by hash.
        alive: the variants that train on.
        copies: in the order made.
        goal: epochs that those alive are to complete before they are compared; all of them, after the last time.
    """

    cells: Mapping[str, Cell]
    alive: tuple[str, ...]
    copies: tuple[Copy, ...]
    goal: int


def lineage(spec: SweepSpec, look: Look) -> Lineage:
    """The population of `spec`.

    Args:
        spec: with a population.
        look: the metric of a trial after so many epochs; None where it ended before without a result;
            raises Unknown where it may still get there.
    """
    assert spec.population is not None
    cells: dict[str, Cell] = {}
    for cell in spec.variants():
        cells.setdefault(spec.base.replace(cell).variant_hash, cell)
    alive = list(cells)
    copies: list[Copy] = []
    goals = range(spec.population.period_epochs, spec.base.epochs, spec.population.period_epochs)
    for goal in goals:
        try:
            scores = {variant: _score(spec, cells[variant], goal, look) for variant in alive}
        except Unknown:
            return Lineage(cells, tuple(alive), tuple(copies), goal)
        for copy, settings in _generation(spec.population, spec.base, cells, scores, goal):
            cells[copy.variant] = settings
            alive[alive.index(copy.instead)] = copy.variant
            copies.append(copy)
    return Lineage(cells, tuple(alive), tuple(copies), spec.base.epochs)


def recorded(records: TrialRecords, metric: str) -> Look:
    """Looks trials up in the records, whoever made them."""

    def look(config: TrialConfig, epochs: int) -> float | None:
        found = records.epochs(trial := config.trial_hash)
        if len(found) >= epochs:
            return found[epochs - 1].metrics.get(metric)
        record = records.read(trial)
        if record is None or record.status not in ENDED:
            raise Unknown
        return None

    return look


def _score(spec: SweepSpec, cell: Cell, epochs: int, look: Look) -> float:
    """The higher the better; minus infinity for a variant of which no trial got so far."""
    config = spec.base.replace(cell)
    values = [look(config.replace({"seed": seed}), epochs) for seed in spec.seeds]
    measured = [value for value in values if value is not None]
    sign = 1 if schema.metric(spec.metric).better == "higher" else -1
    return sign * fmean(measured) if measured else -math.inf


def _generation(
    population: Scheduler, base: TrialConfig, cells: Mapping[str, Cell], scores: Mapping[str, float], epoch: int
) -> list[tuple[Copy, Cell]]:
    """The copies to be made after `epoch` epochs, with their settings, given the variants' scores."""
    ranked = sorted(scores, key=lambda variant: scores[variant], reverse=True)
    count = max(1, int(len(ranked) * population.quantile))
    best = [variant for variant in ranked[:count] if scores[variant] > -math.inf]
    draw = random.Random(f"{population.seed} {epoch}")
    made: dict[str, tuple[Copy, Cell]] = {}
    for instead in ranked[-count:] if best else ():
        if instead in best:
            continue
        of = draw.choice(best)
        cell = _changed(population, base, cells[of], epoch, draw)
        variant = base.replace(cell).variant_hash
        if variant not in cells and variant not in made:
            made[variant] = Copy(variant, of, instead, epoch), cell
    return list(made.values())


def _changed(population: Scheduler, base: TrialConfig, cell: Cell, epoch: int, draw: random.Random) -> Cell:
    """The settings with some of them times a drawn factor from `epoch` on, where that is allowed."""
    config = base.replace(cell)
    now = config.at(epoch).flat()
    changes: Sequence[Change] = config.changes
    for setting in population.change:
        for factor in draw.sample(population.factors, len(population.factors)):
            further = [*changes, Change(epoch, setting, float(f"{factor * now[setting]:.4g}"))]
            try:
                base.replace({**cell, CHANGES: written(further)})
            except ValidationError:
                continue
            changes = further
            break
    return {**cell, CHANGES: written(changes)}
