"""spikingjelly as a reader of exported networks, where it and nirtorch are installed."""

from pathlib import Path

import pytest
import torch

from ottt.config.load import load_config
from ottt.export import as_module
from ottt.export.nir import write
from ottt.models.registry import build_model

nir = pytest.importorskip("nir")
pytest.importorskip("nirtorch")
nir_exchange = pytest.importorskip("spikingjelly.activation_based.nir_exchange")
functional = pytest.importorskip("spikingjelly.activation_based.functional")

SETTINGS = {"data.name": "digits", "model.width": 0.5, "seed": 0, "neuron.v_reset": 0.0}
INPUTS = 3 * torch.randn(6, 2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["lif", "if"])
@torch.no_grad()
def test_it_gives_the_logits_of_a_network_with_hard_reset(kind: str, tmp_path: Path) -> None:
    config = load_config(SETTINGS | {"neuron.kind": kind})
    net = build_model(config).eval()
    net.classifier.weight.normal_(generator=torch.Generator().manual_seed(1))
    write(net, config, tmp_path / "net.nir")
    theirs, state, outs = nir_exchange.import_from_nir(nir.read(tmp_path / "net.nir")), None, []
    for frame in INPUTS:
        out, state = theirs(frame, state)
        outs.append(out)
    expected = as_module(net, config=config)(INPUTS)
    assert torch.allclose(torch.stack(outs), expected, rtol=1e-5, atol=1e-5)
    assert expected.std() > 0.1


@torch.no_grad()
def test_its_reset_begins_a_new_sequence() -> None:
    module = as_module(build_model(load_config(SETTINGS)).eval(), config=SETTINGS, keeps_state=True)
    first = module(INPUTS)
    functional.reset_net(module)
    assert torch.equal(module(INPUTS), first)
    assert not torch.equal(module(INPUTS), first)
