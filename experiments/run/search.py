"""Chooses a sweep's variants by the results of earlier ones: Optuna through Ray Tune."""

from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from ray.tune.search.optuna import OptunaSearch

from experiments.planning.plan import Trial, expand
from experiments.run.state import SweepState
from experiments.run.variant_source import Grow, Step, in_order
from experiments.sweep_spec.search_space import Categorical, Domain, domain
from experiments.sweep_spec.spec import SweepSpec
from experiments.worker.step_report import SCORE
from ottt import schema
from ottt.schema import ENDED, Status

MAX_REPEATS = 50  # suggestions in a row that were made before: a space of a few choices is used up
_SCORED = frozenset({Status.FINISHED, Status.STOPPED_EARLY})


class Search:
    """A `VariantSource` that suggests variants and learns how good they were.

    A variant is as good as the mean of the sweep's metric, at the last epoch, over its seeds. One without any such
    value, since all its trials failed or diverged, is a failed suggestion.

    Args:
        spec: a spec with a search.
        state: state of the sweep, its plan all that was suggested before.
    """

    def __init__(self, spec: SweepSpec, state: SweepState) -> None:
        assert spec.search is not None
        self._spec = spec
        self._wanted = spec.search.trials
        self._state = state
        self._variants: dict[str, list[Trial]] = {}
        for trial in state.plan.trials:
            self._variants.setdefault(trial.variant, []).append(trial)
        self._optuna = _optuna(spec, drawn=len(self._variants))
        self._left = state.pending()  # of earlier suggestions
        self._asked: dict[str, str] = {}  # number of the suggestion, by variant, of those made now
        self._count = 0
        self._told: set[str] = set()

    def supply(self) -> Iterator[Step]:
        """Finish what was suggested before; then another variant, unless there are enough or nothing new is left."""
        self._tell()
        if self._left:
            left, self._left = self._left, []
            yield from in_order(left, self._spec.seeds)
            return
        for _ in range(MAX_REPEATS if len(self._variants) < self._wanted else 0):
            self._count += 1
            number = str(self._count)
            settings = _readable(self._optuna.suggest(number) or {})
            variant = self._spec.base.replace(settings).variant_hash
            if variant not in self._variants:
                self._asked[variant] = number
                yield from self._plan(settings, variant)
                return
            self._learn(number, self._score(variant))

    def _plan(self, settings: Mapping[str, Any], variant: str) -> Iterator[Step]:
        known = [trials[0].settings for trials in self._variants.values()]
        plan = expand(self._spec, [*known, settings])
        new = [trial for trial in plan.trials if trial.variant == variant]
        self._variants[variant] = new
        yield Grow(plan)
        yield from in_order((trial for trial in new if self._state[trial.trial].is_pending), self._spec.seeds)

    def _tell(self) -> None:
        """Tell Optuna how good the variants are whose trials have all ended."""
        for variant, trials in self._variants.items():
            if variant in self._told or any(self._state[trial.trial].status not in ENDED for trial in trials):
                continue
            self._told.add(variant)
            score = self._score(variant)
            if variant in self._asked:
                self._learn(self._asked[variant], score)
            elif score is not None:
                self._optuna.add_evaluated_point(dict(trials[0].settings), score)

    def _score(self, variant: str) -> float | None:
        stands = [self._state[trial.trial] for trial in self._variants[variant]]
        metric = self._spec.metric
        values = [one.metrics[metric] for one in stands if one.status in _SCORED and metric in one.metrics]
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
    if isinstance(chosen, Categorical):
        return CategoricalDistribution(chosen.values)
    if chosen.is_whole:
        return IntDistribution(int(chosen.low), int(chosen.high))
    return FloatDistribution(chosen.low, chosen.high, log=chosen.is_log)
