"""What a sweep consists of, as its writer left it in the plan artifact."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class PlannedTrial:
    """A trial of a sweep's plan; `settings` are its values on the sweep's axes."""

    trial: str
    variant: str
    label: str
    seed: int
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """What a sweep consists of, as its spec stands now.

    Attributes:
        name: of the sweep.
        metric: what the sweep optimises.
        axes: settings that it varies.
        baseline: settings of the variant that the others are compared with; None: the spec names none.
        trials: in the order planned, the seeds of a variant together.
    """

    name: str
    metric: str
    axes: tuple[str, ...]
    baseline: Mapping[str, Any] | None
    trials: tuple[PlannedTrial, ...]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The plan in the text of a plan artifact."""
        stored = json.loads(text)
        trials = tuple(
            PlannedTrial(trial["trial"], trial["variant"], trial["label"], trial["seed"], trial["settings"])
            for trial in stored["trials"]
        )
        return cls(stored["name"], stored["metric"], tuple(stored["axes"]), stored["baseline"], trials)
