"""The contestants of the training-step benchmark: one training step each, on the same inputs.

`ours`      the package, as `ottt train` runs it.
`graph`     the same, as one CUDA graph (`cuda_graph`).
`unfused`   the same network, following the original method literally: every weighted layer runs twice per time step,
            kernels are standardised and the first layer is computed in every step.
`jelly`     spikingjelly's OTTT (its VGG-WS, its OTTT neurons and its training loop).
`original`  the code of the paper (https://github.com/pkuxmq/OTTT-SNN, seen at c15d5da), with the loop of its
            `train_cifar.py`; where OTTT_ORIGINAL names its folder.
`floor`     only the convolutions that the method needs: one forward and one backward per layer and time step, the
            first layer of a still image once, channels last.
"""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ottt
from ottt.config.trial import TrialConfig
from ottt.data.info import DATASETS, DataInfo
from ottt.functional.kernels import compiled
from ottt.functional.precision import DTYPES
from ottt.loss import step_loss
from ottt.models.base import Network
from ottt.modules import Context, Conv2d, Linear, Spikes
from ottt.rules import Batch, detached
from ottt.training.batch_graph import BatchGraph

ORIGINAL = "OTTT_ORIGINAL"


@dataclass(frozen=True)
class Contestant:
    """What takes part in the benchmark.

    Attributes:
        step: trains one batch; gives the loss summed over time steps, if there is one.
        parameters: of the network that it trains, in the order of ours; their gradients stay after a step.
    """

    step: Callable[[], Tensor | None]
    parameters: tuple[nn.Parameter, ...] = ()


@dataclass(frozen=True)
class Case:
    """One configuration of the benchmark."""

    model: str
    precision: str
    time_steps: int
    batch: int
    size: int  # pixels
    device: str
    classes: int = 10
    rule: str = "ottt"  # for `ours`

    @property
    def config(self) -> TrialConfig:
        return ottt.load_config(
            {
                "model.name": self.model,
                "rule.name": self.rule,
                "precision": self.precision,
                "T": self.time_steps,
                "batch_size": self.batch,
                "device": self.device,
            }
        )

    @property
    def data(self) -> DataInfo:
        known = DATASETS["digits"]
        return DataInfo(
            **{**vars(known), "classes": self.classes, "channels": 3, "height": self.size, "width": self.size}
        )

    def inputs(self) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(self.batch, 3, self.size, self.size, generator=generator)
        labels = torch.randint(0, self.classes, (self.batch,), generator=generator)
        return images.to(self.device), labels.to(self.device)


@dataclass(frozen=True)
class Convolution:
    """Geometry of one recorded convolution: input [B,C,H,W], kernel [F,C/groups,K,K]."""

    input: tuple[int, ...]
    kernel: tuple[int, ...]
    output: tuple[int, ...]
    stride: int
    padding: int
    groups: int
    first: bool

    @property
    def flops(self) -> float:
        """Operations of one forward run; each of the two gradients costs the same."""
        pixels = self.output[0] * self.output[2] * self.output[3]
        return 2.0 * pixels * self.kernel[0] * self.kernel[1] * self.kernel[2] * self.kernel[3]


def _own(case: Case) -> tuple[Network, torch.optim.Optimizer, Callable[[Tensor, Tensor], Batch], tuple[Tensor, Tensor]]:
    """Network, optimizer, what trains a batch, and the batch."""
    config = case.config
    net = ottt.build_model(config, data=case.data).to(case.device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    rule = ottt.build_rule(config, kernels=compiled(torch.device(case.device)))
    images, labels = case.inputs()
    images = images.contiguous(memory_format=torch.channels_last)
    batch = images, labels
    return net, optimizer, lambda *given: rule.train_batch(net, optimizer, *given), batch


def ours(case: Case) -> Contestant:
    net, _, train, batch = _own(case)

    def step() -> Tensor:
        return train(*batch).losses.sum()

    return Contestant(step, tuple(net.parameters()))


def graph(case: Case) -> Contestant:
    net, optimizer, train, batch = _own(case)
    return Contestant(replayed(train, [optimizer], *batch), tuple(net.parameters()))


def replayed(
    train: Callable[[Tensor, Tensor], Batch],
    optimizers: Sequence[torch.optim.Optimizer],
    images: Tensor,
    labels: Tensor,
) -> Callable[[], Tensor]:
    """A step that replays `train` as a graph, ready to be timed; its loss is summed over time steps and trials."""
    loss = torch.zeros((), device=images.device)

    def train_and_keep(images: Tensor, labels: Tensor) -> None:
        loss.copy_(train(images, labels).losses.sum())

    static = BatchGraph(len(images), optimizers=optimizers, generators=[], changed=[], device=images.device)

    def step() -> Tensor:
        with static.training(train_and_keep) as train_batch:
            train_batch(images, labels)
        return loss

    for _ in range(static.before_replay):
        step()
    return step


def unfused(case: Case) -> Contestant:
    config = case.config
    net = _twice(ottt.build_model(config, data=case.data)).to(case.device)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    images, labels = case.inputs()

    def step() -> Tensor:
        context, state, total = _Unshared(trace="decay", dtype=DTYPES[case.precision]), None, torch.zeros(())
        optimizer.zero_grad()
        for _ in range(case.time_steps):
            out, state = net(images, state, context)
            loss = step_loss(out, labels, time_steps=case.time_steps, mse_weight=0.05)
            loss.backward()
            state, total = detached(state), total + loss.detach()
        optimizer.step()
        return total

    return Contestant(step, tuple(net.parameters()))


def jelly(case: Case) -> Contestant:
    from spikingjelly.activation_based import functional, surrogate
    from spikingjelly.activation_based.learning.online_learning import ottt_online_training
    from spikingjelly.activation_based.model.spiking_vggws_ottt import ottt_spiking_vggws

    if case.model != "vgg11_ws":
        raise ValueError(f"spikingjelly has no OTTT network like {case.model}")
    net = ottt_spiking_vggws(num_classes=case.classes, surrogate_function=surrogate.Sigmoid(alpha=4.0)).to(case.device)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    images, labels = case.inputs()
    images_BTCHW = images[:, None].expand(-1, case.time_steps, -1, -1, -1)
    labels_BT = labels[:, None].expand(-1, case.time_steps)
    dtype = DTYPES[case.precision]

    def loss(out: Tensor, target: Tensor) -> Tensor:
        return step_loss(out, target, time_steps=case.time_steps, mse_weight=0.05)

    def step() -> Tensor:
        with torch.autocast(case.device, dtype) if dtype is not None else nullcontext():
            total, _ = ottt_online_training(net, optimizer, images_BTCHW, labels_BT, loss, online=False)
        functional.reset_net(net)
        return torch.as_tensor(total)

    return Contestant(step, tuple(net.parameters()))


def original(case: Case) -> Contestant:
    if case.model not in ("vgg11_ws", "vgg11f_ws"):
        raise ValueError(f"the original code has no network like {case.model}")
    sys.path.insert(0, os.environ[ORIGINAL])
    neuron, surrogate, vgg = map(import_module, ("modules.neuron", "modules.surrogate", "models.spiking_vgg"))
    net = getattr(vgg, f"online_spiking_{case.model}")(
        single_step_neuron=neuron.OnlineLIFNode,
        tau=2.0,
        surrogate_function=surrogate.Sigmoid(alpha=4.0),
        track_rate=True,
        grad_with_rate=True,
        neuron_dropout=0.0,
        v_reset=None,
        c_in=3,
        fc_hw=1,
        num_classes=case.classes,
    ).to(case.device)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    images, labels = case.inputs()
    dtype = DTYPES[case.precision]

    def step() -> Tensor:
        total = torch.zeros((), device=case.device)
        optimizer.zero_grad()
        for t in range(case.time_steps):
            with torch.autocast(case.device, dtype) if dtype is not None else nullcontext():
                out = net(images, init=t == 0) if t == 0 else net(images)
                loss = step_loss(out, labels, time_steps=case.time_steps, mse_weight=0.05)
            loss.backward()
            total += loss.detach()
        optimizer.step()
        return total

    mine = ottt.build_model(case.config, data=case.data)
    theirs, names = dict(net.named_parameters()), mine.reference_names()
    return Contestant(step, tuple(theirs[names[name]] for name, _ in mine.named_parameters()))


def floor(case: Case) -> Contestant:
    dtype = DTYPES[case.precision] or torch.float32
    layers = convolutions(case)

    def tensor(*shape: int) -> Tensor:
        values = torch.randn(shape, device=case.device).to(dtype)
        return values.contiguous(memory_format=torch.channels_last)

    operands = [(layer, tensor(*layer.input), tensor(*layer.kernel), tensor(*layer.output)) for layer in layers]

    def run(layer: Convolution, x: Tensor, w: Tensor, g: Tensor) -> None:
        F.conv2d(x, w, None, layer.stride, layer.padding, 1, layer.groups)
        _backward(x, w, g, layer)

    def step() -> None:
        for t in range(case.time_steps):
            for layer, x, w, g in operands:
                if t == 0 or not layer.first:
                    run(layer, x, w, g)

    return Contestant(step)


def disagreement(mine: Contestant, other: Contestant) -> tuple[float, float]:
    """Relative differences of the loss, and of the gradient of the worst parameter (L2 norm), in one step of both.

    Both start from the weights of `mine`, with biases that let every layer fire, which untrained ones need not do.
    """
    kept = [p.detach().clone() for p in mine.parameters]
    draw = torch.Generator(kept[0].device).manual_seed(0)
    with torch.no_grad():
        for p, q in zip(mine.parameters, other.parameters, strict=True):
            if p.dim() == 1:
                p.uniform_(0.1, 0.5, generator=draw)
            q.copy_(p)
    losses = [contestant.step() for contestant in (mine, other)]
    gradients = [(p.grad, q.grad) for p, q in zip(mine.parameters, other.parameters, strict=True)]
    with torch.no_grad():
        differences = [(q - p).norm() / p.norm() for p, q in gradients if p.any() or q.any()]
        for p, before in zip(mine.parameters, kept, strict=True):
            p.copy_(before)
    return abs(losses[1].item() / losses[0].item() - 1), torch.stack(differences).max().item()


def convolutions(case: Case) -> list[Convolution]:
    """Every convolution of the case's network, as one time step after the first runs it."""
    net = ottt.build_model(case.config, data=case.data)
    found: list[Convolution] = []

    def note(layer: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        assert isinstance(layer, Conv2d)
        x = args[0].s if isinstance(args[0], Spikes) else args[0]
        kernel = tuple(layer.weight.shape)
        geometry = layer.stride, layer.padding, layer.groups
        found.append(Convolution(tuple(x.shape), kernel, tuple(output.shape), *geometry, first=layer is net.stem))

    images, _ = Case(**{**vars(case), "device": "cpu"}).inputs()
    with torch.no_grad():
        _, state = net(images)
        for layer in net.modules():
            if isinstance(layer, Conv2d):
                layer.register_forward_hook(note)
        net(images, state)
    return found


def needed_flops(case: Case) -> float:
    """Floating point operations of the convolutions in one training step."""
    return sum(layer.flops * (2 if layer.first else 3 * case.time_steps) for layer in convolutions(case))


def _backward(x: Tensor, w: Tensor, g: Tensor, layer: Convolution) -> None:
    torch.ops.aten.convolution_backward(
        g,
        x,
        w,
        None,
        [layer.stride] * 2,
        [layer.padding] * 2,
        [1, 1],
        False,
        [0, 0],
        layer.groups,
        [not layer.first, True, False],
    )


class _Unshared(Context):
    """Recomputes kernels and the first layer on every request."""

    def shared(self, owner: nn.Module, make: Callable[[], Tensor]) -> Tensor:
        return make()


class _Swap(torch.autograd.Function):
    """Value of the second argument, gradient to the first (and, for spikes, to both)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        return grads[0], grads[0]


def _twice(net: Network) -> Network:
    """Make every traced layer of `net` run twice: on spikes for the value, on traces for the gradient."""

    def traced(layer: Conv2d | Linear) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
        def run(s: Tensor, a: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
            with torch.no_grad():
                value = layer.apply_plain(s, kernel, bias)
            return _Swap.apply(layer.apply_plain(_Swap.apply(s, a), kernel, bias), value)

        return run

    for layer in net.modules():
        if isinstance(layer, Conv2d | Linear):
            layer.apply_traced = traced(layer)  # type: ignore[method-assign]
    return net
