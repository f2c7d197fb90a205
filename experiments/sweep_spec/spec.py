"""The spec of a sweep: base configuration, varied settings, seeds, and how to run it. `read` reads one from a file."""

import re
from collections.abc import Iterator, Mapping
from io import StringIO
from itertools import product
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from ruamel.yaml import YAML

from experiments.sweep_spec.run_settings import (
    Checkpoints,
    Limits,
    Resources,
    Scheduler,
    Search,
    Settings,
    dotted,
    matches,
)
from experiments.sweep_spec.sink_choice import SinkChoices
from ottt.config.groups import Section
from ottt.config.trial import TrialConfig
from ottt.errors import brief

MAX_TRIALS = 100_000  # of a sweep; also of its combinations, before any is excluded

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"must be letters, digits, '.', '_' and '-' only (it names a folder), got {brief(name)}")
    return name


def _counted(seeds: object) -> object:
    """`3` -> `(0, 1, 2)`; a list is kept."""
    if isinstance(seeds, int) and not isinstance(seeds, bool) and seeds >= 1:
        if seeds > MAX_TRIALS:
            raise ValueError(f"must be at most {MAX_TRIALS:,}, one for each trial of a sweep, got {seeds:,}")
        return tuple(range(seeds))
    if not isinstance(seeds, list | tuple):
        raise ValueError(f"must be a number of seeds (>= 1) or a list of seeds, got {brief(seeds)}")
    return tuple(seeds)


Values = Annotated[tuple[Any, ...], Field(strict=False)]  # YAML has lists only
Varied = Annotated[dict[str, Values], BeforeValidator(dotted)]


class SweepSpec(Section):
    """A sweep: base configuration, varied settings, seeds, and how to run it.

    Attributes:
        name: name of the sweep, its folder and its MLflow experiment.
        question: question that the sweep answers; for readers, as is the cost.
        cost: cost of all trials, and how it was found.
        base: configuration that every variant starts from; its seed is not used.
        axes: values of each dotted setting; every combination is a variant.
        zip: groups of settings whose values move together; the groups are crossed with the axes.
        exclude: combinations to leave out, by some or all of their settings.
        seeds: every variant gets all of them, so that variants can be compared in pairs.
        baseline: settings of the one variant that the others are compared with.
        metric: metric that is optimised and shown while the sweep runs; never measured on test data.
        resources: resources of each trial.
        checkpoints: when to write a trial's checkpoint.
        limits: how long a trial may train.
        retries: how often to retry a trial whose worker or machine was lost.
        scheduler: early stopping of trials.
        search: search that chooses the variants in place of axes.
        sinks: where epochs go besides the records: names, or groups with `name` and `plugin`.
    """

    name: Annotated[str, AfterValidator(_checked_name)]
    question: str | None = None
    cost: str | None = None
    base: TrialConfig = TrialConfig()
    axes: Varied = Field({})
    zip: Annotated[tuple[Varied, ...], Field(strict=False)] = ()
    exclude: Annotated[tuple[Settings, ...], Field(strict=False)] = ()
    seeds: Annotated[tuple[int, ...], BeforeValidator(_counted)]
    baseline: Settings | None = None
    metric: str = "val/top1"
    resources: Resources = Resources()
    checkpoints: Checkpoints = Checkpoints()
    limits: Limits = Limits()
    retries: int = Field(3, ge=0)
    scheduler: Scheduler | None = None
    search: Search | None = None
    sinks: SinkChoices = ()

    def varied(self) -> list[str]:
        """Settings that the sweep varies, those of the axes first."""
        if self.search is not None:
            return list(self.search.space)
        found = [*self.axes, *(key for group in self.zip for key in group)]
        return found if self.population is None else list(dict.fromkeys([*found, "schedule.changes"]))

    @property
    def population(self) -> Scheduler | None:
        """The scheduler, if its variants replace each other."""
        return self.scheduler if self.scheduler is not None and self.scheduler.is_population else None

    def combinations(self) -> Iterator[dict[str, Any]]:
        """Every combination of the axes and the rows of the zip groups, the last varying fastest, excluded ones too."""
        columns = [[{key: value} for value in values] for key, values in self.axes.items()]
        columns += [_rows(group) for group in self.zip]
        for parts in product(*columns):
            yield {key: value for part in parts for key, value in part.items()}

    def variants(self) -> Iterator[dict[str, Any]]:
        """The combinations that are not excluded."""
        return (one for one in self.combinations() if not any(matches(one, row) for row in self.exclude))

    def to_yaml(self) -> str:
        """YAML that reads back as this spec without any other file."""
        values = self.model_dump(mode="json", exclude={"base": {"seed"}})
        if self.seeds == tuple(range(len(self.seeds))):
            values["seeds"] = len(self.seeds)
        text = StringIO()
        YAML().dump({key: value for key, value in values.items() if value not in (None, [], {})}, text)
        return text.getvalue()


def _rows(group: Mapping[str, tuple[Any, ...]]) -> list[dict[str, Any]]:
    return [dict(zip(group, row, strict=True)) for row in zip(*group.values(), strict=True)]
