"""Networks by name: sizes, determinism, options."""

import pytest
import torch
import torchvision

import ottt
from ottt.config.trial import TrialConfig
from ottt.data.info import DataInfo
from ottt.errors import UserError
from ottt.models.base import Network
from ottt.models.registry import MODELS
from ottt.modules import Context

CIFAR = DataInfo("", 10, 3, 32, 32)
IMAGENET = DataInfo("", 1000, 3, 224, 224)


def size(name: str, data: DataInfo, **changes: float) -> int:
    net = ottt.build_model(ottt.load_config({"model.name": name, **changes}), data=data)
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("nfresnet18", "resnet18"),
        ("nfresnet34", "resnet34"),
        ("nfresnet50", "resnet50"),
        ("nfresnet101", "resnet101"),
        ("nfresnet152", "resnet152"),
        ("nfresnext50_32x4d", "resnext50_32x4d"),
        ("nfresnext101_32x8d", "resnext101_32x8d"),
        ("nfwide_resnet50_2", "wide_resnet50_2"),
        ("nfwide_resnet101_2", "wide_resnet101_2"),
    ],
)
def test_residual_networks_have_torchvisions_size(ours: str, theirs: str) -> None:
    """A convolution's gain and bias replace scale and shift of batch normalisation; each block has one more gain."""
    with torch.device("meta"):
        reference = torchvision.models.get_model(theirs)
    blocks = sum(len(stage) for stage in (reference.layer1, reference.layer2, reference.layer3, reference.layer4))
    assert size(ours, IMAGENET) == sum(p.numel() for p in reference.parameters()) + blocks


def test_sizes_of_the_paper() -> None:
    assert size("vgg11_ws", CIFAR) == 9_228_362  # "9.2 M"
    assert size("vgg11f_ws", DataInfo("", 100, 3, 32, 32)) == 9_569_508
    # 784 x 400 + 400, 400 x 400 + 400, 400 x 10 + 10
    assert size("r400", DataInfo("", 10, 1, 28, 28)) == 314_000 + 160_400 + 4_010


def test_hidden_classifier_adds_one_spiking_layer() -> None:
    config = ottt.load_config({"model.name": "vgg11_ws", "model.classifier_hidden": 64})
    net = ottt.build_model(config, data=CIFAR)
    assert len(net.neurons) == 9
    assert size("vgg11_ws", CIFAR) - 512 * 10 - 10 + 512 * 64 + 64 + 64 * 10 + 10 == sum(
        p.numel() for p in net.parameters()
    )
    with pytest.raises(UserError, match="classifier_hidden"):
        ottt.reference_state_dict(net)


@pytest.mark.parametrize("name", MODELS)
def test_every_network_trains_a_step_and_evaluates(name: str) -> None:
    data = DataInfo("", 5, 3, 32, 32)
    config = ottt.load_config({"model.name": name, "model.width": 1 / 16, "T": 1, "neuron.v_threshold": 0.2})
    net = ottt.build_model(config, data=data)
    before = {key: p.clone() for key, p in net.named_parameters()}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    inputs, labels = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 4])
    for _ in range(3):  # branches and classifier of the residual networks start at zero
        ottt.build_rule(config).train_batch(net, optimizer, inputs, labels)
    moved = {key for key, p in net.named_parameters() if not torch.equal(p, before[key])}
    assert any("classifier" in key for key in moved)
    assert len(moved) > 0.3 * len(before)
    report = ottt.evaluate(net, [(inputs, labels)], config)
    assert len(report.rates) == len(net.neurons)
    assert 0 < report.total_rate < 1


def test_weights_depend_on_the_seed_alone() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.rand(7)  # the global generator has no effect
        net = ottt.build_model(ottt.load_config({"seed": seed}))
        return torch.cat([p.flatten() for p in net.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_feedback_starts_at_zero_and_acts_from_the_second_step() -> None:
    plain, fed = (
        ottt.build_model(
            ottt.load_config({"model.name": name, "model.width": 0.125, "neuron.v_threshold": 0.2}), data=CIFAR
        )
        for name in ("vgg11_ws", "vgg11f_ws")
    )
    fed.load_state_dict(plain.state_dict(), strict=False)
    frame = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    outs = {}
    for zero in (True, False):
        with torch.no_grad():
            fed.feedback.bias += 0.0 if zero else 1.0
        one, two = (net.eval()(frame, None, Context()) for net in (plain, fed))
        second = [net(frame, state, Context())[0] for net, (_, state) in ((plain, one), (fed, two))]
        outs[zero] = torch.equal(one[0], two[0]), torch.equal(*second)
    assert outs == {True: (True, True), False: (True, False)}


def depth_net(**changes: object) -> tuple[Network, TrialConfig]:
    config = ottt.load_config(
        {"model.name": "nfresnet18", "model.width": 0.125, "T": 3, "neuron.v_threshold": 0.2, "data.name": "cifar10"}
        | changes
    )
    net = ottt.build_model(config, data=CIFAR)
    for block in net.blocks:
        torch.nn.init.constant_(block.skip_gain, 0.5)
    torch.nn.init.constant_(net.classifier.weight, 0.1)
    return net, config


def test_blocks_dropped_per_batch_are_left_as_they_are() -> None:
    """One draw per block and sequence, at one rate; only the first neurons and the shortcut of a dropped block run.

    By hand, with gradient g = 0, momentum m, decay w and buffer v, SGD would move a parameter p by -lr (m v + w p): not
    here, where a dropped block has no gradient.
    """
    net, config = depth_net(**{"model.stochastic_depth": 0.5, "model.depth_draws": "batch"})
    inputs = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    rule = ottt.build_rule(config)
    draws = torch.Generator().manual_seed(3)
    kept: list[list[bool]] = []
    for _ in range(4):
        expected = [(torch.rand((), generator=generator) >= 0.5).item() for generator in [draws.clone_state()] * 8]
        before = {name: value.clone() for name, value in net.named_parameters()}
        rule.train_batch(net, optimizer, inputs, torch.tensor([0, 1, 2, 3]), generator=draws)
        kept.append(expected)
        for i, block in enumerate(net.blocks):
            for name, value in block.named_parameters():
                runs = expected[i] or name.startswith("shortcut")
                assert (value.grad is not None) is runs, (i, name)
                assert torch.equal(value, before[f"blocks.{i}.{name}"]) is not runs, (i, name)
    assert {False, True} == {one for batch in kept for one in batch}
    assert kept[0] != kept[1]


@pytest.mark.parametrize("rule", ["ottt", "ndot", "bptt"])
def test_dropping_no_block_per_batch_is_the_network_without_stochastic_depth(rule: str) -> None:
    inputs = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    gradients = []
    for changes in ({}, {"model.stochastic_depth": 1e-9, "model.depth_draws": "batch"}):
        net, config = depth_net(**{"rule.name": rule}, **changes)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        ottt.build_rule(config).train_batch(net, optimizer, inputs, torch.tensor([0, 1, 2, 3]))
        gradients.append(torch.cat([value.grad.flatten() for value in net.parameters()]))
    assert torch.equal(*gradients)


def test_a_network_whose_blocks_are_all_dropped_is_stem_shortcuts_and_classifier() -> None:
    net, _ = depth_net(**{"model.stochastic_depth": 1 - 1e-9, "model.depth_draws": "batch"})
    frame = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    context, state = Context(generator=torch.Generator().manual_seed(0)), None
    hand, x_states = [], [None] * 8
    for _ in range(2):
        out, state = net(frame, state, context)
        x = net.encode(frame, Context())
        for i, block in enumerate(net.blocks):
            spikes, x_states[i] = block.spike_layers[0](x / block.beta, x_states[i], Context())
            x = x if block.shortcut is None else block.shortcut(spikes, Context())
        hand.append((out, net.classifier(x.mean((2, 3)), Context())))
    for out, expected in hand:
        torch.testing.assert_close(out, expected)
    assert not torch.equal(hand[0][0], hand[1][0])


def test_stochastic_depth_is_one_draw_per_sample_and_sequence() -> None:
    config = ottt.load_config({"model.name": "nfresnet18", "model.width": 0.125, "model.stochastic_depth": 0.9})
    net = ottt.build_model(config, data=CIFAR)
    last = net.blocks[-1]
    torch.nn.init.ones_(last.skip_gain)
    context = Context(generator=torch.Generator().manual_seed(0))
    x, state, dropped = 3 * torch.rand(64, 64, 4, 4, generator=torch.Generator().manual_seed(1)), [None, None], []
    for _ in range(3):
        out, state = last(x, iter(state), context)
        dropped.append((out == x).flatten(1).all(1))
    share = dropped[0].float().mean().item()
    assert share == pytest.approx(0.9 * 7 / 8, abs=0.15)
    assert torch.equal(dropped[0], dropped[1])
    assert torch.equal(dropped[1], dropped[2])
    net.eval()
    assert not (last(x, iter([None, None]), Context())[0] == x).flatten(1).all(1).any()
