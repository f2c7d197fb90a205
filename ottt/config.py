"""The configuration of one trial: every choice that a study can ablate, typed, checked once, frozen.

Defaults are the paper's (see `TrialConfig`). Unknown keys and wrong types are refused.
"""

import difflib
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ottt.data.info import DATASETS
from ottt.errors import UserError
from ottt.yamlfile import Document, KeyPath, flatten, merge, nest, parse_override, read_yaml

PRESETS = Path(__file__).parent / "presets"

SurrogateName = Literal[
    "sigmoid", "atan", "triangle", "rectangle", "gaussian", "fast_sigmoid", "piecewise_leaky", "quasi_clamp"
]
ModelName = Literal[
    "small",
    "vgg11",
    "vgg11_bn",
    "vgg11_ws",
    "vgg11f_ws",
    "nfresnet18",
    "nfresnet34",
    "nfresnet50",
    "nfresnet101",
    "nfresnet152",
    "nfresnext50_32x4d",
    "nfresnext101_32x8d",
    "nfwide_resnet50_2",
    "nfwide_resnet101_2",
    "r400",
]
DataName = Literal[
    "cifar10",
    "cifar100",
    "fashion_mnist",
    "imagenet",
    "cifar10_dvs",
    "dvs128_gesture",
    "digits",
    "digits_dvs",
]
RuleName = Literal["ottt", "sltt", "ndot", "sltt_k", "bptt", "tbptt"]
ONLINE_RULES = frozenset({"ottt", "sltt", "ndot"})  # can update the weights in every time step
RULES_WITH_K = frozenset({"sltt_k", "tbptt"})


class Section(BaseModel):
    """Base of all configuration: frozen, strict about types, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class AugmentConfig(Section):
    """Random changes of training samples, drawn anew every time; the same for all frames of a recording."""

    crop: int = Field(0, ge=0)  # pixels of black around a sample that is then cropped to its size; imagenet has its own
    flip: float = Field(0.0, ge=0, le=1)  # probability of left-right
    cutout: float = Field(0.0, ge=0, le=1)  # probability of a rectangle of one random value; still images


class FramesConfig(Section):
    """How the events of a recording become T frames."""

    by: Literal["count", "time"] = "count"  # frames of as many events each | of as much time each
    size: int | None = Field(None, ge=1)  # pixels, height and width; None: the sensor's
    train_steps: int | None = Field(None, ge=1)  # T_train: frames drawn for each training batch, in order; None: all T


class DataConfig(Section):
    """Which data, how they are split and prepared."""

    name: DataName = "digits"
    root: str = "data"  # folder of downloaded sets and of what is prepared from them
    val_fraction: float = Field(0.15, ge=0, lt=1)  # of the training samples; 0: the paper's protocol
    split_seed: int = Field(0, ge=0)  # same split for every trial seed
    augment: AugmentConfig = AugmentConfig()
    frames: FramesConfig = FramesConfig()
    workers: int = Field(4, ge=0)  # processes that decode images; imagenet

    def unread(self) -> frozenset[str]:
        """Keys that do not change the result with this data set."""
        unread = {"data.root", "data.workers"}
        if DATASETS[self.name].events:
            unread.add("data.augment.cutout")
        else:
            unread |= {f"data.frames.{key}" for key in FramesConfig.model_fields}
        if self.name == "imagenet":
            unread.add("data.augment.crop")
        if self.val_fraction == 0:
            unread.add("data.split_seed")
        return frozenset(unread)


class ModelConfig(Section):
    """Which network."""

    name: ModelName = "small"
    width: float = Field(1.0, gt=0, allow_inf_nan=False)  # factor on the channels of every hidden layer
    classifier_hidden: int = Field(0, ge=0)  # VGG: neurons between last convolution and output; 0: none
    dropout: float = Field(0.0, ge=0, lt=1)  # of the features before the classifier, one mask per sequence
    stochastic_depth: float = Field(0.0, ge=0, lt=1)  # ResNet: drop rate of the last block, linear from 0


class SurrogateConfig(Section):
    """Stand-in for the derivative of the Heaviside step."""

    name: SurrogateName = "sigmoid"
    alpha: float = Field(4.0, gt=0)  # steepness


class NeuronConfig(Section):
    """Spiking neuron and the trace of its output."""

    kind: Literal["lif", "if"] = "lif"
    tau: float = Field(2.0, ge=1, allow_inf_nan=False)  # membrane time constant, time steps; "if" has none
    trace_decay: float | None = Field(None, ge=0, le=1)  # per time step; None: the membrane's decay
    v_threshold: float = Field(1.0, gt=0, allow_inf_nan=False)
    v_reset: float | None = Field(None, allow_inf_nan=False)  # None: soft reset, subtract v_threshold
    surrogate: SurrogateConfig = SurrogateConfig()
    dropout: float = Field(0.0, ge=0, lt=1)  # one mask per sample and sequence

    @property
    def decay(self) -> float:
        """Share of the membrane potential kept from one time step to the next."""
        return 1.0 if self.kind == "if" else 1.0 - 1.0 / self.tau

    @property
    def decay_of_trace(self) -> float:
        """Share of the trace kept from one time step to the next."""
        return self.decay if self.trace_decay is None else self.trace_decay


class RuleConfig(Section):
    """How gradients are made from a sequence, and when they are applied."""

    name: RuleName = "ottt"
    update: Literal["accumulate", "online"] = "accumulate"  # OTTT_A | OTTT_O
    k: int | None = Field(None, ge=1)  # sltt_k: steps with a backward pass; tbptt: steps between cuts


class LossConfig(Section):
    """Loss per time step: (1 - mse_weight) cross entropy + mse_weight mean squared error."""

    mse_weight: float = Field(0.05, ge=0, le=1)


class OptimConfig(Section):
    """Optimizer."""

    name: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: float = Field(0.1, gt=0, allow_inf_nan=False)
    momentum: float = Field(0.9, ge=0, lt=1)  # sgd
    weight_decay: float = Field(0.0, ge=0, allow_inf_nan=False)


class ScheduleConfig(Section):
    """Learning rate over epochs."""

    name: Literal["cosine", "step", "constant"] = "cosine"
    step_epochs: int = Field(30, ge=1)  # step: every so many epochs ...
    gamma: float = Field(0.1, gt=0, le=1)  # ... times this


def _listed(steps: object) -> object:
    """`4` and `1,2,4`, as people type them, besides lists."""
    if isinstance(steps, str):
        return [int(part) if part.strip().isdecimal() else part for part in steps.split(",")]
    return [steps] if isinstance(steps, int) else steps


TimeSteps = Annotated[
    tuple[Annotated[int, Field(ge=1, strict=True)], ...], BeforeValidator(_listed), Field(strict=False)
]


class TrialConfig(Section):
    """One trial: one network trained once.

    Defaults are those of the paper's CIFAR-10 experiments, on the data and network that need no download.
    """

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
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"  # of weighted layers; membranes and parameters stay fp32
    deterministic: bool = False  # refuse operations whose result differs between runs on one device
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        rule = self.rule
        if rule.update == "online" and rule.name not in ONLINE_RULES:
            raise ValueError(f"rule.update must be accumulate for {rule.name}: it has no update per step, got 'online'")
        if rule.name in RULES_WITH_K and rule.k is None:
            raise ValueError(f"rule.k is required by {rule.name}")
        if DATASETS[self.data.name].events and (longest := max(self.T_eval, default=0)) > self.T:
            raise ValueError(f"T_eval must be <= T = {self.T}, the frames of {self.data.name}, got {longest}")
        if self.train_steps > self.T:
            raise ValueError(f"data.frames.train_steps must be <= T = {self.T}, got {self.train_steps}")
        if rule.name in RULES_WITH_K and rule.k is not None and rule.k > self.train_steps:
            raise ValueError(f"rule.k must be <= T = {self.train_steps} for {rule.name}, got {rule.k}")
        return self

    @property
    def train_steps(self) -> int:
        """Time steps in training: T, unless fewer frames of event data are drawn."""
        drawn = self.data.frames.train_steps if DATASETS[self.data.name].events else None
        return self.T if drawn is None else drawn

    def flat(self) -> dict[str, Any]:
        """Every setting by its dotted key."""
        return flatten(self.model_dump(mode="json"))

    def effective(self) -> dict[str, Any]:
        """The settings that determine the result, with defaults that depend on others resolved.

        Two configurations that must give the same result have equal effective settings: paths and the device are
        left out, and so is what the chosen data set, neuron, optimizer or schedule does not read.
        """
        flat = self.flat()
        flat["neuron.trace_decay"] = self.neuron.decay_of_trace
        flat["data.frames.train_steps"] = self.train_steps
        unused = {"device", *self.data.unread()}
        if self.neuron.kind == "if":
            unused.add("neuron.tau")
        if self.rule.name not in RULES_WITH_K:
            unused.add("rule.k")
        if self.rule.name not in {"ottt", "ndot"}:
            unused.add("neuron.trace_decay")
        if self.optim.name != "sgd":
            unused.add("optim.momentum")
        if self.schedule.name != "step":
            unused |= {"schedule.step_epochs", "schedule.gamma"}
        return {key: value for key, value in flat.items() if key not in unused}

    @cached_property
    def trial_hash(self) -> str:
        """Identity of the trial: 16 hex digits over the effective settings."""
        return _digest(self.effective())

    @cached_property
    def variant_hash(self) -> str:
        """Identity of the variant: the trial's without its seed."""
        return _digest({key: value for key, value in self.effective().items() if key != "seed"})

    def replace(self, settings: Mapping[str, Any]) -> Self:
        """A checked copy with dotted `settings` changed.

        Raises:
            pydantic.ValidationError: a setting is unknown or its value not allowed.
        """
        return type(self).model_validate(merge(self.model_dump(), nest(settings)))


Source = str | Path | Mapping[str, Any] | Document | None


def load_config(source: Source = None, overrides: Iterable[str] = ()) -> TrialConfig:
    """The checked configuration in `source`, with `overrides` laid over it.

    Args:
        source: a YAML file, the name of a preset, a mapping (nested or with dotted keys), a document read before, or
            None for the defaults.
        overrides: `key.path=value` texts, later ones win.

    Raises:
        UserError: one line per problem, each naming place, rule and value.
    """
    document = _document(source)
    overlays = [parse_override(text) for text in overrides]
    values = document.values
    for key, value in overlays:
        values = merge(values, nest({key: value}))
    overridden = {tuple(key.split(".")) for key, _ in overlays}

    def place(path: KeyPath) -> str:
        if any(path[: len(key)] == key[: len(path)] for key in overridden):
            return "override"
        return document.place(path)

    try:
        return TrialConfig.model_validate(values)
    except ValidationError as error:
        raise UserError(*describe(error, TrialConfig, place)) from error


def preset_names() -> list[str]:
    """Names that `load_config` takes in place of a file."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def describe(error: ValidationError, model: type[BaseModel], place: Callable[[KeyPath], str]) -> list[str]:
    """One line per problem: `place: key rule, got value`."""
    lines = []
    for problem in error.errors():
        path = tuple(part for part in problem["loc"] if part not in {"function-after", "list", "tuple"})
        where = place(path)
        text = _sentence(model, path, problem)
        lines.append(f"{where}: {text}" if where else text)
    return lines


def _document(source: Source) -> Document:
    if source is None:
        return Document("defaults", {})
    if isinstance(source, Document):
        return source
    if isinstance(source, Mapping):
        return Document("config", nest(source))
    path = Path(source)
    preset = PRESETS / f"{source}.yaml"
    if not path.is_file() and preset.is_file():
        path = preset
    elif not path.exists() and path.suffix not in {".yaml", ".yml"}:
        known = ", ".join(preset_names())
        raise UserError(f"{source}: must be a YAML file or one of the presets {known}; found neither")
    document = read_yaml(path)
    return Document(str(source), nest(document.values), document.lines)


def _sentence(model: type[BaseModel], path: KeyPath, problem: Mapping[str, Any]) -> str:
    key = ".".join(map(str, path))
    value = problem["input"]
    got = f"got {value!r}" if not isinstance(value, Mapping) else "got a group of settings"
    context = problem.get("ctx", {})
    match problem["type"]:
        case "extra_forbidden":
            return f"{key} is not a known key{_suggestion(model, path)}, {got}"
        case "missing":
            return f"{key} is required"
        case "literal_error":
            near = difflib.get_close_matches(str(value), _choices(context["expected"]), n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            return f"{key} must be one of {', '.join(_choices(context['expected']))}{hint}, {got}"
        case "value_error":
            return f"{key} {context['error']}" if key else str(context["error"])
        case "int_type" | "int_from_float":
            return f"{key} must be a whole number, {got}"
        case "float_type":
            return f"{key} must be a number, {got}"
        case "string_type":
            return f"{key} must be text, {got}"
        case "bool_type":
            return f"{key} must be true or false, {got}"
        case "list_type" | "tuple_type":
            return f"{key} must be a list, {got}"
        case "dict_type" | "model_type":
            return f"{key} must be a group of settings, {got}"
        case "finite_number":
            return f"{key} must be finite, {got}"
        case _ if bounds := _bounds(context):
            unit = " time steps" if key.endswith(("tau", "T")) else ""
            return f"{key} must be {bounds}{unit}, {got}"
        case _:
            return f"{key}: {problem['msg']}, {got}"


def _bounds(context: Mapping[str, Any]) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    return " and ".join(f"{sign} {context[name]:g}" for name, sign in signs.items() if name in context)


def _choices(expected: str) -> list[str]:
    """`'a', 'b' or 'c'` as pydantic words it -> [a, b, c]."""
    return expected.replace(" or ", ", ").replace("'", "").split(", ")


def _suggestion(model: type[BaseModel], path: KeyPath) -> str:
    """Best guess at the key that was meant: the same name in another group, else a sibling spelt like it."""
    *groups, wrong = (str(part) for part in path)
    keys = flatten(_defaults(model))
    prefix = "".join(f"{group}." for group in groups)
    elsewhere = [key for key in keys if key.split(".")[-1] == wrong]
    if elsewhere:
        return f" (did you mean {elsewhere[0]}?)"
    siblings = {key.removeprefix(prefix).split(".")[0] for key in keys if key.startswith(prefix)}
    if not groups:
        siblings |= model.model_fields.keys()
    near = difflib.get_close_matches(wrong, siblings, n=1)
    return f" (did you mean {prefix}{near[0]}?)" if near else ""


def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    """Default of every field that has one, groups spread out."""
    fields = ((name, field.get_default()) for name, field in model.model_fields.items())
    return {name: value.model_dump() if isinstance(value, BaseModel) else value for name, value in fields}


def _digest(settings: Mapping[str, Any]) -> str:
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
