"""A NIR graph as it grows: a method per kind of layer adds its nodes. What they mean: `ottt.export.nir`.

Shapes: C/F channels in/out, K kernel size.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ottt.modules import Conv2d, Linear, Neuron

Reset = Literal["loop", "lif"]


@dataclass
class Graph:
    """The nodes and edges so far.

    Attributes:
        dt: duration of a time step, s.
        reset: how a soft reset is said.
        nodes, edges: as NIR has them.
        shapes: shape of every node's output, without batch.
    """

    dt: float
    reset: Reset
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def add(self, name: str, node: Any, shape: tuple[int, ...], *sources: str) -> str:
        """Add a node whose input is the sum of `sources`; returns its name."""
        self.nodes[name], self.shapes[name] = node, shape
        self.edges += [(source, name) for source in sources]
        return name

    def conv(self, name: str, layer: Conv2d, source: str, *, norm: nn.Module | None = None, factor: float = 1.0) -> str:
        """A convolution with the batch normalisation after it and a factor on its output.

        Groups become zeros in a dense kernel: NIR's type check takes grouped kernels for those of fewer channels.
        """
        kernel, bias = layer.kernel().detach() * factor, layer.bias.detach() * factor
        if isinstance(norm, nn.BatchNorm2d):
            kernel, bias = _folded(kernel, bias, norm)
        return self.kernel(name, _dense(kernel, layer.groups), bias, layer.stride, layer.padding, source)

    def kernel(self, name: str, kernel: Tensor, bias: Tensor, stride: int, padding: int, source: str) -> str:
        """A convolution with a square kernel [F,C,K,K]."""
        import nir

        image, size = self.shapes[source][1:], kernel.shape[2]
        node = nir.Conv2d(
            input_shape=image,
            weight=_array(kernel),
            stride=(stride, stride),
            padding=(padding, padding),
            dilation=(1, 1),
            groups=1,
            bias=_array(bias),
        )
        out = tuple((pixels + 2 * padding - size) // stride + 1 for pixels in image)
        return self.add(name, node, (len(kernel), *out), source)

    def affine(self, name: str, layer: Linear, source: str) -> str:
        """A fully connected layer."""
        import nir

        node = nir.Affine(weight=_array(layer.kernel()), bias=_array(layer.bias))
        return self.add(name, node, (len(layer.bias),), source)

    def pool(self, name: str, size: tuple[int, ...], source: str) -> str:
        """Average pooling of windows that do not overlap."""
        import nir

        channels, *image = self.shapes[source]
        node = nir.AvgPool2d(kernel_size=np.array(size), stride=np.array(size), padding=np.array([0, 0]))
        return self.add(name, node, (channels, *(p // s for p, s in zip(image, size, strict=True))), source)

    def mean(self, source: str) -> str:
        """The mean over the image, as a vector."""
        import nir

        pooled = self.pool("mean", self.shapes[source][1:], source)
        node = nir.Flatten(input_type={"input": np.array(self.shapes[pooled])}, start_dim=0, end_dim=-1)
        return self.add("flatten", node, self.shapes[pooled][:1], pooled)

    def scale(self, name: str, factor: float, like: Tensor, *sources: str) -> str:
        """A factor on the sum of `sources`; `like` has the type of the values."""
        import nir

        shape = self.shapes[sources[0]]
        return self.add(name, nir.Scale(scale=_filled(shape, factor, like)), shape, *sources)

    def neurons(self, name: str, neuron: Neuron, source: str, like: Tensor) -> str:
        """A layer of neurons; returns the node of its spikes."""
        import nir

        config, shape = neuron.config, self.shapes[source]
        tau = 1 / (1 - config.decay) if config.decay < 1 else None  # time steps
        rates = {"r": 1 / self.dt} if tau is None else {"tau": tau * self.dt, "r": tau, "v_leak": 0.0}
        values = {key: _filled(shape, value, like) for key, value in rates.items()}
        below = _next_smaller(_filled(shape, config.v_threshold, like))
        if config.v_reset is not None:
            reset = {"v_threshold": below, "v_reset": _filled(shape, config.v_reset, like)}
            return self.add(name, (nir.IF if tau is None else nir.LIF)(**values, **reset), shape, source)
        if self.reset == "lif":
            threshold = _filled(shape, config.v_threshold, like)
            return self.add(name, (nir.IF if tau is None else nir.LIF)(**values, v_threshold=threshold), shape, source)
        membrane = self.add(f"{name}_membrane", (nir.I if tau is None else nir.LI)(**values), shape, source)
        spikes = self.add(name, nir.Threshold(threshold=below), shape, membrane)
        back = self.scale(f"{name}_reset", -config.decay * config.v_threshold, like, spikes)
        delayed = self.add(f"{name}_delay", nir.Delay(delay=_filled(shape, self.dt, like)), shape, back)
        self.edges.append((delayed, membrane))
        return spikes


def _folded(kernel: Tensor, bias: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Kernel and bias of a convolution with the batch normalisation after it, as in evaluation."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
    return kernel * factor[:, None, None, None], (bias - norm.running_mean) * factor + norm.bias.detach()


def _dense(kernel: Tensor, groups: int) -> Tensor:
    """The kernel [F,C/groups,K,K] of a grouped convolution as [F,C,K,K]."""
    if groups == 1:
        return kernel
    above, below = len(kernel) // groups, kernel.shape[1]
    dense = kernel.new_zeros(len(kernel), below * groups, *kernel.shape[2:])
    for group in range(groups):
        rows = slice(group * above, (group + 1) * above)
        dense[rows, group * below : (group + 1) * below] = kernel[rows]
    return dense


def _array(values: Tensor) -> NDArray[Any]:
    return np.ascontiguousarray(values.detach().cpu().numpy())


def _filled(shape: tuple[int, ...], value: float, like: Tensor) -> NDArray[Any]:
    """An array of one value, of the type of `like`: NIR has a value per neuron."""
    return np.full(shape, value, dtype=_array(like[:0]).dtype)


def _next_smaller(values: NDArray[Any]) -> NDArray[Any]:
    below: NDArray[Any] = np.nextafter(values, values.dtype.type(-np.inf))
    return below
