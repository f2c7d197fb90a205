"""Exported graphs, read back from their file by an interpreter of NIR's primitives, against the network itself."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ottt.config.load import load_config
from ottt.config.trial import TrialConfig
from ottt.errors import UserError
from ottt.export.nir import refusals, to_nir, write
from ottt.models.base import Network
from ottt.models.registry import build_model
from ottt.modules import Context

nir = pytest.importorskip("nir")
from tests.ottt.export import nir_reader  # noqa: E402

T, B = 5, 3


def config_of(**settings: object) -> TrialConfig:
    return load_config({"data.name": "cifar10", "T": T, "seed": 3, "model.width": 0.1} | settings)


def lively(config: TrialConfig, dtype: torch.dtype = torch.float64) -> Network:
    """A network in evaluation mode in which biases, gains and statistics are no zeros and ones."""
    net, generator = build_model(config), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if not name.endswith("weight") or "norms" in name or "classifier" in name:
                parameter.add_(
                    (1.0 if "skip" in name or "hidden" in name else 0.3)
                    * torch.rand(parameter.shape, generator=generator)
                )
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0.0, 0.2, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
    return net.eval().to(dtype)


def frames(config: TrialConfig, dtype: torch.dtype = torch.float64) -> Tensor:
    info = config.data.samples
    drawn = torch.randn(T, B, info.channels, info.height, info.width, generator=torch.Generator().manual_seed(2))
    return drawn.to(dtype)


@torch.no_grad()
def simulated(net: Network, inputs: Tensor) -> tuple[list[list[Tensor]], Tensor]:
    """Spikes of every layer in every time step, and the logits, of the network itself."""
    state, spikes, outs = None, [], []
    for frame in inputs:
        out, state = net(frame, state, Context())
        spikes.append([layer.s for layer in state])
        outs.append(out)
    return spikes, torch.stack(outs)


def read_back(net: Network, config: TrialConfig, file: Path, inputs: Tensor, **how: object):
    """The same of the exported graph."""
    write(net, config, file, **how)
    graph = nir.read(file)
    # neurons in the order of the graph's nodes in the exporter, which is the network's
    layers = [name for name in to_nir(net, config, **how).nodes if "neurons" in name and not name.endswith(PARTS)]
    steps = list(nir_reader.run(graph, inputs))
    return [[step[name] for name in layers] for step in steps], torch.stack([step["output"] for step in steps])


PARTS = ("_membrane", "_reset", "_delay")
NETWORKS = [
    {"model.name": "small", "data.name": "digits", "model.width": 0.5},
    {"model.name": "small", "model.classifier_hidden": 12, "neuron.tau": 1.25, "neuron.v_threshold": 0.7},
    {"model.name": "vgg11"},
    {"model.name": "vgg11_bn", "neuron.tau": 4.0},
    {"model.name": "vgg11_ws", "neuron.kind": "if"},
    {"model.name": "vgg11_ws", "neuron.tau": 1.0},
    {"model.name": "nfresnet18", "neuron.v_threshold": 0.2},
    {"model.name": "nfresnet50", "neuron.v_threshold": 0.2, "neuron.v_reset": 0.0},
    {"model.name": "nfresnext50_32x4d", "neuron.v_threshold": 0.2, "model.width": 0.05},
]
RESETS = [  # beside the loop of the cases above
    {"model.name": name, "model.width": 0.2, "neuron.kind": kind, **how}
    for name in ("small", "vgg11_ws")
    for kind in ("lif", "if")
    for how in ({"reset": "lif"}, {"neuron.v_reset": 0.0}, {"neuron.v_reset": -0.3})
]


@pytest.mark.parametrize("settings", NETWORKS + RESETS, ids=lambda settings: " ".join(map(str, settings.values())))
def test_the_file_gives_the_networks_spikes_in_every_step(settings, tmp_path: Path) -> None:
    options = {key: value for key, value in settings.items() if key == "reset"}
    config = config_of(**{key: value for key, value in settings.items() if key != "reset"})
    net, inputs = lively(config), frames(config)
    spikes, logits = simulated(net, inputs)
    found, outs = read_back(net, config, tmp_path / "net.nir", inputs, **options)
    assert len(found[0]) == len(net.neurons)
    for t in range(T):
        for layer, (ours, theirs) in enumerate(zip(spikes[t], found[t], strict=True)):
            assert torch.equal(ours, theirs), f"step {t}, layer {layer}"
    assert torch.allclose(logits, outs, rtol=1e-9, atol=1e-9)
    rates = torch.tensor([[layer.mean() for layer in step] for step in spikes])
    assert (rates.mean(0) > 0.01).all(), "a silent layer would agree with any other"
    assert (rates.mean(0) < 0.9).all()


def test_in_float32_all_but_ties_agree(tmp_path: Path) -> None:
    config = config_of(**{"model.name": "vgg11_ws", "model.width": 0.5})
    net, inputs = lively(config, torch.float32), frames(config, torch.float32)
    spikes, _ = simulated(net, inputs)
    found, _ = read_back(net, config, tmp_path / "net.nir", inputs)
    pairs = [
        (ours, theirs)
        for here, there in zip(spikes, found, strict=True)
        for ours, theirs in zip(here, there, strict=True)
    ]
    share = sum(int((ours != theirs).sum()) for ours, theirs in pairs) / sum(ours.numel() for ours, _ in pairs)
    assert share < 1e-4


def test_a_neuron_at_its_threshold_fires(tmp_path: Path) -> None:
    """NIR's neurons fire above the threshold, ours at it: a current of exactly the threshold tells them apart."""
    for how in ({}, {"neuron.v_reset": 0.0}):
        config = config_of(**{"model.name": "small", "data.name": "digits", "model.width": 0.1} | how)
        net = build_model(config).eval()
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                parameter.fill_(1.0 if name == "stem.bias" else 0.0)
        inputs = torch.zeros(3, 1, 1, 8, 8)
        spikes, _ = simulated(net, inputs)
        assert [step[0].mean().item() for step in spikes] == [1.0, 1.0, 1.0]
        found, _ = read_back(net, config, tmp_path / "net.nir", inputs)
        assert [step[0].mean().item() for step in found] == [1.0, 1.0, 1.0]


def test_another_reading_of_the_file_gives_other_spikes(tmp_path: Path) -> None:
    """The reset and the time step are part of what is said: a reader that ignores them is told apart."""
    config = config_of(**{"model.name": "small", "data.name": "digits"})
    net, inputs = lively(config), frames(config)
    spikes, _ = simulated(net, inputs)
    graph = to_nir(net, config, reset="lif")

    def share_equal() -> float:
        found = [step["neurons_0"] for step in nir_reader.run(graph, inputs)]
        return sum((ours[0] == theirs).double().mean().item() for ours, theirs in zip(spikes, found, strict=True)) / T

    assert share_equal() == 1.0
    graph.metadata["reset"] = "v = v_reset after a spike"
    assert share_equal() < 0.99
    graph.metadata |= {"reset": to_nir(net, config, reset="lif").metadata["reset"], "dt": 0.5e-4}
    assert share_equal() < 0.99


def test_dt_scales_the_time_constants_and_nothing_else() -> None:
    config = config_of(**{"model.name": "small", "neuron.tau": 4.0, "neuron.v_reset": 0.0})
    net = build_model(config).eval()
    fine, coarse = (to_nir(net, config, dt=dt).nodes["neurons_0"] for dt in (1e-4, 1e-3))
    assert fine.tau == pytest.approx(4e-4)
    assert coarse.tau == pytest.approx(4e-3)
    assert (fine.r == 4.0).all()
    assert (coarse.r == 4.0).all()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("vgg11f_ws", "vgg11f_ws cannot be exported: NIR has no up-sampling, which its feedback needs"),
        ("r400", "r400 cannot be exported: the bias of its recurrence acts from the second time step on"),
    ],
)
def test_what_nir_cannot_say_is_refused_by_name(name: str, reason: str) -> None:
    config = config_of(**{"model.name": name})
    with pytest.raises(UserError, match=reason):
        to_nir(build_model(config), config)


def test_networks_of_others_and_time_steps_of_no_length_are_refused() -> None:
    class Own(Network):
        pass

    assert refusals(Own()) == ["only VGG-like and residual networks have an export, got Own"]
    config = config_of()
    with pytest.raises(UserError, match="dt must be > 0 s, got 0"):
        to_nir(build_model(config), config, dt=0.0)


def test_without_the_package_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nir", None)
    config = config_of()
    with pytest.raises(UserError, match=r"nir must be installed: pip install 'ottt-lab\[neuromorphic\]'"):
        to_nir(build_model(config), config)


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = config_of(**{"data.name": "digits"})
    with pytest.raises(UserError, match="FILE must be one that can be written"):
        write(build_model(config).eval(), config, tmp_path / "file" / "net.nir")
