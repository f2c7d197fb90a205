"""The groups of a sweep spec that say how to run it. None changes a result, except by stopping a trial early."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from ottt.config.groups import Section
from ottt.config.scheduled_changes import CHANGEABLE
from ottt.config.yaml_reader import flatten
from ottt.errors import brief


def dotted(settings: object) -> object:
    """Nested settings by their dotted keys; anything else unchanged."""
    return flatten(settings) if isinstance(settings, Mapping) else settings


def matches(settings: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether `settings` has every value that `row` names."""
    return all(key in settings and settings[key] == value for key, value in row.items())


def _whole_above_one(gpu: float) -> float:
    if gpu > 1 and not gpu.is_integer():
        raise ValueError(f"must be a fraction of one GPU or a whole number of GPUs, got {brief(gpu)}")
    return gpu


def _devices_or_auto(gpu: object) -> float | str:
    if gpu == "auto":
        return "auto"
    if isinstance(gpu, bool) or not isinstance(gpu, int | float) or not 0 <= gpu < math.inf:
        raise ValueError(f"must be a number of GPUs (>= 0) or auto, got {brief(gpu)}")
    return _whole_above_one(float(gpu))


def _number_or_auto(fuse: object) -> int | str:
    if fuse == "auto":
        return "auto"
    if isinstance(fuse, bool) or not isinstance(fuse, int) or fuse < 1:
        raise ValueError(f"must be a number of trials (>= 1) or auto, got {brief(fuse)}")
    return fuse


Settings = Annotated[dict[str, Any], BeforeValidator(dotted)]
Cores = Annotated[float, Field(gt=0, allow_inf_nan=False)]  # and torch's threads
Fuse = int | Literal["auto"]  # as in `Resources`
Devices = Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(_whole_above_one)]


@dataclass(frozen=True)
class Share:
    """One trial's share of a machine.

    Attributes:
        cpu: number of cores.
        gpu: number of GPUs; a fraction is a share of one GPU's memory.
    """

    cpu: float
    gpu: float

    @property
    def threads(self) -> int:
        """Number of torch's threads."""
        return max(1, int(self.cpu))


class VariantResources(Section):
    """Resources of some variants' trials.

    Attributes:
        when: settings of these variants, some or all of those varied.
    """

    when: Settings
    cpu: Cores | None = None
    gpu: Devices | None = None


class Resources(Section):
    """Resources of one trial; the first of `variants` that matches a trial replaces the resources that it names.

    Attributes:
        gpu: number of GPUs; "auto" measures how many trials share one best.
        fuse: so many trials at most, which differ only in seed and numbers, train as one network in one share; "auto"
            does so on a GPU where it is measured to be faster; 1: none.
    """

    cpu: Cores = 1.0
    gpu: Annotated[float | str, PlainValidator(_devices_or_auto, float | Literal["auto"])] = 0.0
    fuse: Annotated[Fuse, PlainValidator(_number_or_auto, int | Literal["auto"])] = "auto"
    variants: Annotated[tuple[VariantResources, ...], Field(strict=False)] = ()

    def share(self, settings: Mapping[str, Any], *, gpu: float | None = None) -> Share:
        """Share of a trial with these varied `settings`; `gpu` replaces `resources.gpu`, without it "auto" is 0."""
        cpu = self.cpu
        if gpu is None:
            gpu = 0.0 if isinstance(self.gpu, str) else self.gpu
        for row in self.variants:
            if matches(settings, row.when):
                return Share(cpu if row.cpu is None else row.cpu, gpu if row.gpu is None else row.gpu)
        return Share(cpu, gpu)


class Checkpoints(Section):
    """When to write a trial's checkpoint, from which it can resume.

    A trial shorter than `seconds` writes none. Checkpoints are deleted once the trial has its result.
    """

    seconds: float = Field(60.0, ge=0, allow_inf_nan=False)  # shortest time between two checkpoints
    epochs: int = Field(1, ge=1)  # only after multiples of this number of epochs
    keep: bool = False  # keep the checkpoint of the trial's end
    log: bool = False  # also store the kept checkpoint as an artifact of the run in MLflow


class Limits(Section):
    """What a trial may use.

    Attributes:
        hours: longest time that one attempt to train a trial may take; one that takes longer, or hangs, ends as
            "timed-out" and is not repeated. null: no limit.
    """

    hours: float | None = Field(None, gt=0, allow_inf_nan=False)


def _checked_changeable(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in CHANGEABLE:
            raise ValueError(f"must name some of {', '.join(CHANGEABLE)}, got {brief(name)}")
    return names


Changeable = Annotated[tuple[str, ...], AfterValidator(_checked_changeable), Field(strict=False, min_length=1)]
Factors = Annotated[tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...], Field(strict=False, min_length=1)]


class Scheduler(Section):
    """Early stopping of trials by the sweep's metric.

    Attributes:
        name: "asha": after `grace_epochs`, and after each `reduction` times as many, only the best 1/`reduction` of
            the trials that got that far continue. "median": a trial stops if its best value is worse than the median
            of the running averages of at least `min_trials` others. "pbt": population based training, see
            `experiments.planning.pbt`; every `period_epochs`, copies of the best `quantile` of the variants, with the
            settings in `change` multiplied by one of `factors`, replace the worst.
        seed: seed of the random choices of pbt.
    """

    name: Literal["asha", "median", "pbt"]
    grace_epochs: int = Field(1, ge=1)  # epochs that every trial trains; asha, median
    reduction: float = Field(4.0, gt=1, allow_inf_nan=False)  # asha
    min_trials: int = Field(3, ge=1)  # median
    period_epochs: int = Field(1, ge=1)  # pbt
    quantile: float = Field(0.25, gt=0, le=0.5)  # pbt; at least one variant
    change: Changeable = ("optim.lr",)  # pbt
    factors: Factors = (0.8, 1.25)  # pbt
    seed: int = Field(0, ge=0)

    @property
    def is_population(self) -> bool:
        """Whether variants replace each other."""
        return self.name == "pbt"


class Search(Section):
    """A search, which chooses settings by the results of earlier ones.

    Attributes:
        sampler: "tpe" models which settings were good (Bergstra et al., 2011); "random" ignores results.
        trials: number of settings to try, each with all seeds of the spec.
        space: range or values of each dotted setting; see `experiments.sweep_spec.search_space`.
        seed: seed of the sampler.
    """

    name: Literal["optuna"]
    sampler: Literal["tpe", "random"] = "tpe"
    trials: int = Field(ge=1)
    space: Settings
    seed: int = Field(0, ge=0)
