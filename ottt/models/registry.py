"""The registry of networks: their names and designs, and how they are built."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ottt import names
from ottt.config.trial import TrialConfig
from ottt.data.info import DataInfo
from ottt.models.base import Network
from ottt.models.recurrent import Recurrent
from ottt.models.resnet import NFResNet, ResNetDesign
from ottt.models.vgg import SMALL, VGG, VGG11, VGGDesign
from ottt.plugins import claim

__all__ = ["MODELS", "Build", "Network", "build_model", "register_model"]

Build = Callable[[TrialConfig, DataInfo, torch.Generator], Network]


@dataclass(frozen=True)
class Model:
    """A network that can be chosen by name.

    Attributes:
        summary: one-line description.
        build: function that builds it for a configuration and a data set, with weights drawn from the generator.
    """

    summary: str
    build: Build


def _vgg(summary: str, design: VGGDesign) -> Model:
    def build(config: TrialConfig, data: DataInfo, generator: torch.Generator) -> Network:
        return VGG(
            design,
            channels_in=data.channels,
            classes=data.classes,
            neuron=config.neuron,
            width=config.model.width,
            hidden=config.model.classifier_hidden,
            dropout=config.model.dropout,
            generator=generator,
        )

    return Model(summary, build)


def _resnet(summary: str, design: ResNetDesign) -> Model:
    def build(config: TrialConfig, data: DataInfo, generator: torch.Generator) -> Network:
        return NFResNet(
            design,
            channels_in=data.channels,
            classes=data.classes,
            neuron=config.neuron,
            width=config.model.width,
            stochastic_depth=config.model.stochastic_depth,
            per_batch=config.model.depth_draws == "batch",
            dropout=config.model.dropout,
            generator=generator,
        )

    return Model(summary, build)


def _r400(config: TrialConfig, data: DataInfo, generator: torch.Generator) -> Network:
    return Recurrent(
        max(1, round(400 * config.model.width)),
        features_in=data.channels * data.height * data.width,
        classes=data.classes,
        neuron=config.neuron,
        dropout=config.model.dropout,
        generator=generator,
    )


_DEEP = (3, 4, 23, 3)  # blocks per stage of the 101-layer networks

MODELS: dict[str, Model] = {
    "small": _vgg("three standardised convolutions, for images of 8x8 to 32x32", VGGDesign(SMALL, "ws")),
    "vgg11": _vgg("VGG-11, plain convolutions", VGGDesign(VGG11, None)),
    "vgg11_bn": _vgg("VGG-11, batch normalisation", VGGDesign(VGG11, "bn")),
    "vgg11_ws": _vgg("VGG-11, scaled weight standardisation (the paper's VGG)", VGGDesign(VGG11, "ws")),
    "vgg11f_ws": _vgg("the same with feedback from the last layer to the first (VGG-F)", VGGDesign(VGG11, "ws", True)),
    "nfresnet18": _resnet("normaliser-free ResNet-18", ResNetDesign((2, 2, 2, 2))),
    "nfresnet34": _resnet("normaliser-free ResNet-34 (the paper's ImageNet network)", ResNetDesign((3, 4, 6, 3))),
    "nfresnet50": _resnet("normaliser-free ResNet-50", ResNetDesign((3, 4, 6, 3), bottleneck=True)),
    "nfresnet101": _resnet("normaliser-free ResNet-101", ResNetDesign(_DEEP, bottleneck=True)),
    "nfresnet152": _resnet("normaliser-free ResNet-152", ResNetDesign((3, 8, 36, 3), bottleneck=True)),
    "nfresnext50_32x4d": _resnet(
        "normaliser-free ResNeXt-50, 32 groups of 4",
        ResNetDesign((3, 4, 6, 3), bottleneck=True, groups=32, base_width=4),
    ),
    "nfresnext101_32x8d": _resnet(
        "normaliser-free ResNeXt-101, 32 groups of 8",
        ResNetDesign(_DEEP, bottleneck=True, groups=32, base_width=8),
    ),
    "nfwide_resnet50_2": _resnet(
        "normaliser-free ResNet-50, twice as wide inside",
        ResNetDesign((3, 4, 6, 3), bottleneck=True, base_width=128),
    ),
    "nfwide_resnet101_2": _resnet(
        "normaliser-free ResNet-101, twice as wide inside",
        ResNetDesign(_DEEP, bottleneck=True, base_width=128),
    ),
    "r400": Model("one layer of 400 recurrent neurons (the paper's Fashion-MNIST network)", _r400),
}


def register_model(name: str, build: Build, *, summary: str) -> None:
    """Add a network that `model.name` can name.

    Args:
        name: name of the network.
        build: function that builds it for a configuration and a data set, with weights drawn from the generator.
        summary: one-line description.

    Raises:
        UserError: the name is taken.
    """
    claim("network", name, MODELS)
    MODELS[name] = Model(summary, build)
    names.MODELS.append(name)


def build_model(config: TrialConfig, *, data: DataInfo | None = None) -> Network:
    """The network of `config` in training mode, with weights drawn from `config.seed`.

    Args:
        config: configuration with the network, its neurons and the data set, which sets the shapes of input and output.
        data: data set to use for these shapes instead.
    """
    generator = torch.Generator().manual_seed(config.seed)
    return MODELS[config.model.name].build(config, data or config.data.samples, generator)
