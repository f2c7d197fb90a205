"""Relations between the update rules, and to torch's own gradient of the unrolled network."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

import ottt
from ottt.data.info import DataInfo
from ottt.functional.lif import lif_step, trace_step
from ottt.functional.trace import trace_linear
from ottt.models.base import Network
from ottt.modules import Context, Conv2d, Linear, Neuron, NeuronState
from ottt.rules import detached

DATA = DataInfo("", 4, 2, 8, 8)


def gradients(
    *overrides: str, model: str = "small", data: DataInfo = DATA, moving: bool = True, **changes: Any
) -> dict[str, Tensor]:
    """Gradients of one mini-batch under a rule, in float64, always for the same weights and inputs."""
    config = ottt.load_config({"model.name": model, "model.width": 0.25, "T": 5, **changes}, overrides)
    net = ottt.build_model(config, data=data).double()
    g = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=g, dtype=torch.float64)
    frames = (config.T,) if moving else ()
    inputs = 2 * torch.randn(3, *frames, data.channels, data.height, data.width, generator=g, dtype=torch.float64)
    labels = torch.tensor([0, 1, 3])
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
    ottt.build_rule(config).train_batch(net, optimizer, inputs, labels, generator=torch.Generator().manual_seed(4))
    return {name: p.grad for name, p in net.named_parameters() if p.grad is not None}


def same(one: dict[str, Tensor], other: dict[str, Tensor], rtol: float = 1e-10) -> bool:
    assert one.keys() == other.keys()
    return all(torch.allclose(one[name], other[name], rtol=rtol, atol=rtol * float(one[name].norm())) for name in one)


def test_sltt_is_ottt_with_a_trace_that_decays_at_once() -> None:
    assert same(gradients("rule.name=sltt"), gradients("neuron.trace_decay=0"))
    assert not same(gradients("rule.name=sltt"), gradients())


def test_sltt_k_with_all_steps_is_sltt() -> None:
    assert same(gradients("rule.name=sltt_k", "rule.k=5"), gradients("rule.name=sltt"))
    assert not same(gradients("rule.name=sltt_k", "rule.k=2"), gradients("rule.name=sltt"))


def test_tbptt_between_sltt_and_bptt() -> None:
    bptt = gradients("rule.name=bptt")
    assert same(gradients("rule.name=tbptt", "rule.k=1"), gradients("rule.name=sltt"))
    assert same(gradients("rule.name=tbptt", "rule.k=5"), bptt)
    assert not same(gradients("rule.name=tbptt", "rule.k=2"), bptt)


@pytest.mark.parametrize("model", ["small", "vgg11f_ws", "nfresnet18", "r400"])
def test_with_one_time_step_all_rules_are_equal(model: str) -> None:
    width = {"model.width": 0.0625, "T": 1}
    ottt_gradients = gradients(model=model, **width)
    for rule in ("rule.name=sltt", "rule.name=ndot", "rule.name=bptt"):
        assert same(ottt_gradients, gradients(rule, model=model, **width))
    for rule in ("rule.name=sltt_k", "rule.name=tbptt"):
        assert same(ottt_gradients, gradients(rule, "rule.k=1", model=model, **width))


def test_ndot_differs_from_ottt() -> None:
    assert not same(gradients("rule.name=ndot"), gradients())


def test_a_still_image_is_a_constant_sequence() -> None:
    """The first layer gives the same computed once per update and in every step."""
    config = ottt.load_config({"model.width": 0.25, "T": 3})
    trained = []
    for repeated in (False, True):
        net = ottt.build_model(config, data=DATA).double()
        image = torch.randn(3, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        inputs = image[:, None].expand(-1, 3, -1, -1, -1) if repeated else image
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for update in ("accumulate", "online"):
            rule = ottt.build_rule(config.replace({"rule.update": update}))
            rule.train_batch(net, optimizer, inputs, torch.tensor([0, 1, 3]))
        trained.append({name: p.detach() for name, p in net.named_parameters()})
    assert same(*trained)


class Step(torch.autograd.Function):
    """The spike, independent of the package: H(x), with derivative alpha sig (1 - sig), alpha = 4."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x >= 0).to(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        sig = torch.sigmoid(4 * ctx.saved_tensors[0])
        return 4 * sig * (1 - sig) * grads[0]


class TwoLayers(Network):
    """Input -> neurons -> (more neurons) -> linear, written out for comparison with torch's gradient."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(5)
        config = ottt.load_config().neuron
        self.stem = Linear(6, 7, std=0.8, generator=g)
        self.spike_layers = torch.nn.ModuleList(Neuron(config) for _ in range(depth))
        self.above = torch.nn.ModuleList(Linear(7, 7, std=0.8, generator=g) for _ in range(depth - 1))
        self.classifier = Linear(7, 4, std=0.8, generator=g)

    def encode(self, frame: Tensor, context: Context) -> Tensor:
        return self.stem(frame.flatten(1), context)

    def step(self, current: Tensor, state: Any, context: Context) -> Any:
        after = []
        for i, neurons in enumerate(self.spike_layers):
            spikes, now = neurons(current, None if state is None else state[i], context)
            after.append(now)
            if i < len(self.above):
                current = self.above[i](spikes, context)
        return self.classifier(spikes, context), tuple(after)


def layered(depth: int, rule: str) -> dict[str, Tensor]:
    config = ottt.load_config({"T": 5, "rule.name": rule})
    net = TwoLayers(depth).double()
    g = torch.Generator().manual_seed(6)
    inputs = torch.randn(8, 5, 1, 1, 6, dtype=torch.float64, generator=g)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
    ottt.build_rule(config).train_batch(net, optimizer, inputs, torch.arange(8) % 4)
    return {name: p.grad for name, p in net.named_parameters() if p.grad is not None}


def test_one_spiking_layer_ottt_is_bptt_with_detached_reset() -> None:
    """Comparison with an unrolled graph; dL/ds is an arbitrary function of time."""
    net_in = torch.Generator().manual_seed(7)
    s = (torch.rand(5, 8, 6, generator=net_in, dtype=torch.float64) < 0.4).double()
    w = (0.7 * torch.randn(7, 6, generator=net_in, dtype=torch.float64)).requires_grad_()
    read_out = torch.randn(5, 8, 7, generator=net_in, dtype=torch.float64)  # dL[t]/ds[t]
    unrolled, u = torch.zeros((), dtype=torch.float64), torch.zeros(8, 7, dtype=torch.float64)
    for t in range(5):
        u = 0.5 * u + s[t] @ w.t()
        fired = Step.apply(u - 1)
        unrolled = unrolled + (read_out[t] * fired).sum()
        u = u - fired.detach()
    (bptt,) = torch.autograd.grad(unrolled, w)

    total, state, a = torch.zeros_like(w), None, None
    for t in range(5):
        a, _ = trace_step(s[t], a, 0.5)
        fired, state = lif_step(trace_linear(s[t], a, w, torch.zeros(7, dtype=torch.float64)), state, decay=0.5)
        (step,) = torch.autograd.grad((read_out[t] * fired).sum(), w)
        total, state = total + step, state.detach()
    torch.testing.assert_close(total, bptt, rtol=1e-12, atol=1e-12)


def test_two_layers_only_the_last_agrees_with_bptt() -> None:
    online, unrolled = layered(2, "ottt"), layered(2, "bptt")
    torch.testing.assert_close(online["above.0.weight"], unrolled["above.0.weight"], rtol=1e-10, atol=1e-12)
    assert not torch.allclose(online["stem.weight"], unrolled["stem.weight"], rtol=1e-3)


def test_bptt_is_torchs_gradient_of_the_unrolled_network() -> None:
    net = TwoLayers(2).double()
    g = torch.Generator().manual_seed(6)
    inputs = torch.randn(8, 5, 1, 1, 6, dtype=torch.float64, generator=g)
    labels = torch.arange(8) % 4
    config = ottt.load_config({"T": 5, "rule.name": "bptt", "loss.mse_weight": 0.0})
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
    ottt.build_rule(config).train_batch(net, optimizer, inputs, labels)
    layers = [(layer.weight, layer.bias) for layer in (net.stem, *net.above, net.classifier)]
    u = [torch.zeros(8, 7, dtype=torch.float64) for _ in range(2)]
    loss = torch.zeros((), dtype=torch.float64)
    for t in range(5):
        x = inputs[:, t].flatten(1)
        for i in range(2):
            u[i] = 0.5 * u[i] + x @ layers[i][0].t() + layers[i][1]
            x = Step.apply(u[i] - 1)
            u[i] = u[i] - x.detach()
        out = x @ layers[2][0].t() + layers[2][1]
        loss = loss - out.log_softmax(1)[torch.arange(8), labels].mean() / 5
    for parameter, expected in zip(sum(layers, ()), torch.autograd.grad(loss, sum(layers, ())), strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-10, atol=1e-13)


def test_online_takes_one_step_per_time_step() -> None:
    counts = []
    for update in ("accumulate", "online"):
        config = ottt.load_config({"model.width": 0.25, "T": 5, "rule.update": update})
        net = ottt.build_model(config, data=DATA)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        count = [0]
        optimizer.register_step_post_hook(lambda *_, count=count: count.__setitem__(0, count[0] + 1))
        ottt.build_rule(config).train_batch(net, optimizer, torch.randn(3, 2, 8, 8), torch.tensor([0, 1, 2]))
        counts.append(count[0])
    assert counts == [1, 5]


def test_one_forward_and_one_backward_convolution_per_layer_and_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The original runs each weighted layer twice per step; the first layer of a still image needs only one call."""
    calls: dict[str, int] = {}
    plain, traced = Conv2d.apply_plain, Conv2d.apply_traced

    def count(name: str, method: Any) -> Any:
        def counted(self: Conv2d, *args: Tensor) -> Tensor:
            calls[name] = calls.get(name, 0) + 1
            return method(self, *args)

        return counted

    monkeypatch.setattr(Conv2d, "apply_plain", count("plain", plain))
    monkeypatch.setattr(Conv2d, "apply_traced", count("traced", traced))
    gradients(moving=False)
    assert calls == {"plain": 1, "traced": 2 * 5}  # `small` has two convolutions above the first


@pytest.mark.parametrize("model", ["small", "vgg11f_ws", "nfresnet18", "r400"])
@pytest.mark.parametrize("update", ["accumulate", "online"])
def test_the_past_of_a_layer_is_released_before_the_next_layer_runs(model: str, update: str) -> None:
    config = ottt.load_config({"model.name": model, "model.width": 0.1, "T": 3, "rule.update": update})
    net = ottt.build_model(config, data=DATA)
    layers = [module for _, module in net.neurons]
    runs: list[list[StorageWeakRef]] = [[]]  # storage of the potentials, per time step and layer

    def note(layer: Neuron, args: tuple[Any, ...], out: tuple[Any, NeuronState]) -> None:
        index = len(runs[-1])
        if len(runs) > 1:
            past = runs[-2]
            assert [past[i].expired() for i in range(index)] == [True] * index
            assert not past[index].expired()  # what this layer has just read
        runs[-1].append(StorageWeakRef(out[1].u.untyped_storage()))
        if index == len(layers) - 1:
            runs.append([])

    for layer in layers:
        layer.register_forward_hook(note)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    ottt.build_rule(config).train_batch(net, optimizer, torch.randn(3, 2, 8, 8), torch.tensor([0, 1, 2]))
    assert [len(run) for run in runs] == [len(layers)] * 3 + [0]


def test_a_detached_state_is_consumed_once() -> None:
    net = ottt.build_model(ottt.load_config({"model.width": 0.25}), data=DATA)
    x = torch.randn(3, 2, 8, 8)
    _, kept = net(x)
    given = detached(kept)
    once, _ = net(x, given)
    with pytest.raises(ValueError, match="state must have 3 entries, one per layer of neurons, got 0"):
        net(x, given)
    for _ in range(2):
        torch.testing.assert_close(net(x, kept)[0], once, rtol=0, atol=0)


@pytest.mark.parametrize("rule", ["ottt", "sltt", "ndot"])
def test_dropout_mask_is_one_per_sequence(rule: str) -> None:
    config = ottt.load_config({"model.width": 0.25, "T": 4, "neuron.dropout": 0.5, "rule.name": rule})
    net = ottt.build_model(config, data=DATA)
    context = Context(trace="decay", generator=torch.Generator().manual_seed(0))
    inputs = 3 * torch.randn(16, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    state, silent = None, []
    for _ in range(8):
        _, state = net(inputs, state, context)
        silent.append(state[0].s == 0)
        assert set(state[0].s.unique().tolist()) <= {0.0, 2.0}  # scaled by 1 / (1 - p)
    always = torch.stack(silent).all(0).float().mean().item()
    assert 0.5 < always < 0.95  # half are masked for good, some others never reach the threshold
    net.eval()
    _, state = net(inputs, None, Context())
    assert set(state[0].s.unique().tolist()) <= {0.0, 1.0}
