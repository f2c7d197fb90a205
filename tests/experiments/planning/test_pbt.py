import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from experiments.planning.pbt import CHANGES, NotReached, PopulationState, population_state, recorded_metric
from experiments.planning.plan import expand
from experiments.results.trial_records import TrialRecords
from experiments.sweep_spec.spec import SweepSpec
from ottt.config.trial import TrialConfig
from ottt.errors import UserError
from ottt.schema import Status
from tests.experiments.specs import recorded, spec

RATES = [0.4, 0.2, 0.1, 0.05]


def population(metric: str = "val/top1", **scheduler: Any) -> SweepSpec:
    settings = {"name": "pbt", "period_epochs": 2} | scheduler
    return spec(axes={"optim.lr": RATES}, seeds=2, base={"epochs": 7}, metric=metric, scheduler=settings)


class World:
    """Trials of which any number of epochs can be known; `score` of the rate in force, plus the seed."""

    def __init__(self, sweep: SweepSpec, epochs: int) -> None:
        self.sweep = sweep
        self.epochs = epochs
        self.asked: list[int] = []

    def found(self) -> PopulationState:
        return population_state(self.sweep, self._metric_at)

    def _metric_at(self, config: TrialConfig, epochs: int) -> float | None:
        if epochs > self.epochs:
            raise NotReached
        self.asked.append(epochs)
        return 1 - abs(math.log10(config.at(epochs - 1).optim.lr) + 1) + config.seed / 100


def test_nothing_is_decided_before_all_have_got_that_far() -> None:
    found = World(population(), 1).found()
    assert [settings["optim.lr"] for settings in found.settings.values()] == RATES
    assert (len(found.alive), found.copies, found.goal) == (4, (), 2)


def test_a_copy_of_the_best_takes_the_place_of_the_worst() -> None:
    world = World(population(), 2)
    found = world.found()
    assert found.goal == 4
    assert len(found.alive) == 4
    (copy,) = found.copies
    assert found.settings[copy.parent] == {"optim.lr": 0.1}
    assert found.settings[copy.replaces] == {"optim.lr": 0.4}  # log10 further from -1 than 0.05
    assert found.alive[0] == copy.variant
    assert found.settings[copy.variant]["optim.lr"] == 0.1
    assert found.settings[copy.variant][CHANGES] in {"optim.lr=0.08 after 2", "optim.lr=0.125 after 2"}
    assert world.asked == [2] * 8


def test_lower_is_better_for_a_loss() -> None:
    (copy,) = World(population("val/loss"), 2).found().copies
    assert copy.parent == population().base.replace({"optim.lr": 0.4}).variant_hash


def test_half_may_be_replaced_and_the_seed_decides_by_what() -> None:
    def copies(seed: int) -> list[Mapping[str, Any]]:
        found = World(population(quantile=0.5, seed=seed), 2).found()
        replaced = {found.settings[copy.replaces]["optim.lr"] for copy in found.copies}
        assert replaced == {0.4, 0.05} or len(found.copies) < 2
        return [found.settings[copy.variant] for copy in found.copies]

    assert copies(0) == copies(0)
    assert len({str(copies(seed)) for seed in range(6)}) > 1


def test_the_last_comparison_is_before_the_last_epoch() -> None:
    found = World(population(), 6).found()
    assert [copy.epoch for copy in found.copies] == [2, 4, 6]
    assert found.goal == 7
    assert len(found.settings) == 4 + 3


def test_what_ended_without_a_value_is_the_worst_and_copies_nothing(tmp_path: Path) -> None:
    sweep, records = population(), TrialRecords(tmp_path)
    trials = expand(sweep).trials
    for trial in trials[:6]:
        recorded(records, trial, Status.INTERRUPTED, values=[0.5, 0.5 + trial.config.optim.lr])
    for trial in trials[6:]:
        recorded(records, trial, Status.DIVERGED, values=[0.5])
    (copy,) = population_state(sweep, recorded_metric(records, "val/top1")).copies
    assert (copy.parent, copy.replaces) == (trials[0].variant, trials[6].variant)
    for trial in trials:
        recorded(records, trial, Status.FAILED)
    found = population_state(sweep, recorded_metric(records, "val/top1"))
    assert (found.copies, found.goal) == ((), 7)


def test_a_factor_that_is_not_allowed_is_not_taken() -> None:
    sweep = spec(
        axes={"loss.mse_weight": [0.9, 0.1]},
        base={"epochs": 3},
        scheduler={"name": "pbt", "change": ["loss.mse_weight"], "factors": [1.25, 1.2, 1.1]},
    )
    found = population_state(sweep, lambda config, epochs: config.loss.mse_weight if epochs < 2 else 0.0)
    first = found.copies[0]
    assert found.settings[first.variant][CHANGES] == "loss.mse_weight=0.99 after 1"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"axes": {"optim.lr": [0.1]}}, "scheduler.name pbt needs at least 2 variants to compare, got 1"),
        ({"axes": {"epochs": [5, 6]}}, "axes.epochs cannot be varied with pbt"),
        ({"scheduler": {"name": "pbt", "period_epochs": 7}}, "scheduler.period_epochs must be < epochs = 7, got 7"),
        ({"scheduler": {"name": "pbt", "change": ["neuron.tau"]}}, "scheduler.change must name some of optim.lr"),
        (
            {"scheduler": {"name": "pbt", "change": ["optim.weight_decay"]}},
            "scheduler.change: a factor leaves optim.weight_decay = 0 as it is",
        ),
    ],
)
def test_a_population_that_cannot_be(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as raised:
        spec(**({"axes": {"optim.lr": RATES}, "base": {"epochs": 7}, "scheduler": {"name": "pbt"}} | values))
    assert said in str(raised.value)
