"""VGG-like spiking networks, with or without feedback from the last neurons to the first.

Shapes: B batch, C channels, H W image, K classes.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ottt.config.groups import NeuronConfig
from ottt.errors import UserError
from ottt.models.base import Network
from ottt.modules import (
    SPIKE_SCALE,
    Context,
    Conv2d,
    Linear,
    Neuron,
    Spikes,
    State,
    dropped,
    global_mean,
    halve,
    on_both,
    states_of,
)

POOL = 0  # average pooling 2x2 after the neurons before it
VGG11 = (64, 128, POOL, 256, 256, POOL, 512, 512, POOL, 512, 512)
SMALL = (16, POOL, 32, POOL, 64)

UP = 8  # up-sampling of the feedback: the product of the pools of VGG11


@dataclass(frozen=True)
class VGGDesign:
    """The choices in which the VGG-like networks differ.

    Attributes:
        layers: channels of each convolution, with POOL between them.
        norm: "ws" scaled weight standardisation, "bn" batch normalisation, None neither.
        feedback: whether the last spikes of one time step feed the first neurons in the next.
    """

    layers: tuple[int, ...]
    norm: Literal["ws", "bn"] | None
    feedback: bool = False


class VGG(Network):
    """conv - neurons - (pool) - conv - neurons - ... - global mean - linear, all convolutions 3x3.

    Stage i is: current -> norm -> neurons -> pool -> the next weighted layer. With batch normalisation, spikes are
    not scaled. `hidden` adds one more spiking layer, linear - neurons, before the classifier.
    """

    def __init__(
        self,
        design: VGGDesign,
        *,
        channels_in: int,
        classes: int,
        neuron: NeuronConfig,
        width: float = 1.0,
        hidden: int = 0,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.design, self.dropout = design, dropout
        channels, pooled = _stages(design.layers, width)
        scale = 1.0 if design.norm == "bn" else SPIKE_SCALE
        self.pooled = pooled
        self.spike_layers = nn.ModuleList(Neuron(neuron) for _ in channels)
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(count) if design.norm == "bn" else nn.Identity() for count in channels
        )
        self.stem = self._conv(channels_in, channels[0], generator=generator)
        self.convs = nn.ModuleList(
            self._conv(below, above, scale=scale, generator=generator) for below, above in pairwise(channels)
        )
        features = hidden or channels[-1]
        self.hidden = Linear(channels[-1], hidden, scale=scale, generator=generator) if hidden else None
        self.hidden_spikes = Neuron(neuron) if hidden else None
        self.classifier = Linear(features, classes, scale=scale, generator=generator)
        self.feedback = self._feedback(channels, scale) if design.feedback else None

    def encode(self, frame: Tensor, context: Context) -> Tensor:
        """The first convolution; see `Network.encode`."""
        current: Tensor = self.stem(frame, context)
        return current

    def step(self, current: Tensor, state: State | None, context: Context) -> tuple[Tensor, State]:
        """See `Network.step`."""
        x, after = current, []
        top = len(self.convs)
        if self.feedback is not None and state is not None:
            x = x + self.feedback(on_both(_upsample, Spikes(state[top].s, state[top].a)), context)
        before = states_of(state, self.neuron_layers)
        for neuron, norm, pooled, conv in zip(
            self.spike_layers, self.norms, self.pooled, (*self.convs, None), strict=True
        ):
            spikes, now = neuron(norm(x), next(before), context)
            after.append(now)
            if pooled:
                spikes = on_both(halve, spikes)
            if conv is not None:
                x = conv(spikes, context)
        features = dropped(self, on_both(global_mean, spikes), self.dropout, context)
        if self.hidden is not None and self.hidden_spikes is not None:
            features, now = self.hidden_spikes(self.hidden(features, context), next(before), context)
            after.append(now)
        logits: Tensor = self.classifier(features, context)
        return logits, tuple(after)

    def _conv(self, below: int, above: int, *, scale: float = 1.0, generator: torch.Generator | None = None) -> Conv2d:
        standardized = self.design.norm == "ws"
        return Conv2d(below, above, 3, standardized=standardized, scale=scale, generator=generator)

    @staticmethod
    def _feedback(channels: list[int], scale: float) -> Conv2d:
        feedback = Conv2d(channels[-1], channels[0], 3, scale=scale)
        nn.init.zeros_(feedback.weight)
        return feedback

    def reference_names(self) -> dict[str, str]:
        """See `Network.reference_names`: `features.N`, counting neurons, scales and pools."""
        if self.hidden is not None:
            raise UserError("model.classifier_hidden must be 0 for a checkpoint of the original")
        names: dict[str, str] = {}
        # In the original, the first convolution of the feedback network is outside `features`.
        index = -1 if self.feedback is not None else 0
        for i, pooled in enumerate(self.pooled):
            ours = "stem" if i == 0 else f"convs.{i - 1}"
            theirs = "conv1" if index < 0 else f"features.{index}" + (".op" if i else "")
            parts = ("weight", "bias", "gain") if self.design.norm == "ws" else ("weight", "bias")
            names |= {f"{ours}.{part}": f"{theirs}.{part}" for part in parts}
            if self.design.norm == "bn":
                names |= {f"norms.{i}.{part}": f"features.{index + 1}.{part}" for part in _BATCH_NORM}
            index += 3 + pooled
        names |= {f"classifier.{part}": f"classifier.0.op.{part}" for part in ("weight", "bias")}
        if self.feedback is not None:
            names |= {f"feedback.{part}": f"fb_conv.op.{part}" for part in ("weight", "bias")}
        return names


_BATCH_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def _upsample(x_BCHW: Tensor) -> Tensor:
    return F.interpolate(x_BCHW, scale_factor=UP, mode="nearest")


def _stages(layers: tuple[int, ...], width: float) -> tuple[list[int], list[bool]]:
    """Channels of every convolution, and whether pooling follows it."""
    channels: list[int] = []
    pooled: list[bool] = []
    for entry in layers:
        if entry == POOL:
            pooled[-1] = True
        else:
            channels.append(max(1, round(entry * width)))
            pooled.append(False)
    return channels, pooled
