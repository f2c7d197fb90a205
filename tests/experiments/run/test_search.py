import math
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from experiments.planning.plan import SweepPlan, expand, plan_in
from experiments.results.folder import Results
from experiments.results.trial_records import TrialRecords
from experiments.run.resume import ResumePolicy, WhichTrials
from experiments.run.search import Search
from experiments.run.state import SweepState
from experiments.run.variant_source import Grow, Step, Train
from experiments.sweep_spec.spec import SweepSpec
from ottt.schema import Status
from tests.experiments.specs import HERE, recorded, spec

LR = {"optim.lr": "loguniform(0.0001, 1)"}


def search(trials: int, space: dict[str, Any] = LR, *, sampler: str = "tpe", seeds: int = 2) -> SweepSpec:
    settings = {"name": "optuna", "sampler": sampler, "trials": trials, "space": space}
    return spec(search=settings, seeds=seeds, base={"epochs": 1})


def quality(lr: float) -> float:
    return 1 - abs(math.log10(lr) + 1) / 4


class Runner:
    """Runs what is suggested, without training: val/top1 is `quality` of the rate plus a hundredth of the seed."""

    def __init__(self, sweep: SweepSpec, records: TrialRecords, plan: SweepPlan | None = None) -> None:
        self.records = records
        self.failing: set[int] = set()
        self.state = SweepState(plan or expand(sweep))
        self.resume = ResumePolicy(records, HERE, WhichTrials.MISSING)
        self.resume.take_stock(self.state, self.state.plan.trials)
        self.search = Search(sweep, self.state)

    def run(self) -> list[float]:
        """Learning rates in the order tried."""
        rates = []
        while steps := [self._take(step) for step in self.search.supply()]:
            rates += [rate for rate in steps if rate is not None]
        return rates

    def run_until(self, trials: int) -> None:
        """Run so many trials, and no further."""
        has_more = True
        while has_more:
            has_more = False
            for step in self.search.supply():
                if isinstance(step, Train) and not trials:
                    return
                trials -= isinstance(step, Train)
                has_more = True
                self._take(step)

    def _take(self, step: Step) -> float | None:
        """The rate of a variant that is new."""
        match step:
            case Grow(plan):
                new = self.state.extend(plan)
                self.resume.take_stock(self.state, new)
                return float(new[0].config.optim.lr)
            case Train(trial):
                value = quality(trial.config.optim.lr) + trial.seed / 100
                status = Status.FAILED if trial.seed in self.failing else Status.FINISHED
                recorded(self.records, trial, status, values=[value])
                self.state.adopt(trial.trial, status, self.records.epochs(trial.trial))
        return None


@pytest.fixture
def records(tmp_path: Path) -> TrialRecords:
    return TrialRecords(tmp_path / "trials")


def test_every_suggestion_runs_with_every_seed(records: TrialRecords) -> None:
    runner = Runner(search(5), records)
    rates = runner.run()
    assert len(set(rates)) == 5
    assert [trial.seed for trial in runner.state.plan.trials] == [0, 1] * 5
    assert all(0.0001 <= rate <= 1 for rate in rates)
    assert list(runner.search.supply()) == []


def test_tpe_learns_from_the_metric_and_random_does_not(records: TrialRecords, tmp_path: Path) -> None:
    learnt = Runner(search(40), records).run()
    drawn = Runner(search(40, sampler="random"), TrialRecords(tmp_path / "other")).run()
    assert fmean(map(quality, learnt[20:])) > fmean(map(quality, drawn[20:])) + 0.1


def test_numbers_have_four_digits(records: TrialRecords) -> None:
    assert all(float(f"{rate:.4g}") == rate for rate in Runner(search(5), records).run())


def test_a_search_resumes_where_it_ended(records: TrialRecords, tmp_path: Path) -> None:
    first = Runner(search(10), records)
    first.run()
    results = Results(tmp_path)
    results.write_plan(first.state.plan, "")
    plan = plan_in(results, search(12))
    assert plan.trials == first.state.plan.trials
    second = Runner(search(12), records, plan)
    assert len(second.run()) == 2
    assert second.state.plan.trials[:20] == first.state.plan.trials
    changed = search(12).model_copy(update={"base": search(12).base.replace({"T": 2})})
    assert plan_in(results, changed).trials == ()


def rates(plan: SweepPlan) -> list[float]:
    return list(dict.fromkeys(trial.config.optim.lr for trial in plan.trials))


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_search_draws_the_same_wherever_it_was_interrupted(tmp_path: Path, sampler: str) -> None:
    sweep = search(16, sampler=sampler)  # TPE draws ten at random before it models
    whole = Runner(sweep, TrialRecords(tmp_path / "whole")).run()
    for trials in (1, 12, 21, 28):
        results = Results(tmp_path / f"interrupted-{trials}")
        first = Runner(sweep, results.records)
        first.run_until(trials)
        results.write_plan(first.state.plan, "")
        second = Runner(sweep, results.records, plan_in(results, sweep))
        second.run()
        assert rates(second.state.plan) == whole


def test_a_longer_search_begins_with_the_shorter_one(tmp_path: Path) -> None:
    results = Results(tmp_path / "short")
    short = Runner(search(6), results.records)
    short.run()
    results.write_plan(short.state.plan, "")
    longer = Runner(search(14), results.records, plan_in(results, search(14)))
    longer.run()
    assert rates(longer.state.plan) == Runner(search(14), TrialRecords(tmp_path / "whole")).run()


def test_a_search_whose_plan_is_damaged_finds_its_records(tmp_path: Path) -> None:
    results = Results(tmp_path)
    first = Runner(search(12), results.records)
    first.run()
    results.write_plan(first.state.plan, "")
    path = tmp_path / "sweeps" / "s" / "plan.json"
    path.write_bytes(path.read_bytes()[:-40])
    plan = plan_in(results, search(12))
    assert plan.trials == ()
    assert "plan.json" in plan.notes[0]
    again = Runner(search(12), results.records, plan)
    again.run_until(0)  # nothing is trained
    assert rates(again.state.plan) == rates(first.state.plan)


def test_earlier_plans_do_not_tell_how_a_search_went_and_it_goes_on(tmp_path: Path) -> None:
    results = Results(tmp_path)
    first = Runner(search(6), results.records)
    first.run()
    results.write_plan(replace(first.state.plan, suggestions=()), "")
    second = Runner(search(9), results.records, plan_in(results, search(9)))
    assert len(second.run()) == 3
    assert rates(second.state.plan)[:6] == rates(first.state.plan)


def test_a_suggestion_of_which_all_trials_failed_is_not_scored(records: TrialRecords) -> None:
    runner = Runner(search(3), records)
    runner.failing = {0, 1}
    assert len(runner.run()) == 3


def test_a_space_that_is_used_up_ends_the_search(records: TrialRecords) -> None:
    runner = Runner(search(10, {"optim.lr": [0.1, 0.2], "rule.update": ["online"]}), records)
    assert sorted(runner.run()) == [0.1, 0.2]
