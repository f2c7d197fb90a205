"""Trained networks as graphs of the Neuromorphic Intermediate Representation (Pedersen et al., Nat. Commun. 15, 2024).

NIR describes neurons in continuous time. A graph of this module is to be read by forward Euler with the time step dt of
its metadata:

    LIF, LI    v[t] = v[t-1] + dt/tau (v_leak - v[t-1] + r x[t])    tau = dt / (1 - decay), r = tau / dt, v_leak = 0
    IF, I      v[t] = v[t-1] + dt r x[t]                            r = 1 / dt
    Delay      y[t] = x[t - delay/dt]                               delay = dt

which gives v[t] = decay v[t-1] + x[t], the equation of `ottt.functional.lif`. NIR's neurons fire above the threshold,
ours at it too: the exported threshold is the next smaller number.

Kernels are exported as layers apply them: standardised, scaled, with batch normalisation folded in.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch

from ottt.config.trial import TrialConfig
from ottt.data.normalise import PUBLISHED, published
from ottt.errors import UserError, first_line
from ottt.export.nir_graph import Graph, Reset
from ottt.files import replacing
from ottt.models.base import Network
from ottt.models.resnet import ALPHA, Block, NFResNet
from ottt.models.vgg import VGG
from ottt.modules import Conv2d, Neuron

if TYPE_CHECKING:
    import nir

DT = 1e-4  # s; the time step that snnTorch and spikingjelly assume
EXTRA = "neuromorphic"  # of pyproject.toml

RESETS: tuple[Reset, ...] = get_args(Reset)

_READING = "forward Euler: LIF, LI: v += dt/tau (v_leak - v + r x); IF, I: v += dt r x; an edge takes no time"
_RESETS = {
    "loop": "v -= v_threshold after a spike, by the nodes *_reset and *_delay",
    "lif": "v -= v_threshold after a spike, in place of v_reset: the reader must do it",
    "hard": "v = v_reset after a spike",
}


def write(net: Network, config: TrialConfig, file: Path, *, dt: float = DT, reset: Reset = "loop") -> "nir.NIRGraph":
    """Write `to_nir` into a file.

    Raises:
        UserError: see `to_nir`; or the file cannot be written.
    """
    graph = to_nir(net, config, dt=dt, reset=reset)
    import nir

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as partial:
            nir.write(str(partial), graph)
    except OSError as error:
        raise UserError(f"FILE must be one that can be written, got {file}: {first_line(error)}") from error
    return graph


def to_nir(net: Network, config: TrialConfig, *, dt: float = DT, reset: Reset = "loop") -> "nir.NIRGraph":
    """The network in evaluation mode as a NIR graph: one node per layer, from `input` (a normalised frame) to `output`.

    Args:
        net: trained network.
        config: its configuration.
        dt: duration of a time step, s.
        reset: how a soft reset, v -= v_threshold, is said, which NIR's neurons lack. "loop": exactly, by nodes LI (or
            I), Threshold, and a Scale and a Delay that feed the spike back. "lif": by a LIF (or IF) node and a note in
            the metadata, for readers that subtract by themselves. A hard reset is always a LIF (or IF) node.

    Raises:
        UserError: the package nir is not installed, or the network has what NIR cannot say; one line per reason.
    """
    if not dt > 0:
        raise UserError(f"dt must be > 0 s, got {dt}")
    try:
        import nir
    except ImportError as error:
        raise UserError(f"nir must be installed: pip install 'ottt-lab[{EXTRA}]' ({first_line(error)})") from error
    if problems := refusals(net):
        raise UserError(*(f"{config.model.name} cannot be exported: {problem}" for problem in problems))
    info = config.data.samples
    graph = Graph(dt, reset)
    shape = (info.channels, info.height, info.width)
    graph.add("input", nir.Input(input_type={"input": np.array(shape)}), shape)
    top = _vgg(graph, net) if isinstance(net, VGG) else _resnet(graph, net)
    graph.add("output", nir.Output(output_type={"output": np.array(graph.shapes[top])}), graph.shapes[top], top)
    return nir.NIRGraph(nodes=graph.nodes, edges=graph.edges, metadata=_metadata(config, dt, reset))


def refusals(net: Network) -> list[str]:
    """What of the network NIR cannot say; empty if it can be exported."""
    if isinstance(net, VGG):
        return ["NIR has no up-sampling, which its feedback needs"] if net.feedback is not None else []
    if isinstance(net, NFResNet):
        return []
    if hasattr(net, "recurrence"):
        return ["the bias of its recurrence acts from the second time step on, in NIR it would act from the first"]
    return [f"only VGG-like and residual networks have an export, got {type(net).__name__}"]


def _metadata(config: TrialConfig, dt: float, reset: Reset) -> dict[str, Any]:
    """What a reader must know beside the nodes, as numbers, texts and arrays."""
    soft, name = config.neuron.v_reset is None, config.data.name
    known = published(name, white=config.data.samples.white) if name in PUBLISHED else None
    statistics = {} if known is None else {"input_mean": np.array(known.mean), "input_std": np.array(known.std)}
    return statistics | {
        "software": "OTTT Lab",
        "trial": config.trial_hash,
        "model": config.model.name,
        "data": name,
        "dt": dt,
        "time_steps": config.T,
        "decay": config.neuron.decay,
        "v_threshold": config.neuron.v_threshold,
        "reading": _READING,
        "reset": _RESETS[reset if soft else "hard"],
        "input": "frames, normalised by channel as in training; a still image is shown in every time step",
        "output": "logits of every time step; the class is that of the largest sum",
        "precision": config.precision,
    }


def _vgg(graph: Graph, net: VGG) -> str:
    """Adds the layers of a VGG-like network; returns the last."""
    top, like = "input", net.classifier.weight
    for i, (neuron, norm, pooled) in enumerate(zip(net.spike_layers, net.norms, net.pooled, strict=True)):
        conv = net.stem if i == 0 else net.convs[i - 1]
        assert isinstance(conv, Conv2d)
        assert isinstance(neuron, Neuron)
        top = graph.neurons(f"neurons_{i}", neuron, graph.conv(f"conv_{i}", conv, top, norm=norm), like)
        if pooled:
            top = graph.pool(f"pool_{i}", (2, 2), top)
    top = graph.mean(top)
    if net.hidden is not None and net.hidden_spikes is not None:
        top = graph.neurons("neurons_hidden", net.hidden_spikes, graph.affine("hidden", net.hidden, top), like)
    return graph.affine("classifier", net.classifier, top)


def _resnet(graph: Graph, net: Network) -> str:
    """Adds the layers of a residual network; returns the last."""
    assert isinstance(net, NFResNet)
    like = net.classifier.weight
    stem = graph.conv("stem", net.stem, "input")
    channels = graph.shapes[stem][0]
    # Pooling with padding: a kernel says that what lies outside counts as zero.
    ninth = torch.eye(channels, dtype=like.dtype, device=like.device)[:, :, None, None].expand(-1, -1, 3, 3) / 9
    x = graph.kernel("stem_pool", ninth, like.new_zeros(channels), 2, 1, stem)
    for i, block in enumerate(net.blocks):
        assert isinstance(block, Block)
        top = graph.scale(f"block_{i}_input", 1 / block.beta, like, x)
        first = ""
        for j, (neuron, conv) in enumerate(zip(block.spike_layers, block.convs, strict=True)):
            assert isinstance(conv, Conv2d)
            assert isinstance(neuron, Neuron)
            spikes = graph.neurons(f"block_{i}_neurons_{j}", neuron, top, like)
            first = first or spikes
            is_last = j == len(block.convs) - 1
            factor = block.skip_gain.item() * ALPHA if is_last else 1.0
            top = graph.conv(f"block_{i}_conv_{j}", conv, spikes, factor=factor)
        aside = x if block.shortcut is None else graph.conv(f"block_{i}_shortcut", block.shortcut, first)
        x = graph.scale(f"block_{i}_sum", 1.0, like, top, aside)
    return graph.affine("classifier", net.classifier, graph.mean(x))
