"""Training as on another device, without one: torch's fake tensors on the device `meta` have shapes, types and places.

An operation on tensors of two devices raises, and so does every value that the host reads: on a GPU such a read waits
until all work that was handed to it is done.
"""

from collections.abc import Callable
from functools import partial
from typing import get_args

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

import ottt
from ottt.config.trial import TrialConfig
from ottt.evaluation import evaluator
from ottt.evaluation.energy import OperationMeter
from ottt.functional.host_draws import draw_event, draw_steps
from ottt.functional.precision import DTYPES
from ottt.models.base import Network
from ottt.models.fused import FusedNetwork
from ottt.modules import Context
from ottt.names import SurrogateName
from ottt.rules import Batch
from ottt.training.batch_graph import BatchGraph
from ottt.training.optim import build_optimizer
from ottt.training.sums import Sums

SMALL = ["model.width=0.1", "T=2", "batch_size=4"]
RULES = {
    "ottt": ["rule.name=ottt"],
    "ottt online": ["rule.name=ottt", "rule.update=online"],
    "sltt": ["rule.name=sltt"],
    "sltt online": ["rule.name=sltt", "rule.update=online"],
    "ndot": ["rule.name=ndot"],
    "ndot online": ["rule.name=ndot", "rule.update=online"],
    "sltt_k": ["rule.name=sltt_k", "rule.k=1"],
    "bptt": ["rule.name=bptt"],
    "tbptt": ["rule.name=tbptt", "rule.k=1"],
}
NETWORKS = {
    "small": [],
    "frames": ["data.name=digits_dvs"],
    "vgg11_ws": ["model.name=vgg11_ws"],
    "vgg11_bn": ["model.name=vgg11_bn"],
    "vgg11f_ws": ["model.name=vgg11f_ws"],
    "nfresnet18": ["model.name=nfresnet18"],
    "r400": ["model.name=r400", "model.width=1"],
}
OPTIONS = {
    "plain": [],
    "hard reset": ["neuron.v_reset=0.0"],
    "trace decay": ["neuron.trace_decay=0.3"],
    "threshold": ["neuron.v_threshold=0.5"],
    "dropout": ["neuron.dropout=0.2"],
    "bf16": ["precision=bf16"],
    "fp16": ["precision=fp16"],
    "no mse": ["loss.mse_weight=0"],
    "adam": ["optim.name=adam"],
    "hidden classifier": ["model.classifier_hidden=16"],
} | {f"{name} surrogate": [f"neuron.surrogate.name={name}"] for name in get_args(SurrogateName)}


class DeviceGenerator(torch.Generator):
    """A generator as on a GPU: a seed, and a count of its draws that the host knows."""

    device = property(lambda _: torch.device("meta"))  # type: ignore[assignment]

    count = 0

    def initial_seed(self) -> int:
        return 7

    def get_offset(self) -> int:
        return self.count

    def set_offset(self, count: int) -> None:
        self.count = count


def inputs_of(config: TrialConfig) -> tuple[Tensor, Tensor]:
    info = config.data.samples
    frames = (config.T,) if config.data.name == "digits_dvs" else ()
    images = torch.empty(4, *frames, info.channels, info.height, info.width, device="meta")
    return images, torch.empty(4, dtype=torch.int64, device="meta")


def static(
    train: Callable[[Tensor, Tensor], Batch], images: Tensor, labels: Tensor, *, trials: int | None = None
) -> Batch:
    """The second of two batches in static buffers, with what an epoch adds up: what a CUDA graph would be of."""
    device, batches = images.device, list[Batch]()
    sums = Sums(trials, device)

    def train_and_count(images: Tensor, labels: Tensor) -> None:
        batches.append(train(images, labels))
        sums.add(batches[-1], labels)

    with BatchGraph(len(images), optimizers=[], generators=[], changed=[], device=device).training(
        train_and_count
    ) as train_batch:
        for _ in range(2):
            train_batch(images, labels)
    return batches[-1]


def train(*overrides: str, change: Callable[[Network], object] | None = None) -> None:
    """A training batch and an evaluation on the device `meta`."""
    config = ottt.load_config("digits", [*SMALL, *overrides])
    with FakeTensorMode():
        with torch.device("meta"):
            net = ottt.build_model(config)
        if change is not None:
            change(net)
        optimizer, rule = build_optimizer(net.parameters(), config.optim), ottt.build_rule(config)
        images, labels = inputs_of(config)
        batch = static(partial(rule.train_batch, net, optimizer, generator=DeviceGenerator()), images, labels)
        assert (batch.logits.device.type, batch.losses.shape) == ("meta", (2,))
        assert {p.grad.device.type for p in net.parameters() if p.grad is not None} == {"meta"}
        net.eval()
        with torch.no_grad():
            context = Context(dtype=DTYPES[config.precision])
            evaluator._one_batch(net, images, labels, config, context, OperationMeter(net))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("network", NETWORKS)
def test_every_rule_trains_every_network_without_a_read(rule: str, network: str) -> None:
    train(*RULES[rule], *NETWORKS[network])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("option", OPTIONS)
def test_so_it_does_with_every_option(rule: str, option: str) -> None:
    train(*RULES[rule], *OPTIONS[option])


@pytest.mark.parametrize("draws", ["sample", "batch"])
def test_so_does_stochastic_depth(draws: str) -> None:
    train("model.name=nfresnet18", "model.stochastic_depth=0.3", f"model.depth_draws={draws}")


def train_fused(*overrides: str) -> None:
    """A training batch of two trials that differ in all that they can."""
    other = ["neuron.tau=3", "neuron.v_threshold=0.8", "neuron.surrogate.alpha=2", "neuron.trace_decay=0.3"]
    configs = [ottt.load_config("digits", [*SMALL, *overrides, *some]) for some in ([], other)]
    with FakeTensorMode():
        with torch.device("meta"):
            nets = [ottt.build_model(config) for config in configs]
        fused, (images, labels) = FusedNetwork(nets), inputs_of(configs[0])
        optimizer = build_optimizer([p for net in nets for p in net.parameters()], configs[0].optim)
        rule = ottt.build_rule(configs[0], mse_weight=torch.tensor([0.0, 0.1], device="meta"))
        generators = DeviceGenerator(), DeviceGenerator()
        images, labels = torch.cat([images] * 2, -3), torch.stack([labels] * 2)
        batch = static(partial(rule.train_batch, fused, optimizer, generator=generators), images, labels, trials=2)
        assert (batch.logits.device.type, batch.losses.shape) == ("meta", (2, 2))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("network", NETWORKS)
def test_so_do_fused_trials(rule: str, network: str) -> None:
    train_fused(*RULES[rule], *NETWORKS[network])


@pytest.mark.parametrize("option", OPTIONS)
def test_so_do_fused_trials_with_every_option(option: str) -> None:
    train_fused(*OPTIONS[option])


def hooked(hook: Callable[[Tensor], Tensor]) -> Callable[[Network], object]:
    """A change of a network: what goes into its classifier passes through the hook."""

    def change(net: Network) -> object:
        layer: nn.Module = net.classifier
        return layer.register_forward_hook(lambda _, args, out: hook(out))

    return change


def test_a_planted_read_is_noticed() -> None:
    with pytest.raises(DataDependentOutputException):
        train(change=hooked(lambda x: x * x.sum().item()))


def test_a_planted_tensor_of_the_host_is_noticed() -> None:
    with pytest.raises(RuntimeError, match=r"found (at least )?two( different)? devices|device type|devices"):
        train(change=hooked(lambda x: x + torch.zeros(10)))


def test_steps_drawn_for_a_device_follow_from_its_generator() -> None:
    generator, again = DeviceGenerator(), DeviceGenerator()
    drawn = [draw_steps(8, 3, generator) for _ in range(200)]
    again.set_offset(100 * 4)  # as a checkpoint restores it
    assert [draw_steps(8, 3, again) for _ in range(100)] == drawn[100:]
    assert all(len(steps) == 3 and steps <= set(range(8)) for steps in drawn)
    counts = [sum(step in steps for steps in drawn) for step in range(8)]  # 75 expected, standard deviation 6.8
    assert min(counts) > 75 - 5 * 6.8
    assert max(counts) < 75 + 5 * 6.8


def test_so_do_events() -> None:
    generator = DeviceGenerator()
    count = sum(draw_event(0.3, generator) for _ in range(1000))
    assert abs(count - 300) < 5 * 14.5  # standard deviations
    assert generator.get_offset() == 4000
