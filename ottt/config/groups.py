"""The groups of a trial's settings: data, model, neuron, rule, loss, optimizer, schedule."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ottt.config.scheduled_changes import parse_changes, written
from ottt.data.info import DATASETS, DataInfo
from ottt.names import DataName, ModelName, RuleName, SurrogateName


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

    @property
    def samples(self) -> DataInfo:
        """The data set, with event frames as large as `frames.size` makes them."""
        info, size = DATASETS[self.name], self.frames.size
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


Changes = Annotated[str, AfterValidator(lambda text: written(parse_changes(text)))]


class ScheduleConfig(Section):
    """Learning rate over epochs, and other settings that change while a trial trains."""

    name: Literal["cosine", "step", "constant"] = "cosine"
    step_epochs: int = Field(30, ge=1)  # step: every so many epochs ...
    gamma: float = Field(0.1, gt=0, le=1)  # ... times this
    changes: Changes = ""  # while it trains, e.g. optim.lr=0.05 after 10, optim.lr=0.01 after 20
