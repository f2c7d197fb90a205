"""A sweep's trials: the deterministic expansion of its spec."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.folder import Results
from experiments.lineage import lineage, recorded
from experiments.records import Record
from experiments.sections import matches
from experiments.spec import SweepSpec
from ottt.config import TrialConfig
from ottt.schema import SETTLED, Status


@dataclass(frozen=True)
class PlannedTrial:
    """One trial of a sweep.

    Attributes:
        config: all its settings.
        trial: hash of what determines its result.
        variant: the same without the seed.
        label: the variant in words, e.g. "rule.update=online neuron.tau=2.0".
        settings: the varied ones, as the configuration has them (2 becomes 2.0).
        seed: of the trial.
    """

    config: TrialConfig
    trial: str
    variant: str
    label: str
    settings: Mapping[str, Any]
    seed: int


@dataclass(frozen=True)
class Plan:
    """All trials of a sweep.

    Attributes:
        name: of the sweep.
        metric: what is optimised.
        axes: the varied settings.
        baseline: settings of the variant that the others are compared with, or None.
        trials: variant by variant in the order of the spec, each with all seeds.
        notes: sentences on what the expansion left out.
        stops_early: whether a scheduler may end trials: only then are those that one ended done.
    """

    name: str
    metric: str
    axes: tuple[str, ...]
    baseline: Mapping[str, Any] | None
    trials: tuple[PlannedTrial, ...]
    notes: tuple[str, ...] = ()
    stops_early: bool = False

    @property
    def done(self) -> frozenset[Status]:
        """How a trial may stand that need not run again."""
        return done_statuses(stops_early=self.stops_early)

    def is_done(self, record: Record | None) -> bool:
        """Whether the trial of `record` need not run again for this sweep."""
        return record is not None and record.status in self.done and is_own(record, self.name)

    def to_json(self) -> dict[str, Any]:
        """What the plan artifact holds; `analysis.planned` reads it."""
        trials = [
            {
                "trial": trial.trial,
                "variant": trial.variant,
                "label": trial.label,
                "seed": trial.seed,
                "settings": dict(trial.settings),
            }
            for trial in self.trials
        ]
        return {
            "name": self.name,
            "metric": self.metric,
            "axes": list(self.axes),
            "baseline": None if self.baseline is None else dict(self.baseline),
            "stops_early": self.stops_early,
            "trials": trials,
        }

    def run_name(self, trial: PlannedTrial) -> str:
        """The trial in a few words, e.g. "update=online tau=2.0 seed=1"."""
        last_parts = Counter(key.split(".")[-1] for key in self.axes)
        settings = {
            short if last_parts[short := key.split(".")[-1]] == 1 else key: value
            for key, value in trial.settings.items()
        }
        return label(settings | {"seed": trial.seed})


def label(settings: Mapping[str, Any]) -> str:
    """The settings in one line; empty texts say nothing."""
    return " ".join(f"{key}={value}" for key, value in settings.items() if value != "") or "base"


def done_statuses(*, stops_early: bool) -> frozenset[Status]:
    """A trial that a scheduler ended is no result of a sweep without one."""
    return SETTLED if stops_early else SETTLED - {Status.STOPPED_EARLY}


def is_own(record: Record, sweep: str) -> bool:
    """Whether the record is of use to `sweep`: every one but those that another sweep's scheduler stopped."""
    return record.status is not Status.STOPPED_EARLY or record.sweep == sweep


def expand(spec: SweepSpec, cells: Iterable[Mapping[str, Any]] | None = None) -> Plan:
    """The trials of a checked `spec`. Variants whose result must be the same are planned once, with a note.

    Args:
        spec: of the sweep.
        cells: settings of its variants, where a search or a population chose them; None: those of the spec.
    """
    trials: list[PlannedTrial] = []
    labels: dict[str, str] = {}
    notes: list[str] = []
    baseline = None
    varied = spec.varied()
    for cell in spec.variants() if cells is None and spec.search is None else cells or ():
        config = spec.base.replace(cell)
        flat = config.flat()
        settings = {key: flat[key] for key in varied}
        if spec.baseline is not None and matches(cell, spec.baseline):
            baseline = config.variant_hash
        if (first := labels.get(config.variant_hash)) is not None:
            notes.append(f"{label(settings)} gives the same trials as {first}: planned once")
            continue
        labels[config.variant_hash] = label(settings)
        for seed in spec.seeds:
            trials.append(_trial(config.replace({"seed": seed}), settings, seed))
    chosen = next((trial.settings for trial in trials if trial.variant == baseline), None)
    return Plan(
        name=spec.name,
        metric=spec.metric,
        axes=tuple(varied),
        baseline=chosen,
        trials=tuple(trials),
        notes=tuple(notes),
        stops_early=spec.scheduler is not None,
    )


def plan_in(results: Results, spec: SweepSpec) -> Plan:
    """The trials of `spec`; those of a search or a population as far as they were chosen when it last ran there."""
    if spec.population is not None:
        return expand(spec, lineage(spec, recorded(results.records, spec.metric)).cells.values())
    if spec.search is None or not results.has_plan(spec.name):
        return expand(spec)
    earlier: dict[str, Mapping[str, Any]] = {}
    for trial in results.read_plan(spec.name)["trials"]:
        settings = trial["settings"]
        if set(settings) == set(spec.search.space) and spec.base.replace(settings).variant_hash == trial["variant"]:
            earlier[trial["variant"]] = settings
    return expand(spec, earlier.values())


def _trial(config: TrialConfig, settings: Mapping[str, Any], seed: int) -> PlannedTrial:
    return PlannedTrial(config, config.trial_hash, config.variant_hash, label(settings), settings, seed)
