"""Choosing a sweep's variants by the results of earlier ones: Optuna through Ray Tune."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from ray.tune.search.optuna import OptunaSearch

from experiments.planning.plan import SweepPlan, Trial, expand
from experiments.results.trial_records import TrialRecords
from experiments.run.progress import Progress
from experiments.spec.search_space import Choice, Domain, domain
from experiments.spec.spec import SweepSpec
from ottt import schema
from ottt.schema import ENDED, Status

SCORE = "score"
MAX_REPEATS = 50  # suggestions in a row that were made before: a space of a few choices is used up
_SCORED = frozenset({Status.FINISHED, Status.STOPPED_EARLY})


class Searcher:
    """Suggests variants and learns how good they were.

    A variant is as good as the mean of the sweep's metric, at the last epoch, over its seeds. One without any such
    value, since all its trials failed or diverged, is a failed suggestion.

    Args:
        spec: with a search.
        progress: of the sweep, its plan all that was suggested before.
        records: of all trials.
        planned: told the plan whenever it has grown, and the new trials.
    """

    def __init__(
        self,
        spec: SweepSpec,
        progress: Progress,
        records: TrialRecords,
        planned: Callable[[SweepPlan, Sequence[Trial]], None],
    ) -> None:
        assert spec.search is not None
        self._spec = spec
        self._wanted = spec.search.trials
        self._progress = progress
        self._records = records
        self._planned = planned
        self._variants: dict[str, list[Trial]] = {}
        for trial in progress.plan.trials:
            self._variants.setdefault(trial.variant, []).append(trial)
        self._optuna = _optuna(spec, drawn=len(self._variants))
        self._asked: dict[str, str] = {}  # number of the suggestion, by variant, of those made now
        self._count = 0
        self._told: set[str] = set()
        for variant in self._variants:
            self._tell(variant)

    def suggest(self) -> bool:
        """SweepPlan another variant; False once there are as many as were asked for, or nothing new is left."""
        for _ in range(MAX_REPEATS if len(self._variants) < self._wanted else 0):
            self._count += 1
            number = str(self._count)
            settings = _readable(self._optuna.suggest(number) or {})
            variant = self._spec.base.replace(settings).variant_hash
            if variant not in self._variants:
                self._asked[variant] = number
                self._plan(settings, variant)
                return True
            self._learn(number, self._score(variant))
        return False

    def ended(self, trial: str) -> None:
        """The trial has ended for good."""
        self._tell(self._progress.planned(trial).variant)

    def _plan(self, settings: Mapping[str, Any], variant: str) -> None:
        known = [trials[0].settings for trials in self._variants.values()]
        plan = expand(self._spec, [*known, settings])
        new = [trial for trial in plan.trials if trial.variant == variant]
        self._variants[variant] = new
        self._planned(plan, new)
        self._tell(variant)

    def _tell(self, variant: str) -> None:
        """Tell Optuna how good the variant is, once all its trials have ended."""
        trials = self._variants[variant]
        if variant in self._told or any(self._progress.statuses.get(trial.trial) not in ENDED for trial in trials):
            return
        self._told.add(variant)
        score = self._score(variant)
        if variant in self._asked:
            self._learn(self._asked[variant], score)
        elif score is not None:
            self._optuna.add_evaluated_point(dict(trials[0].settings), score)

    def _score(self, variant: str) -> float | None:
        metric = self._spec.metric
        values = []
        for trial in self._variants[variant]:
            epochs = self._records.epochs(trial.trial)
            if self._progress.statuses.get(trial.trial) in _SCORED and epochs and metric in epochs[-1].metrics:
                values.append(epochs[-1].metrics[metric])
        return fmean(values) if values else None

    def _learn(self, number: str, score: float | None) -> None:
        self._optuna.on_trial_complete(number, None if score is None else {SCORE: score}, error=score is None)


def _optuna(spec: SweepSpec, *, drawn: int) -> OptunaSearch:
    """Ray's searcher; `drawn` suggestions were made before, so its random draws start elsewhere than theirs."""
    assert spec.search is not None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seed = spec.search.seed + drawn
    sampler: BaseSampler = TPESampler(seed=seed) if spec.search.sampler == "tpe" else RandomSampler(seed=seed)
    return OptunaSearch(
        space={key: _distribution(domain(given)) for key, given in spec.search.space.items()},
        metric=SCORE,
        mode="max" if schema.metric(spec.metric).better == "higher" else "min",
        sampler=sampler,
    )


def _readable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with numbers of four digits: nobody can tell more apart, and tables show them."""
    return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in settings.items()}


def _distribution(chosen: Domain) -> BaseDistribution:
    if isinstance(chosen, Choice):
        return CategoricalDistribution(chosen.values)
    if chosen.is_whole:
        return IntDistribution(int(chosen.low), int(chosen.high))
    return FloatDistribution(chosen.low, chosen.high, log=chosen.is_log)
