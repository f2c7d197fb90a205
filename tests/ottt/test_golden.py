"""Agreement with eleven recorded cases of the original implementation, in float64, and its checkpoint files."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import ottt
from ottt.config.trial import TrialConfig
from ottt.data.info import DataInfo
from ottt.models.base import Network
from ottt.models.reference_weights import load_reference_weights, reference_state_dict
from ottt.modules import Context
from tests.golden import weights

CASES = json.loads((Path(__file__).parents[1] / "golden" / "reference.json").read_text())
RTOL = 1e-9


def config_of(case: dict[str, Any]) -> TrialConfig:
    variant = case["tag"].split("/")[2:]
    return ottt.load_config(
        {
            "model.name": case["tag"].split("/")[0],
            "neuron.tau": case["tau"],
            "neuron.kind": "if" if variant == ["if"] else "lif",
            "neuron.v_reset": 0.0 if variant == ["hard_reset"] else None,
            "rule.update": "online" if case["online"] else "accumulate",
            "T": case["T"],
            "loss.mse_weight": case["lam"],
        }
    )


def network_of(case: dict[str, Any]) -> Network:
    _, channels, height, width = case["shape"]
    net = ottt.build_model(config_of(case), data=DataInfo("", case["ncls"], channels, height, width)).double()
    state = {
        name: torch.from_numpy(weights.tensor(name, tuple(value.shape), case["salt"])).double()
        if value.is_floating_point()
        else value
        for name, value in reference_state_dict(net).items()
    }
    load_reference_weights(net, {"net": state})
    return net


def data_of(case: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    inputs, labels = weights.batch(case)
    return torch.from_numpy(inputs).double(), torch.from_numpy(labels)


def train(case: dict[str, Any], net: Network) -> Any:
    decay = 2e-5 if "resnet" in case["tag"] else 0.0
    optimizer = torch.optim.SGD(net.parameters(), case["lr"], case["momentum"], weight_decay=decay)
    return ottt.build_rule(config_of(case)).train_batch(net, optimizer, *data_of(case))


def assert_close(value: Any, recorded: Any) -> None:
    expected = torch.as_tensor(recorded, dtype=torch.float64)
    scale = expected.abs().max()
    torch.testing.assert_close(torch.as_tensor(value, dtype=torch.float64), expected, rtol=0, atol=float(RTOL * scale))


def assert_summary(value: torch.Tensor, recorded: dict[str, Any], scale: float) -> None:
    """Compare norm, sum and first values; the error of a sum of n values grows as the norm times sqrt(n)."""
    assert value.norm().item() == pytest.approx(recorded["norm"], rel=RTOL, abs=RTOL * scale)
    tolerance = RTOL * max(recorded["norm"], scale)
    assert value.sum().item() == pytest.approx(recorded["sum"], rel=0, abs=tolerance * value.numel() ** 0.5)
    first = torch.tensor(recorded["first"], dtype=torch.float64)
    torch.testing.assert_close(value.flatten()[:4], first, rtol=RTOL, atol=tolerance)


@pytest.mark.parametrize("case", CASES, ids=[case["tag"] for case in CASES])
def test_agrees_with_the_original(case: dict[str, Any]) -> None:
    net = network_of(case)
    assert sum(p.numel() for p in net.parameters()) == case["n_params"]

    batch = train(case, net)
    assert_close(batch.logits, case["outs"])
    assert_close(batch.losses, case["losses"])
    names = net.reference_names()
    if "grads" in case:
        assert {names[ours] for ours, _ in net.named_parameters()} == set(case["grads"])
        # A bias before batch normalisation has gradient zero up to rounding: compare it with the size of the others.
        scale = 1e-6 * max(recorded["norm"] for recorded in case["grads"].values())
        for ours, parameter in net.named_parameters():
            assert parameter.grad is not None
            assert_summary(parameter.grad, case["grads"][names[ours]], scale)
    for ours, parameter in net.named_parameters():
        assert_summary(parameter.detach(), case["after"][names[ours]], 0.0)

    inputs, labels = data_of(case)
    report = ottt.evaluate(net, [(inputs, labels)], config_of(case))
    assert_close(report.rates, case["rates"])
    assert_close(_summed_logits(net, inputs, case["T"]), case["eval_total"])


@torch.no_grad()
def _summed_logits(net: Network, inputs: torch.Tensor, time_steps: int) -> torch.Tensor:
    net.eval()
    context, state, total = Context(), None, torch.zeros(())
    for t in range(time_steps):
        out, state = net(inputs if inputs.dim() == 4 else inputs[:, t], state, context)
        total = total + out
    return total


def test_a_wrong_decay_is_noticed() -> None:
    case = CASES[0] | {"tau": 2.0001}
    batch = train(case, network_of(case))
    with pytest.raises(AssertionError):
        assert_close(batch.logits, case["outs"])


def test_reference_file_round_trip(tmp_path: Path) -> None:
    case = CASES[0]
    written = reference_state_dict(network_of(case))
    torch.save(
        {"net": written, "epoch": 3, "max_test_acc": 0.5, "optimizer": {}, "lr_scheduler": {}}, tmp_path / "a.pth"
    )
    net = ottt.build_model(config_of(case), data=DataInfo("", 10, 3, 32, 32)).double()
    ottt.load_reference_weights(net, tmp_path / "a.pth")
    again = ottt.reference_state_dict(net)
    assert list(again) == list(written)
    assert all(torch.equal(again[name], written[name]) for name in written)


def test_a_missing_batch_counter_is_accepted() -> None:
    net = network_of(next(case for case in CASES if case["tag"].startswith("vgg11_bn")))
    state = {name: value for name, value in reference_state_dict(net).items() if "num_batches" not in name}
    load_reference_weights(net, {"net": state})
    del state["features.1.running_mean"]
    with pytest.raises(ottt.UserError, match=r"features\.1\.running_mean is missing"):
        load_reference_weights(net, {"net": state})


class RunsCode:
    """An object that runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return open, ("/dev/null",)


def test_a_reference_file_that_does_not_fit_names_every_key(tmp_path: Path) -> None:
    case = CASES[0]
    net = network_of(case)
    state = {f"module.{name}": value for name, value in reference_state_dict(net).items()}  # as in parallel training
    load_reference_weights(net, {"net": state})
    del state["module.features.3.op.gain"]
    state["fb_conv.op.weight"] = torch.zeros(1)
    state["module.classifier.0.op.bias"] = torch.zeros(7)
    torch.save({"net": state}, tmp_path / "b.pth")
    with pytest.raises(ottt.UserError) as error:
        load_reference_weights(net, tmp_path / "b.pth")
    assert error.value.problems == (
        f"{tmp_path}/b.pth: features.3.op.gain is missing",
        f"{tmp_path}/b.pth: fb_conv.op.weight is left over",
        f"{tmp_path}/b.pth: classifier.0.op.bias must have shape [10], got [7]",
    )


def test_a_reference_file_never_runs_code(tmp_path: Path) -> None:
    net = network_of(CASES[0])
    torch.save({"net": {"features.0.weight": RunsCode()}}, tmp_path / "evil.pth")
    with pytest.raises(ottt.UserError, match="must be a checkpoint of tensors alone"):
        load_reference_weights(net, tmp_path / "evil.pth")
    (tmp_path / "cut.pth").write_bytes(b"PK")
    with pytest.raises(ottt.UserError, match="must be a checkpoint of tensors alone"):
        load_reference_weights(net, tmp_path / "cut.pth")
    with pytest.raises(ottt.UserError, match="must hold a state dict under 'net'"):
        load_reference_weights(net, {"state_dict": {}})
    with pytest.raises(ottt.UserError, match="the original implementation has no network like Recurrent"):
        reference_state_dict(ottt.build_model(ottt.load_config({"model.name": "r400"})))
