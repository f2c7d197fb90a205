"""A sweep's trials: the deterministic expansion of its spec."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from experiments.spec import SweepSpec
from experiments.spec_rules import matches
from ottt.config import TrialConfig


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
    """

    name: str
    metric: str
    axes: tuple[str, ...]
    baseline: Mapping[str, Any] | None
    trials: tuple[PlannedTrial, ...]
    notes: tuple[str, ...] = ()

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
    """The settings in one line."""
    return " ".join(f"{key}={value}" for key, value in settings.items()) or "base"


def expand(spec: SweepSpec) -> Plan:
    """The trials of a checked `spec`. Variants whose result must be the same are planned once, with a note."""
    trials: list[PlannedTrial] = []
    labels: dict[str, str] = {}
    notes: list[str] = []
    baseline = None
    for cell in spec.variants():
        config = spec.base.replace(cell)
        flat = config.flat()
        settings = {key: flat[key] for key in cell}
        first = labels.setdefault(config.variant_hash, label(settings))
        if spec.baseline is not None and matches(cell, spec.baseline):
            baseline = config.variant_hash
        if first != label(settings):
            notes.append(f"{label(settings)} gives the same trials as {first}: planned once")
            continue
        for seed in spec.seeds:
            trials.append(_trial(config.replace({"seed": seed}), settings, seed))
    chosen = next((trial.settings for trial in trials if trial.variant == baseline), None)
    return Plan(spec.name, spec.metric, tuple(spec.varied()), chosen, tuple(trials), tuple(notes))


def _trial(config: TrialConfig, settings: Mapping[str, Any], seed: int) -> PlannedTrial:
    return PlannedTrial(config, config.trial_hash, config.variant_hash, label(settings), settings, seed)
