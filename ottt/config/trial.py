"""The configuration of one trial: its settings, their consistency, and the hashes that identify trial and variant."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from ottt.config.groups import (
    DataConfig,
    LossConfig,
    ModelConfig,
    NeuronConfig,
    OptimConfig,
    RuleConfig,
    ScheduleConfig,
    Section,
)
from ottt.config.messages import describe
from ottt.config.revisions import revisions
from ottt.config.scheduled_changes import Change, parse_changes, written
from ottt.config.shared_groups import changed_group, flat_group
from ottt.config.yaml_reader import nest
from ottt.data.info import DATASETS, empty_part
from ottt.errors import UserError
from ottt.names import RULES
from ottt.plugins import load_plugin, owner


def _listed(steps: object) -> object:
    """A list from `4` or `1,2,4`, as typed on the command line; other values unchanged."""
    if isinstance(steps, str):
        return [int(part) if part.strip().isdecimal() else part for part in steps.split(",")]
    return [steps] if isinstance(steps, int) else steps


TimeSteps = Annotated[
    tuple[Annotated[int, Field(ge=1, strict=True)], ...], BeforeValidator(_listed), Field(strict=False)
]


def _loaded(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        try:
            load_plugin(name)
        except UserError as error:  # pydantic then reports it with its place, together with other problems
            raise ValueError(f"must be loadable: {'; '.join(error.problems)}") from error
    return names


Plugins = Annotated[tuple[str, ...], AfterValidator(_loaded), Field(strict=False)]


class TrialConfig(Section):
    """One trial: one network trained once.

    Defaults are those of the paper's CIFAR-10 experiments, with a small network and data that need no download.
    """

    plugins: Plugins = ()  # modules or files that add networks, rules, data sets or metrics; loaded first
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    neuron: NeuronConfig = NeuronConfig()
    rule: RuleConfig = RuleConfig()
    T: int = Field(6, ge=1)  # time steps
    T_eval: TimeSteps = ()  # further numbers of time steps at which test accuracy is reported
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    epochs: int = Field(300, ge=1)
    batch_size: int = Field(128, ge=1)
    seed: int = Field(2022, ge=0, lt=2**63)
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"  # of weighted layers; the rest is fp32; tf32: GPUs only
    compile: bool | Literal["auto"] = "auto"  # compile the neurons' kernels; auto: if the trial is long enough
    cuda_graph: bool | Literal["auto"] = "auto"  # train a batch as one CUDA graph; auto: if it can be and pays
    deterministic: bool = False  # refuse operations whose results differ between runs on one device
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        rule, traits = self.rule, RULES[self.rule.name]
        if rule.update == "online" and not traits.online:
            raise ValueError(f"rule.update must be accumulate for {rule.name}: it has no update per step, got 'online'")
        if traits.reads_k and rule.k is None:
            raise ValueError(f"rule.k is required by {rule.name}")
        if (parts := self.data.samples.parts(self.data.val_fraction)) is not None:
            raise ValueError(empty_part(self.data.val_fraction, *parts))
        if DATASETS[self.data.name].events and (longest := max(self.T_eval, default=0)) > self.T:
            raise ValueError(f"T_eval must be <= T = {self.T}, the frames of {self.data.name}, got {longest}")
        if self.data.frames.values != "count" and DATASETS[self.data.name].events and self.data.name != "cifar10_dvs":
            raise ValueError(f"data.frames.values must be count for {self.data.name}, got 'original'")
        if self.train_steps > self.T:
            raise ValueError(f"data.frames.train_steps must be <= T = {self.T}, got {self.train_steps}")
        if traits.reads_k and rule.k is not None and rule.k > self.train_steps:
            raise ValueError(f"rule.k must be <= T = {self.train_steps} for {rule.name}, got {rule.k}")
        for change in self.changes:
            self._check(change)
        return self

    def _check(self, change: Change) -> None:
        if change.after >= self.epochs:
            raise ValueError(f"schedule.changes must come before the last of {self.epochs} epochs, got {change}")
        group, key = change.setting.split(".")
        section: Section = getattr(self, group)
        try:
            section.model_validate(section.model_dump() | {key: change.value})
        except ValidationError as error:
            rule = describe(error, type(section), lambda _: "")[0]
            raise ValueError(f"schedule.changes: {group}.{rule}, after {change.after} epochs") from None

    @property
    def changes(self) -> tuple[Change, ...]:
        """Changes of settings during training, the earliest first."""
        return parse_changes(self.schedule.changes)

    def at(self, epochs: int) -> Self:
        """The settings in force after `epochs` completed epochs."""
        settings = {change.setting: change.value for change in self.changes if change.after <= epochs}
        return self.replace(settings) if settings else self

    def until(self, epochs: int) -> Self:
        """The trial without the changes after its first `epochs` epochs, in which both are identical."""
        changes = self.changes
        made = [change for change in changes if change.after < epochs]
        return self if len(made) == len(changes) else self.replace({"schedule.changes": written(made)})

    @property
    def train_steps(self) -> int:
        """Time steps in training: T, or the number of frames drawn from event data."""
        drawn = self.data.frames.train_steps if DATASETS[self.data.name].events else None
        return self.T if drawn is None else drawn

    def flat(self) -> dict[str, Any]:
        """Every setting by its dotted key."""
        flat: dict[str, Any] = {}
        for name, value in self._groups().items():
            if isinstance(value, Section):
                flat |= flat_group(name, value)
            else:
                flat[name] = list(value) if isinstance(value, tuple) else value
        return flat

    def effective(self) -> dict[str, Any]:
        """The settings that determine the result, with defaults that depend on others resolved.

        Configurations that must give the same result have equal effective settings. Paths, the device, and settings
        that the chosen data set, neuron, rule, optimizer or schedule does not read are left out. Plugins enter by a
        digest of their source, settings whose result has changed since an earlier version by their revision.
        """
        flat = self.flat()
        flat["neuron.trace_decay"] = self.neuron.decay_of_trace
        flat["data.frames.train_steps"] = self.train_steps
        unused = {"device", "compile", "cuda_graph", "plugins", *self.data.unread()}
        if self.neuron.kind == "if":
            unused.add("neuron.tau")
        if not RULES[self.rule.name].reads_k:
            unused.add("rule.k")
        if not RULES[self.rule.name].reads_trace:
            unused.add("neuron.trace_decay")
        if self.optim.name != "sgd":
            unused.add("optim.momentum")
        if self.model.stochastic_depth == 0 or self.model.depth_draws == "sample":
            unused.add("model.depth_draws")  # also with its default: the setting was added later
        if self.schedule.name != "step":
            unused |= {"schedule.step_epochs", "schedule.gamma"}
        flat["schedule.changes"] = self._effective_changes(flat, unused)
        if not flat["schedule.changes"]:
            unused.add("schedule.changes")
        effective = {key: value for key, value in flat.items() if key not in unused}
        digests = sorted(load_plugin(name).digest for name in self._used_plugins())
        revised = revisions(flat)
        return effective | ({"plugins": digests} if digests else {}) | ({"revisions": revised} if revised else {})

    def _effective_changes(self, flat: Mapping[str, Any], unused: set[str]) -> str:
        """The changes that have an effect: of settings that are read, to new values."""
        if not flat["schedule.changes"]:
            return ""
        values = dict(flat)
        effective = []
        for change in self.changes:
            if change.setting not in unused and values[change.setting] != change.value:
                effective.append(change)
            values[change.setting] = change.value
        return written(effective)

    def _used_plugins(self) -> set[str]:
        """Plugins that are listed, and those that registered the network, rule or data set."""
        owners = {owner("network", self.model.name), owner("update rule", self.rule.name)}
        owners.add(owner("data set", self.data.name))
        return {*self.plugins, *(name for name in owners if name is not None)}

    def with_seed(self, seed: int) -> "TrialConfig":
        """The trial of the same variant with another seed, which must be a valid one."""
        return TrialConfig.model_construct(_ALL_GIVEN, **{**self._groups(), "seed": seed})

    def hashes(self, seeds: Iterable[int]) -> tuple[str, tuple[str, ...]]:
        """Hash of the variant, and of its trial with each of `seeds`: the settings are made ready once for all."""
        effective = self.effective()
        before, _, after = _canonical(effective | {"seed": 0}).rpartition(_SEED_0)
        variant = f"{before[:-1]}{after}" if before.endswith(",") else f"{before}{after.removeprefix(',')}"
        return _hash(variant), tuple(_hash(f'{before}"seed":{seed}{after}') for seed in seeds)

    @cached_property
    def trial_hash(self) -> str:
        """Identity of the trial: 16 hex digits over the effective settings."""
        return _digest(self.effective())

    @cached_property
    def variant_hash(self) -> str:
        """Identity of the variant: 16 hex digits over the effective settings without the seed."""
        return self.hashes(())[0]

    def replace(self, settings: Mapping[str, Any]) -> Self:
        """A validated copy with dotted `settings` changed.

        Raises:
            pydantic.ValidationError: a setting is unknown or its value is not allowed.
        """
        changed: dict[str, Any] = nest(settings)
        for key, over in changed.items():
            group = getattr(self, key, None)
            if isinstance(group, Section) and isinstance(over, Mapping):
                changed[key] = changed_group(group, over)
        return type(self).model_validate({**self._groups(), **changed})

    def _groups(self) -> dict[str, Any]:
        """Groups and settings at the top by name, not copied."""
        return {name: getattr(self, name) for name in _NAMES}


_SEED_0 = '"seed":0'  # in JSON; inside a text its quotes are escaped
_NAMES = tuple(TrialConfig.model_fields)
_ALL_GIVEN = set(_NAMES)  # one for all trials made of others: it takes more memory than their values


def _digest(settings: Mapping[str, Any]) -> str:
    return _hash(_canonical(settings))


def _canonical(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True, separators=(",", ":"))


def _hash(canonical: str) -> str:
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
