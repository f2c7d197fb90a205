"""Recording and plotting of membrane potentials, spikes and traces of single layers over time.

Shapes: T time steps, B batch, `...` the shape of a layer of neurons.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ottt.errors import UserError
from ottt.models.base import Network
from ottt.modules import Context, NeuronState, State

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Recording:
    """The state of one layer of neurons over time.

    Attributes:
        u: membrane potential after the reset, [T,B,...].
        s: spikes, [T,B,...].
        a: traces, [T,B,...].
    """

    u: NDArray[np.float32]
    s: NDArray[np.float32]
    a: NDArray[np.float32]


@torch.no_grad()
def record(
    net: Network, inputs: Tensor, *, time_steps: int, layers: Iterable[str] | None = None
) -> dict[str, Recording]:
    """Run `net` in evaluation mode and record the state of layers in every time step.

    Args:
        net: network in any mode.
        inputs: [B,C,H,W] (a still image) or [B,T,C,H,W].
        time_steps: T.
        layers: names as in `net.neurons`; None: all.

    Raises:
        UserError: there is no layer with one of the names.
    """
    names = [name for name, _ in net.neurons]
    chosen = names if layers is None else list(layers)
    if unknown := [name for name in chosen if name not in names]:
        raise UserError(f"layer must be one of {', '.join(names)}, got {unknown[0]!r}")
    states: dict[str, list[NeuronState]] = {name: [] for name in chosen}
    training = net.training
    net.eval()
    context = Context(trace="decay")
    state: State | None = None
    for t in range(time_steps):
        _, state = net(inputs if inputs.dim() == 4 else inputs[:, t], state, context)
        for name, layer in zip(names, state, strict=True):
            if name in states:
                states[name].append(layer)
    net.train(training)
    return {name: _stacked(steps) for name, steps in states.items()}


def draw(recordings: dict[str, Recording], *, sample: int = 0, neurons: int = 40) -> "Figure":
    """A figure with, per layer, the spikes of some neurons, and membrane potential and trace of an active one.

    Args:
        recordings: recordings from `record`.
        sample: index of the sample in the batch.
        neurons: number of neurons per layer, evenly spread over it.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.2 * len(recordings)), layout="constrained")
    axes = figure.subplots(len(recordings), 2, squeeze=False, sharex=True)
    for (raster, curves), (name, recording) in zip(axes, recordings.items(), strict=True):
        u, s, a = (_flat(values, sample) for values in (recording.u, recording.s, recording.a))
        shown = np.linspace(0, s.shape[1] - 1, min(neurons, s.shape[1])).astype(int)
        steps = np.arange(1, len(s) + 1)
        raster.eventplot([steps[s[:, index] > 0] for index in shown], colors="black", linelengths=0.8, linewidths=2)
        raster.set(title=f"{name}: spikes", ylabel=f"{len(shown)} of {s.shape[1]} neurons", yticks=[])
        active = shown[np.abs(s[:, shown].mean(0) - 0.5).argmin()]
        curves.plot(steps, u[:, active], marker="o", label="membrane u")
        curves.plot(steps, a[:, active], marker="s", linestyle="--", label="trace a")
        curves.vlines(steps[s[:, active] > 0], *curves.get_ylim(), color="black", alpha=0.3, label="spike")
        curves.set(title=f"{name}: neuron {active}")
        curves.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
    for axis in axes[-1]:
        axis.set_xlabel("time step")
    return figure


def _stacked(steps: list[NeuronState]) -> Recording:
    traces = [layer.a for layer in steps if layer.a is not None]
    series = ([layer.u for layer in steps], [layer.s for layer in steps], traces)
    return Recording(*(torch.stack(values).float().cpu().numpy() for values in series))


def _flat(values: NDArray[np.float32], sample: int) -> NDArray[np.float32]:
    return values[:, sample].reshape(len(values), -1)
