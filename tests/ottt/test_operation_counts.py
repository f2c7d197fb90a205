"""The number of torch operations of a training batch: on small networks it, not their arithmetic, sets the time."""

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import ottt
from ottt.data.augment import Augmentation
from ottt.data.normalise import Normalisation, published
from ottt.data.samples import ResidentSamples
from ottt.evaluation.energy import spike_count
from ottt.loss import step_loss
from ottt.models.base import Network
from ottt.modules import Context
from ottt.training.optim import build_optimizer

FREE = ("detach", "promote_types", "_record_function")  # operations that make no tensor, or another view of one
SLACK = 1.03
# Operations when this was written. Autograd's gradient of the loss and updates parameter by parameter: 458, 764, 475.
ACCUMULATED, ONLINE, BPTT = 422, 620, 435
IMAGES, EVENTS = 87, 37  # of the data of a batch


class Counted(TorchDispatchMode):
    """Counts operations by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not any(name in str(function) for name in FREE):
            self.counts[str(function)] += 1
        return function(*args, **(kwargs or {}))


def operations(*overrides: str, change: Any = None) -> Counter[str]:
    """The operations of the second training batch of `small` on 64 digits, with T = 4."""
    config = ottt.load_config("digits", ["device=cpu", *overrides])
    net = ottt.build_model(config).to(memory_format=torch.channels_last)
    optimizer = build_optimizer(net.parameters(), config.optim)
    if change is not None:
        change(net)
    rule = ottt.build_rule(config)
    inputs = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(64) % 10
    rule.train_batch(net, optimizer, inputs, labels)
    with Counted() as counted:
        rule.train_batch(net, optimizer, inputs, labels)
    return counted.counts


@pytest.mark.parametrize(
    ("overrides", "most"), [((), ACCUMULATED), (("rule.update=online",), ONLINE), (("rule.name=bptt",), BPTT)]
)
def test_operations_of_a_training_batch(overrides: tuple[str, ...], most: int) -> None:
    assert operations(*overrides).total() <= SLACK * most


def test_one_more_operation_per_layer_and_time_step_is_noticed() -> None:
    def change(net: Network) -> None:
        for _, neuron in net.neurons:
            neuron.register_forward_pre_hook(lambda _, args: (args[0] * 1, *args[1:]))

    assert operations(change=change).total() > SLACK * ACCUMULATED


@pytest.mark.parametrize("rule", ["ottt", "sltt", "ndot", "bptt"])
def test_a_training_batch_reads_nothing_from_the_device(rule: str) -> None:
    assert "aten._local_scalar_dense.default" not in operations(f"rule.name={rule}")


def test_a_read_from_the_device_is_noticed() -> None:
    def change(net: Network) -> None:
        net.classifier.register_forward_hook(lambda *args: args[2] * (args[2].sum().item() * 0 + 1))

    assert operations(change=change)["aten._local_scalar_dense.default"] == 4


@pytest.mark.parametrize("update", ["accumulate", "online"])
def test_a_backward_pass_per_time_step_and_update(update: str, monkeypatch: pytest.MonkeyPatch) -> None:
    passes, backward = [], torch.autograd.backward
    monkeypatch.setattr(
        torch.autograd, "backward", lambda *args, **options: passes.append(0) or backward(*args, **options)
    )
    operations(f"rule.update={update}")
    assert len(passes) == 2 * (4 + {"accumulate": 1, "online": 4}[update])  # two batches


def test_tensors_that_share_tensors_have_the_gradient_of_both() -> None:
    """`encode` of a still image is shared and asks for the kernel of the first convolution, which is shared too."""
    first, second = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    w = torch.tensor([2.0], requires_grad=True)
    context = Context(cut=True)
    outer = context.shared(first, lambda: 3 * context.shared(second, lambda: w.square()))
    (outer * 5).sum().backward()
    (context.shared(second, lambda: w.square()) * 7).sum().backward()
    assert w.grad is None  # cut
    context.push_back()
    assert w.grad is not None
    assert w.grad.item() == (3 * 5 + 7) * 2 * 2.0


@pytest.mark.parametrize("mse_weight", [0.0, 0.05, 1.0])
@pytest.mark.parametrize("scale", [1.0, 1024.0])
def test_the_gradient_of_the_loss_is_autograds(mse_weight: float, scale: float) -> None:
    logits = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.tensor([0, 6, 3, 3, 1])
    one_hot = torch.nn.functional.one_hot(labels, 7).double()
    cross_entropy = -(one_hot * logits.log_softmax(1)).sum(1).mean()
    expected = ((1 - mse_weight) * cross_entropy + mse_weight * ((logits - one_hot) ** 2).mean()) / 3
    loss = step_loss(logits, labels, time_steps=3, mse_weight=mse_weight)
    torch.testing.assert_close(loss, expected, rtol=1e-14, atol=0)
    for _ in range(2):  # the graph can be used again
        (ours,) = torch.autograd.grad(scale * loss, logits, retain_graph=True)
        (theirs,) = torch.autograd.grad(scale * expected, logits, retain_graph=True)
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-15 * scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_spikes_are_counted_exactly(dtype: torch.dtype) -> None:
    s = (torch.rand(40, 3, 50, 50, generator=torch.Generator().manual_seed(0)) < 0.9).to(dtype)
    pooled: Tensor = torch.nn.functional.avg_pool2d(s, 2)
    assert spike_count(s).item() == s.double().sum().item() == 4 * spike_count(pooled).item()
    assert spike_count(s).item() > 2**18  # bfloat16 would count to 256
    assert spike_count(s.flatten(1)).dtype == torch.float64


def data_operations(shape: tuple[int, ...], name: str, augment: Augmentation, frames: int | None = None) -> int:
    """Operations of the second training batch of 128 stored samples."""
    stored = torch.zeros((256, *shape), dtype=torch.uint8)
    statistics = published(name)
    samples = ResidentSamples(
        stored, torch.zeros(256).long(), torch.arange(256), Normalisation(statistics, stored.device), augment, frames
    )
    order, augmentation = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    batches = samples.training_batches(128, order=order, augmentation=augmentation)
    next(batches)
    with Counted() as counted:
        next(batches)
    return counted.counts.total()


def test_operations_of_a_batch_of_augmented_data() -> None:
    images = data_operations((3, 32, 32), "cifar10", Augmentation(crop=4, flip=0.5, cutout=0.5))
    events = data_operations((10, 2, 48, 48), "cifar10_dvs", Augmentation(crop=4, flip=0.5), frames=6)
    assert images <= SLACK * IMAGES
    assert events <= SLACK * EVENTS
    assert data_operations((3, 32, 32), "cifar10", Augmentation()) == 5  # index twice, cast, subtract, divide
