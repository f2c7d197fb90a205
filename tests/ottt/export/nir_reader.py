"""A small interpreter of NIR graphs in discrete time, from the definitions of NIR's primitives and forward Euler.

It knows nothing of this package: the equations are those of NIR's documentation; dt, and the reset that NIR's neurons
lack, come from the graph's metadata.
"""

from collections.abc import Iterator
from graphlib import TopologicalSorter
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def run(graph: nir.NIRGraph, frames: Tensor) -> Iterator[dict[str, Tensor]]:
    """The output of every node in every time step, for frames [T,B,...] that enter at the only input."""
    dt, subtracts = float(graph.metadata["dt"]), graph.metadata["reset"].endswith("the reader must do it")
    order = tuple(TopologicalSorter(_at_once(graph)).static_order())
    state: dict[str, Tensor] = {}
    for frame in frames:
        outs: dict[str, Tensor] = {}
        fed_back = {name: state.get(name) for name, node in graph.nodes.items() if isinstance(node, nir.Delay)}
        for name in order:
            node = graph.nodes[name]
            if isinstance(node, nir.Delay):
                continue
            known = {**outs, **{key: value for key, value in fed_back.items() if value is not None}}
            given = [known[source] for source, target in graph.edges if target == name and source in known]
            x = frame if isinstance(node, nir.Input) else torch.stack(given).sum(0)
            outs[name] = _step(name, node, x, state, dt, subtracts=subtracts)
        for name in fed_back:  # after one time step
            assert np.allclose(graph.nodes[name].delay, dt)
            (source,) = [source for source, target in graph.edges if target == name]
            state[name] = outs[source]
        yield outs


def _at_once(graph: nir.NIRGraph) -> dict[str, set[str]]:
    """By node those whose output of the same time step it needs: a delay gives that of the one before."""
    needs: dict[str, set[str]] = {name: set() for name in graph.nodes}
    for source, target in graph.edges:
        if not isinstance(graph.nodes[source], nir.Delay):
            needs[target].add(source)
    return needs


def _step(name: str, node: Any, x: Tensor, state: dict[str, Tensor], dt: float, *, subtracts: bool) -> Tensor:
    def value(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(array)).to(x.dtype)

    match node:
        case nir.Input() | nir.Output():
            return x
        case nir.Conv2d():
            padding, stride = tuple(map(int, node.padding)), tuple(map(int, node.stride))
            return F.conv2d(x, value(node.weight), value(node.bias), stride, padding, 1, int(node.groups))
        case nir.Affine():
            return F.linear(x, value(node.weight), value(node.bias))
        case nir.AvgPool2d():
            return F.avg_pool2d(x, tuple(map(int, node.kernel_size)), tuple(map(int, node.stride)))
        case nir.Flatten():  # its dimensions do not count the batch
            return x.flatten(int(node.start_dim) + 1, int(node.end_dim))
        case nir.Scale():
            return value(node.scale) * x
        case nir.Threshold():
            return (x > value(node.threshold)).to(x.dtype)
    v = state.get(name, torch.zeros_like(x))
    match node:
        case nir.LIF() | nir.LI():
            rate = dt / value(node.tau).double()
            v = (1 - rate).to(x.dtype) * v + (rate * (value(node.v_leak) + value(node.r) * x)).to(x.dtype)
        case nir.IF() | nir.I():
            v = v + (dt * value(node.r).double() * x).to(x.dtype)
        case _:
            raise NotImplementedError(f"{name}: {type(node).__name__}")
    if isinstance(node, nir.LI | nir.I):
        state[name] = v
        return v
    threshold = value(node.v_threshold)
    z = (v >= threshold if subtracts else v > threshold).to(x.dtype)
    state[name] = v - threshold * z if subtracts else torch.where(z > 0, value(node.v_reset), v)
    return z
