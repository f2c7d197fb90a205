"""Groups of a trial's settings, with defaults, bounds and meaning: data, model, neuron, rule, loss, optim, schedule."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ottt.config.scheduled_changes import parse_changes, written
from ottt.data.info import DATASETS, DataInfo
from ottt.names import DataName, ModelName, RuleName, SurrogateName


class Section(BaseModel):
    """Base class of all configuration: frozen, strict about types, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class AugmentConfig(Section):
    """Random changes to training samples, drawn for each batch; equal for all frames of a recording."""

    crop: int = Field(0, ge=0)  # black pixels around a sample before a random crop to its size; imagenet has its own
    flip: float = Field(0.0, ge=0, le=1)  # probability of a left-right flip
    cutout: float = Field(0.0, ge=0, le=1)  # probability of a rectangle of one random value; still images only


class FramesConfig(Section):
    """How the events of a recording become T frames."""

    by: Literal["count", "time"] = "count"  # frames with equal numbers of events | of equal duration
    size: int | None = Field(None, ge=1)  # height and width, pixels; None: those of the sensor
    values: Literal["count", "original"] = "count"  # events | input of cifar10_dvs in the paper: docs/data.md
    train_steps: int | None = Field(None, ge=1)  # T_train: frames drawn for each training batch, in order; None: all T


class DataConfig(Section):
    """The data set, its split and its preparation."""

    name: DataName = "digits"
    root: str = "data"  # folder of downloaded data sets and their prepared copies
    val_fraction: float = Field(0.15, ge=0, lt=1)  # share of the training samples kept for validation; paper: 0
    split_seed: int = Field(0, ge=0)  # seed of the split, independent of the trial's seed
    augment: AugmentConfig = AugmentConfig()
    frames: FramesConfig = FramesConfig()
    workers: int = Field(4, ge=0)  # processes that decode images; imagenet only

    @property
    def samples(self) -> DataInfo:
        """The data set, with event frames of `frames.size`."""
        info, size = DATASETS[self.name], self.frames.size
        if self.frames.values == "original" and "data.frames.values" not in self.unread():
            info = replace(info, white=255)
        return replace(info, height=size, width=size) if info.events and size is not None else info

    def unread(self) -> frozenset[str]:
        """Keys that do not change the result with this data set."""
        unread = {"data.root", "data.workers"}
        if DATASETS[self.name].events:
            unread.add("data.augment.cutout")
        else:
            unread |= {f"data.frames.{key}" for key in FramesConfig.model_fields}
        if self.name == "imagenet":
            unread.add("data.augment.crop")
        if self.name != "cifar10_dvs" or self.frames.values == "count":
            unread.add("data.frames.values")  # also with its default: the setting was added later
        if self.val_fraction == 0:
            unread.add("data.split_seed")
        return frozenset(unread)


class ModelConfig(Section):
    """The network."""

    name: ModelName = "small"
    width: float = Field(1.0, gt=0, allow_inf_nan=False)  # factor on the channels of every hidden layer
    classifier_hidden: int = Field(0, ge=0)  # VGG: neurons between the last convolution and the output; 0: none
    dropout: float = Field(0.0, ge=0, lt=1)  # dropout before the classifier, one mask per sequence
    stochastic_depth: float = Field(0.0, ge=0, lt=1)  # ResNet: rate r at which blocks are dropped, see depth_draws
    depth_draws: Literal["sample", "batch"] = "sample"  # each sample, r i/n in block i < n | whole batch, r: original


class SurrogateConfig(Section):
    """Surrogate for the derivative of the Heaviside step."""

    name: SurrogateName = "sigmoid"
    alpha: float = Field(4.0, gt=0)  # steepness; quasi_clamp: half the width of its window


class NeuronConfig(Section):
    """The spiking neuron and the trace of its spikes."""

    kind: Literal["lif", "if"] = "lif"
    tau: float = Field(2.0, ge=1, allow_inf_nan=False)  # membrane time constant, time steps; "if" has none
    trace_decay: float | None = Field(None, ge=0, le=1)  # factor per time step; None: the membrane's decay
    v_threshold: float = Field(1.0, gt=0, allow_inf_nan=False)
    v_reset: float | None = Field(None, allow_inf_nan=False)  # potential after a spike; None: subtract v_threshold
    surrogate: SurrogateConfig = SurrogateConfig()
    dropout: float = Field(0.0, ge=0, lt=1)  # dropout of spikes, one mask per sample and sequence

    @property
    def decay(self) -> float:
        """Factor on the membrane potential per time step."""
        return 1.0 if self.kind == "if" else 1.0 - 1.0 / self.tau

    @property
    def decay_of_trace(self) -> float:
        """Factor on the trace per time step."""
        return self.decay if self.trace_decay is None else self.trace_decay


class RuleConfig(Section):
    """How gradients are computed from a sequence, and when they are applied."""

    name: RuleName = "ottt"
    update: Literal["accumulate", "online"] = "accumulate"  # OTTT_A | OTTT_O
    k: int | None = Field(None, ge=1)  # sltt_k: steps with a backward pass; tbptt: steps between cuts


class LossConfig(Section):
    """Loss per time step: (1 - mse_weight) cross entropy + mse_weight mean squared error."""

    mse_weight: float = Field(0.05, ge=0, le=1)


class OptimConfig(Section):
    """The optimizer."""

    name: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: float = Field(0.1, gt=0, allow_inf_nan=False)
    momentum: float = Field(0.9, ge=0, lt=1)  # sgd only
    weight_decay: float = Field(0.0, ge=0, allow_inf_nan=False)


Changes = Annotated[str, AfterValidator(lambda text: written(parse_changes(text)))]


class ScheduleConfig(Section):
    """The learning rate over epochs, and settings that change during training."""

    name: Literal["cosine", "step", "constant"] = "cosine"
    step_epochs: int = Field(30, ge=1)  # step: epochs between changes of the learning rate
    gamma: float = Field(0.1, gt=0, le=1)  # step: factor per change
    changes: Changes = ""  # changes during training, e.g. optim.lr=0.05 after 10, optim.lr=0.01 after 20
