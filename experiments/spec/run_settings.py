"""The groups of a sweep spec that say how to run it: none of them changes a result, save by stopping a trial early."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from ottt.config.groups import Section
from ottt.config.scheduled_changes import CHANGEABLE
from ottt.config.yaml_reader import flatten


def dotted(settings: object) -> object:
    """Nested settings by their dotted keys; anything else as it is."""
    return flatten(settings) if isinstance(settings, Mapping) else settings


def matches(settings: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether `settings` has every value that `row` names."""
    return all(key in settings and settings[key] == value for key, value in row.items())


def _whole_above_one(gpu: float) -> float:
    if gpu > 1 and not gpu.is_integer():
        raise ValueError(f"must be a fraction of one GPU or a whole number of GPUs, got {gpu!r}")
    return gpu


def _devices_or_auto(gpu: object) -> float | str:
    if gpu == "auto":
        return "auto"
    if isinstance(gpu, bool) or not isinstance(gpu, int | float) or not 0 <= gpu < math.inf:
        raise ValueError(f"must be a number of GPUs (>= 0) or auto, got {gpu!r}")
    return _whole_above_one(float(gpu))


Settings = Annotated[dict[str, Any], BeforeValidator(dotted)]
Cores = Annotated[float, Field(gt=0, allow_inf_nan=False)]  # and torch's threads
Devices = Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(_whole_above_one)]


@dataclass(frozen=True)
class Share:
    """What one trial takes of a machine.

    Attributes:
        cpu: cores.
        gpu: devices; a fraction of one is a share of its memory.
    """

    cpu: float
    gpu: float

    @property
    def threads(self) -> int:
        """Of torch."""
        return max(1, int(self.cpu))


class VariantResources(Section):
    """What the trials of some variants take instead.

    Attributes:
        when: settings of the variants, some or all of those varied.
    """

    when: Settings
    cpu: Cores | None = None
    gpu: Devices | None = None


class Resources(Section):
    """What one trial takes of a machine; the first of `variants` that fits a trial replaces what it names.

    Attributes:
        gpu: devices; "auto" measures how many trials share one best.
    """

    cpu: Cores = 1.0
    gpu: Annotated[float | str, PlainValidator(_devices_or_auto, float | Literal["auto"])] = 0.0
    variants: Annotated[tuple[VariantResources, ...], Field(strict=False)] = ()

    def share(self, settings: Mapping[str, Any], *, gpu: float | None = None) -> Share:
        """Of a trial with those varied `settings`, where `resources.gpu` comes to `gpu`; auto is 0 until then."""
        cpu = self.cpu
        if gpu is None:
            gpu = 0.0 if isinstance(self.gpu, str) else self.gpu
        for row in self.variants:
            if matches(settings, row.when):
                return Share(cpu if row.cpu is None else row.cpu, gpu if row.gpu is None else row.gpu)
        return Share(cpu, gpu)


class Checkpoints(Section):
    """When a trial's state is written, so that it can go on from there.

    A trial shorter than `seconds` writes nothing. What is written goes away once the trial has its result.
    """

    seconds: float = Field(60.0, ge=0, allow_inf_nan=False)  # at least between two of them
    epochs: int = Field(1, ge=1)  # only after a multiple of so many
    keep: bool = False  # the state at the trial's end ...
    log: bool = False  # ... also as an artifact of its run in MLflow


def _checked_changeable(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in CHANGEABLE:
            raise ValueError(f"must name some of {', '.join(CHANGEABLE)}, got {name!r}")
    return names


Changeable = Annotated[tuple[str, ...], AfterValidator(_checked_changeable), Field(strict=False, min_length=1)]
Factors = Annotated[tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...], Field(strict=False, min_length=1)]


class Scheduler(Section):
    """What ends a trial before its last epoch, by the sweep's metric.

    Attributes:
        name: "asha": after `grace_epochs`, and after each `reduction` times as many, only the best 1/`reduction` of
            the trials that came so far go on. "median": a trial ends whose best value is worse than the median of
            the running averages of at least `min_trials` others. "pbt": population based training, see
            `experiments.planning.pbt`; every `period_epochs`, copies of the best `quantile` of the variants, with the
            settings in `change` times one of `factors`, take the place of the worst.
        seed: of what pbt draws.
    """

    name: Literal["asha", "median", "pbt"]
    grace_epochs: int = Field(1, ge=1)  # that every trial trains; asha, median
    reduction: float = Field(4.0, gt=1, allow_inf_nan=False)  # asha
    min_trials: int = Field(3, ge=1)  # median
    period_epochs: int = Field(1, ge=1)  # pbt
    quantile: float = Field(0.25, gt=0, le=0.5)  # pbt; at least one variant
    change: Changeable = ("optim.lr",)  # pbt
    factors: Factors = (0.8, 1.25)  # pbt
    seed: int = Field(0, ge=0)

    @property
    def is_population(self) -> bool:
        """Whether variants take each other's place."""
        return self.name == "pbt"


class Search(Section):
    """Choosing settings by the results of earlier ones.

    Attributes:
        sampler: "tpe" models which settings were good (Bergstra et al., 2011); "random" does not look.
        trials: settings to try, each with all seeds of the spec.
        space: what to choose from, by dotted setting; see `experiments.spec.search_space`.
        seed: of the sampler.
    """

    name: Literal["optuna"]
    sampler: Literal["tpe", "random"] = "tpe"
    trials: int = Field(ge=1)
    space: Settings
    seed: int = Field(0, ge=0)
