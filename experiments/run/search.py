"""Chooses a sweep's variants by the results of earlier ones: Optuna through Ray Tune."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from ray.tune.search.optuna import OptunaSearch

from analysis.store.plan import Suggestion
from experiments.planning.plan import Trial, expand
from experiments.run.state import SweepState
from experiments.run.variant_source import Grow, Step, Train, in_order
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

    A search that goes on repeats what it did: the plan tells which results each suggestion was based on. The newest
    variant never counts among them, since whether it ended a moment before or after would be chance.

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
        self._left = state.pending()  # of earlier suggestions
        self._past = state.plan.suggestions  # to be repeated
        self._is_resumed = False
        self._begin(drawn=0)

    def _begin(self, *, drawn: int) -> None:
        """Begin with an Optuna that knows nothing; `drawn` variants were suggested without a record of how."""
        self._optuna = _optuna(self._spec, drawn=drawn)
        self._suggestions: list[Suggestion] = []
        self._told: set[int] = set()  # numbers of suggestions
        self._unexplained = list(self._variants) if drawn else []  # variants of which it was not told yet

    def supply(self) -> Iterator[Step]:
        """Finish what was suggested before; then another variant, unless there are enough or nothing new is left."""
        left, self._left = self._left, []
        yield from map(Train, left)
        if left or not (self._is_resumed or self._resume()):
            return
        for _ in range(MAX_REPEATS if len(self._variants) < self._wanted else 0):
            settings, variant = self._suggest(self._news())
            if variant not in self._variants:
                yield from self._plan(settings, variant)
                return
        self._wanted = len(self._variants)  # nothing new is left

    def _resume(self) -> bool:
        """Repeat the suggestions of earlier runs; False while one was based on a trial that has to run again."""
        if not all(self._has_ended(self._past[number].variant) for one in self._past for number in one.told):
            return False
        self._is_resumed = True
        for one in self._past:
            if self._suggest(one.told)[1] != one.variant:  # another version of Optuna, or of what was recorded
                break
        if len(self._past) < len(self._variants) or self._suggestions != list(self._past):
            self._begin(drawn=len(self._variants))
        return True

    def _suggest(self, told: Sequence[int]) -> tuple[dict[str, Any], str]:
        """Tell Optuna of earlier suggestions; its next one, and the hash of that variant."""
        for number in told:
            score = self._score(self._suggestions[number].variant)
            result = None if score is None else {SCORE: score}
            self._optuna.on_trial_complete(str(number), result, error=score is None)
        self._told.update(told)
        for variant in [variant for variant in self._unexplained if self._has_ended(variant)]:
            self._unexplained.remove(variant)
            if (score := self._score(variant)) is not None:
                self._optuna.add_evaluated_point(dict(self._variants[variant][0].settings), score)
        settings = _readable(self._optuna.suggest(str(len(self._suggestions))) or {})
        variant = self._spec.base.replace(settings).variant_hash
        self._suggestions.append(Suggestion(variant, tuple(told)))
        return settings, variant

    def _news(self) -> list[int]:
        """Numbers of the suggestions to tell: their variants have ended, and are not the newest."""
        newest = next(reversed(self._variants), None)
        return [
            number
            for number, one in enumerate(self._suggestions)
            if number not in self._told and one.variant != newest and self._has_ended(one.variant)
        ]

    def _plan(self, settings: Mapping[str, Any], variant: str) -> Iterator[Step]:
        known = [trials[0].settings for trials in self._variants.values()]
        plan = expand(self._spec, [*known, settings])
        new = [trial for trial in plan.trials if trial.variant == variant]
        self._variants[variant] = new
        yield Grow(replace(plan, suggestions=tuple(self._suggestions)))
        yield from in_order((trial for trial in new if self._state[trial.trial].is_pending), self._spec.seeds)

    def _has_ended(self, variant: str) -> bool:
        return all(self._state[trial.trial].status in ENDED for trial in self._variants[variant])

    def _score(self, variant: str) -> float | None:
        stands = [self._state[trial.trial] for trial in self._variants[variant]]
        metric = self._spec.metric
        values = [one.metrics[metric] for one in stands if one.status in _SCORED and metric in one.metrics]
        return fmean(values) if values else None


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
