"""Normaliser-free spiking ResNets (Brock et al., ICLR 2021): pre-activation blocks on standardised convolutions.

Shapes: B batch, C channels, H W image, K classes.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ottt.config.groups import NeuronConfig
from ottt.models.base import Network
from ottt.modules import SPIKE_SCALE, Context, Conv2d, Linear, Neuron, NeuronState, State, states_of

ALPHA = 0.2  # growth of the residual stream per block
EXPANSION = 4  # output channels of a bottleneck per inner channel
STAGE_CHANNELS = (64, 128, 256, 512)


@dataclass(frozen=True)
class ResNetDesign:
    """The choices in which the residual networks differ.

    Attributes:
        blocks: number of blocks in each of the four stages.
        bottleneck: blocks of 1x1, 3x3, 1x1 convolutions instead of two 3x3.
        groups: groups of the 3x3 convolutions in bottlenecks.
        base_width: inner channels of a bottleneck in the first stage, per group.
    """

    blocks: tuple[int, int, int, int]
    bottleneck: bool = False
    groups: int = 1
    base_width: int = 64


@dataclass(frozen=True)
class BlockShape:
    """Layout of one block, and the scale of its input.

    Attributes:
        name: name in the original implementation.
        channels: channels along the branch, input first.
        kernels: kernel size of each convolution of the branch.
        stride: stride of the first 3x3 convolution and of the shortcut.
        groups: groups of the 3x3 convolutions.
        beta: expected standard deviation of the input.
    """

    name: str
    channels: list[int]
    kernels: list[int]
    stride: int
    groups: int
    beta: float

    @property
    def reshapes(self) -> bool:
        """Whether the output's shape differs from the input's."""
        return self.stride > 1 or self.channels[0] != self.channels[-1]


class Block(nn.Module):
    """out = skip_gain ALPHA f(x / beta) + shortcut; f alternates neurons and convolutions.

    The shortcut is x itself, or a 1x1 convolution of the first neurons' spikes where the shape changes.

    Stochastic depth drops f for a whole sequence; what is kept is not scaled up. With a draw per sample, f is computed
    and multiplied by 0 where it is dropped. With a draw per batch, as in the original, only the first neurons of a
    dropped block run: its other parameters have no gradient, and the optimizer leaves them as they are.
    """

    def __init__(
        self,
        shape: BlockShape,
        *,
        neuron: NeuronConfig,
        drop: float,
        per_batch: bool = False,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        channels, kernels = shape.channels, shape.kernels
        strided = kernels.index(3)

        def conv(below: int, above: int, size: int, *, stride: int = 1, groups: int = 1) -> Conv2d:
            return Conv2d(
                below,
                above,
                size,
                stride=stride,
                groups=groups,
                standardized=True,
                scale=SPIKE_SCALE,
                generator=generator,
            )

        self.beta, self.drop, self.per_batch = shape.beta, drop, per_batch
        self.skip_gain = nn.Parameter(torch.zeros(()))
        self.spike_layers = nn.ModuleList(Neuron(neuron) for _ in kernels)
        self.convs = nn.ModuleList(
            conv(
                channels[i],
                channels[i + 1],
                size,
                stride=shape.stride if i == strided else 1,
                groups=shape.groups if size == 3 else 1,
            )
            for i, size in enumerate(kernels)
        )
        self.shortcut = conv(channels[0], channels[-1], 1, stride=shape.stride) if shape.reshapes else None

    def forward(
        self, x: Tensor, before: Iterator[NeuronState | None], context: Context
    ) -> tuple[Tensor, list[NeuronState]]:
        """One time step of the block; it takes one entry per layer of neurons from `before`."""
        shortcut, h, after = x, x / self.beta, []
        for i, (neuron, conv) in enumerate(zip(self.spike_layers, self.convs, strict=True)):
            spikes, now = neuron(h, next(before), context)
            after.append(now)
            if i == 0 and self.shortcut is not None:
                shortcut = self.shortcut(spikes, context).to(x.dtype)
            if i == 0 and self._drops() and self.per_batch and context.drops(self, self.drop):
                skipped = [next(before) for _ in self.spike_layers[1:]]
                return shortcut, after + [_silent(x) for _ in skipped]
            h = conv(spikes, context)
        if self._drops() and not self.per_batch:
            h = h * (context.sample_mask(self, h, self.drop) * (1 - self.drop))
        return self._grown(h.to(x.dtype), context) + shortcut, after

    def _grown(self, h: Tensor, context: Context) -> Tensor:
        """What the branch adds to the residual stream."""
        return self.skip_gain * ALPHA * h

    def _drops(self) -> bool:
        return self.training and self.drop > 0


class NFResNet(Network):
    """7x7/2 convolution, 3x3/2 average pooling, four stages of blocks, global mean, linear.

    The inputs of the stem and the classifier are real values rather than spikes, so they have no trace.
    """

    def __init__(
        self,
        design: ResNetDesign,
        *,
        channels_in: int,
        classes: int,
        neuron: NeuronConfig,
        width: float = 1.0,
        stochastic_depth: float = 0.0,
        per_batch: bool = False,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        shapes = _block_shapes(design, width)
        self.dropout = dropout
        self.stem = Conv2d(channels_in, shapes[0].channels[0], 7, stride=2, standardized=True, generator=generator)
        rates = [stochastic_depth * (1 if per_batch else i / len(shapes)) for i in range(len(shapes))]
        self.blocks = nn.ModuleList(
            Block(shape, neuron=neuron, drop=rate, per_batch=per_batch, generator=generator)
            for shape, rate in zip(shapes, rates, strict=True)
        )
        self.block_names = [shape.name for shape in shapes]
        self.classifier = Linear(shapes[-1].channels[-1], classes, std=0.0)

    def encode(self, frame: Tensor, context: Context) -> Tensor:
        """The stem's convolution and pooling; see `Network.encode`."""
        return F.avg_pool2d(self.stem(frame, context), 3, stride=2, padding=1)

    def step(self, current: Tensor, state: State | None, context: Context) -> tuple[Tensor, State]:
        """See `Network.step`."""
        x, after = current, []
        before = states_of(state, self.neuron_layers)
        for block in self.blocks:
            x, now = block(x, before, context)
            after += now
        features = x.mean((2, 3))
        if self.training and self.dropout > 0:
            features = features * context.mask(self, features, self.dropout)
        return self.classifier(features, context), tuple(after)

    def reference_names(self) -> dict[str, str]:
        """See `Network.reference_names`."""
        parts = ("weight", "bias", "gain")
        names = {f"stem.{part}": f"conv1.{part}" for part in parts}
        for i, (block, theirs) in enumerate(zip(self.blocks, self.block_names, strict=True)):
            assert isinstance(block, Block)
            ours = f"blocks.{i}"
            names[f"{ours}.skip_gain"] = f"{theirs}.skipinit_gain"
            for j in range(len(block.convs)):
                names |= {f"{ours}.convs.{j}.{part}": f"{theirs}.conv{j + 1}.op.{part}" for part in parts}
            if block.shortcut is not None:
                names |= {f"{ours}.shortcut.{part}": f"{theirs}.downsample.op.{part}" for part in parts}
        return names | {f"classifier.{part}": f"fc.{part}" for part in ("weight", "bias")}


def _silent(x: Tensor) -> NeuronState:
    """State of neurons that do not run in this sequence."""
    nothing = x.new_zeros(0)
    return NeuronState(nothing, nothing, None, None)


def _block_shapes(design: ResNetDesign, width: float) -> list[BlockShape]:
    """Shapes of all blocks, from the stem to the classifier."""
    shapes: list[BlockShape] = []
    below, variance = _scaled(STAGE_CHANNELS[0], width), 1.0
    for stage, count in enumerate(design.blocks):
        for position in range(count):
            channels, kernels = _branch(design, stage, below, width)
            stride = 2 if stage > 0 and position == 0 else 1
            name = f"layer{stage + 1}.{position}"
            shapes.append(BlockShape(name, channels, kernels, stride, design.groups, math.sqrt(variance)))
            below = channels[-1]
            # The first block of a stage restarts the residual stream.
            variance = (1.0 if position == 0 else variance) + ALPHA**2
    return shapes


def _branch(design: ResNetDesign, stage: int, below: int, width: float) -> tuple[list[int], list[int]]:
    """Channels along a block's branch, input first, and the kernel size of each of its convolutions."""
    channels = _scaled(STAGE_CHANNELS[stage], width)
    if not design.bottleneck:
        return [below, channels, channels], [3, 3]
    inner = max(1, channels * design.base_width // 64) * design.groups
    return [below, inner, inner, channels * EXPANSION], [1, 3, 1]


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))
