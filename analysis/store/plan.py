"""The plan of a sweep as it is stored: written beside the records and into MLflow, read by every table."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from analysis.text import html
from analysis.text.numbers import is_number


@dataclass(frozen=True)
class PlannedTrial:
    """A trial of a sweep's plan.

    Attributes:
        trial: hash of what determines its result.
        variant: the same without the seed.
        label: the variant in words, e.g. "rule.update=online neuron.tau=2.0".
        seed: seed of the trial.
        settings: the values that the sweep varies, as the configuration has them (2 becomes 2.0).
    """

    trial: str
    variant: str
    label: str
    seed: int
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Suggestion:
    """A variant that a search suggested.

    Attributes:
        variant: hash of the variant; it can have been suggested before.
        told: numbers, from 0, of the suggestions whose results the search learnt just before.
    """

    variant: str
    told: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """What a sweep consists of.

    Attributes:
        name: name of the sweep.
        metric: what the sweep optimises.
        axes: settings that it varies.
        baseline: settings of the variant that the others are compared with; None: the spec names none.
        trials: variant by variant in the order of the spec, each with all seeds.
        stops_early: whether a scheduler may end trials: only then are those that it ended done.
        suggestions: what a search suggested, in order, up to the last new variant.
    """

    name: str
    metric: str
    axes: tuple[str, ...]
    baseline: Mapping[str, Any] | None
    trials: tuple[PlannedTrial, ...]
    stops_early: bool = False
    suggestions: tuple[Suggestion, ...] = ()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The plan in the text of `plan.json`, as file or artifact."""
        stored = json.loads(text)
        trials = tuple(
            PlannedTrial(trial["trial"], trial["variant"], trial["label"], trial["seed"], trial["settings"])
            for trial in stored["trials"]
        )
        return cls(
            stored["name"],
            stored["metric"],
            tuple(stored["axes"]),
            stored["baseline"],
            trials,
            stored.get("stops_early", False),
            tuple(Suggestion(one["variant"], tuple(one["told"])) for one in stored.get("suggestions", ())),
        )

    def _repr_html_(self) -> str:
        return self.as_html()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What IPython shows as text."""
        printer.text(self.summary)

    @property
    def summary(self) -> str:
        """How many trials and variants there are."""
        variants = len({trial.variant for trial in self.trials})
        return f"{self.name}: {len(self.trials)} trials of {variants} variants"

    def as_html(self, notes: Iterable[str] = ()) -> str:
        """A table of the variants with their seeds, the baseline bold, for notebooks."""
        seeds: dict[str, list[str]] = {}
        for trial in self.trials:
            seeds.setdefault(trial.variant, []).append(str(trial.seed))
        settings = {trial.variant: trial.settings for trial in self.trials}
        rows = [
            [
                (str(cell), settings[variant] == self.baseline)
                for cell in (*settings[variant].values(), ", ".join(listed))
            ]
            for variant, listed in seeds.items()
        ]
        numeric = [all(is_number(one[axis]) for one in settings.values()) for axis in self.axes]
        marked = "" if self.baseline is None else "; bold: the baseline"
        notes = [self.summary + marked, *notes]
        return html.table([*self.axes, "seeds"], rows, numeric=[*numeric, False], notes=notes)

    def to_json(self) -> dict[str, Any]:
        """The plan as plain values; as text they are what `from_json` reads."""
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
            "suggestions": [{"variant": one.variant, "told": list(one.told)} for one in self.suggestions],
            "trials": trials,
        }
