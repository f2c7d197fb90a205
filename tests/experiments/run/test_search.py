import math
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from experiments.planning.plan import SweepPlan, expand, plan_in
from experiments.results.folder import Results
from experiments.results.trial_records import TrialRecords
from experiments.run.progress import Progress
from experiments.run.search import Searcher
from experiments.spec.spec import SweepSpec
from ottt.schema import Status
from tests.experiments.specs import recorded, spec

LR = {"optim.lr": "loguniform(0.0001, 1)"}


def search(trials: int, space: dict[str, Any] = LR, *, sampler: str = "tpe", seeds: int = 2) -> SweepSpec:
    settings = {"name": "optuna", "sampler": sampler, "trials": trials, "space": space}
    return spec(search=settings, seeds=seeds, base={"epochs": 1})


def quality(lr: float) -> float:
    return 1 - abs(math.log10(lr) + 1) / 4


class Driver:
    """Runs what is suggested, without training: val/top1 is `quality` of the rate plus a hundredth of the seed."""

    def __init__(self, sweep: SweepSpec, records: TrialRecords, plan: SweepPlan | None = None) -> None:
        self.progress = Progress(plan or expand(sweep))
        self.records = records
        self.failing: set[int] = set()
        self.searcher = Searcher(sweep, self.progress, records, self._planned)

    def _planned(self, plan: SweepPlan, new: Any) -> None:
        self.progress.extend(plan)
        self.new = new

    def run(self) -> list[float]:
        """Learning rates in the order tried."""
        rates = []
        while self.searcher.suggest():
            rates.append(self.new[0].config.optim.lr)
            for trial in self.new:
                value = quality(trial.config.optim.lr) + trial.seed / 100
                status = Status.FAILED if trial.seed in self.failing else Status.FINISHED
                recorded(self.records, trial, status, values=[value])
                self.progress.end(trial, status, {"val/top1": value})
                self.searcher.ended(trial.trial)
        return rates


@pytest.fixture
def records(tmp_path: Path) -> TrialRecords:
    return TrialRecords(tmp_path / "trials")


def test_every_suggestion_runs_with_every_seed(records: TrialRecords) -> None:
    driver = Driver(search(5), records)
    rates = driver.run()
    assert len(set(rates)) == 5
    assert [trial.seed for trial in driver.progress.plan.trials] == [0, 1] * 5
    assert all(0.0001 <= rate <= 1 for rate in rates)
    assert not driver.searcher.suggest()


def test_tpe_learns_from_the_metric_and_random_does_not(records: TrialRecords, tmp_path: Path) -> None:
    learnt = Driver(search(40), records).run()
    drawn = Driver(search(40, sampler="random"), TrialRecords(tmp_path / "other")).run()
    assert fmean(map(quality, learnt[20:])) > fmean(map(quality, drawn[20:])) + 0.1


def test_numbers_have_four_digits(records: TrialRecords) -> None:
    assert all(float(f"{rate:.4g}") == rate for rate in Driver(search(5), records).run())


def test_a_search_goes_on_where_it_ended(records: TrialRecords, tmp_path: Path) -> None:
    first = Driver(search(10), records)
    first.run()
    results = Results(tmp_path)
    results.write_plan(first.progress.plan, "")
    plan = plan_in(results, search(12))
    assert plan.trials == first.progress.plan.trials
    second = Driver(search(12), records, plan)
    for trial in plan.trials:
        second.progress.end(trial, Status.FINISHED, {})
    second.searcher = Searcher(search(12), second.progress, records, second._planned)
    assert len(second.run()) == 2
    assert second.progress.plan.trials[:20] == first.progress.plan.trials
    changed = search(12).model_copy(update={"base": search(12).base.replace({"T": 2})})
    assert plan_in(results, changed).trials == ()


def test_a_suggestion_of_which_all_trials_failed_is_not_scored(records: TrialRecords) -> None:
    driver = Driver(search(3), records)
    driver.failing = {0, 1}
    assert len(driver.run()) == 3


def test_a_space_that_is_used_up_ends_the_search(records: TrialRecords) -> None:
    driver = Driver(search(10, {"optim.lr": [0.1, 0.2], "rule.update": ["online"]}), records)
    assert sorted(driver.run()) == [0.1, 0.2]
