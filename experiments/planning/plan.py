"""A sweep's trials: the deterministic expansion of its spec."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from analysis.store.plan import Plan, PlannedTrial
from experiments.planning.pbt import population_state, recorded_metric
from experiments.results.folder import Results
from experiments.results.trial_records import Record
from experiments.sweep_spec.run_settings import matches
from experiments.sweep_spec.spec import SweepSpec
from ottt.config.trial import TrialConfig
from ottt.errors import UserError
from ottt.schema import SETTLED, Status


@dataclass(frozen=True)
class Trial(PlannedTrial):
    """A planned trial with all its settings.

    Attributes:
        config: the configuration to train.
    """

    config: TrialConfig


@dataclass(frozen=True)
class SweepPlan(Plan):
    """A plan whose trials can be trained.

    Attributes:
        spec: the spec that it expands.
        trials: variant by variant in the order of the spec, each with all seeds.
        notes: sentences on what the expansion left out.
    """

    trials: tuple[Trial, ...]
    spec: SweepSpec = field(kw_only=True)
    notes: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        return self.as_html(self.notes)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What IPython shows as text; it looks for it in the class that has a `__repr__`."""
        printer.text(self.summary)

    @property
    def done(self) -> frozenset[Status]:
        """How a trial may stand that need not run again."""
        return done_statuses(stops_early=self.stops_early)

    def is_done(self, record: Record | None) -> bool:
        """Whether the trial of `record` need not run again for this sweep."""
        return record is not None and record.status in self.done and is_own(record, self.name)


def label(settings: Mapping[str, Any]) -> str:
    """The settings in one line; empty texts say nothing."""
    return " ".join(f"{key}={value}" for key, value in settings.items() if value != "") or "base"


def done_statuses(*, stops_early: bool) -> frozenset[Status]:
    """A trial that a scheduler ended is no result of a sweep without one."""
    return SETTLED if stops_early else SETTLED - {Status.STOPPED_EARLY}


def is_own(record: Record, sweep: str) -> bool:
    """Whether the record is of use to `sweep`: every one but those that another sweep's scheduler stopped."""
    return record.status is not Status.STOPPED_EARLY or record.sweep == sweep


def expand(spec: SweepSpec, cells: Iterable[Mapping[str, Any]] | None = None) -> SweepPlan:
    """The trials of a checked `spec`. Variants whose result must be the same are planned once, with a note.

    Args:
        spec: of the sweep.
        cells: settings of its variants, where a search or a population chose them; None: those of the spec.
    """
    trials: list[Trial] = []
    labels: dict[str, str] = {}
    notes: list[str] = []
    baseline = None
    varied = spec.varied()
    for cell in spec.variants() if cells is None and spec.search is None else cells or ():
        config = spec.base.replace(cell)
        variant, hashes = config.hashes(spec.seeds)
        flat = config.flat()
        settings = {key: flat[key] for key in varied}
        words = label(settings)
        if spec.baseline is not None and matches(cell, spec.baseline):
            baseline = variant
        if (first := labels.get(variant)) is not None:
            notes.append(f"{words} gives the same trials as {first}: planned once")
            continue
        labels[variant] = words
        for seed, trial in zip(spec.seeds, hashes, strict=True):
            trials.append(Trial(trial, variant, words, seed, settings, config.with_seed(seed)))
    chosen = next((trial.settings for trial in trials if trial.variant == baseline), None)
    return SweepPlan(
        spec=spec,
        name=spec.name,
        metric=spec.metric,
        axes=tuple(varied),
        baseline=chosen,
        trials=tuple(trials),
        notes=tuple(notes),
        stops_early=spec.scheduler is not None,
    )


def plan_in(results: Results, spec: SweepSpec) -> SweepPlan:
    """The trials of `spec`; those of a search or a population as far as they were chosen when it last ran there.

    Where the plan of a search is damaged, the search repeats its suggestions, and finds the records of their trials.
    """
    if spec.population is not None:
        return expand(spec, population_state(spec, recorded_metric(results.records, spec.metric)).settings.values())
    if spec.search is None or not results.has_plan(spec.name):
        return expand(spec)
    earlier: dict[str, Mapping[str, Any]] = {}
    try:
        stored = results.read_plan(spec.name)
    except UserError as error:
        return replace(expand(spec), notes=error.problems)
    for trial in stored.trials:
        settings = trial.settings
        if set(settings) == set(spec.search.space) and spec.base.replace(settings).variant_hash == trial.variant:
            earlier[trial.variant] = settings
    is_whole = all(one.variant in earlier for one in stored.suggestions)
    return replace(expand(spec, earlier.values()), suggestions=stored.suggestions if is_whole else ())
