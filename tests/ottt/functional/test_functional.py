"""The mathematics against hand-worked values, numerical derivatives and torch's own gradients."""

import math

import pytest
import torch
from torch.nn import functional as F

from ottt.functional.lif import lif_step, ndot_factor, trace_step
from ottt.functional.surrogate import SURROGATES
from ottt.functional.trace import trace_conv2d, trace_linear
from ottt.functional.weight import standardize
from ottt.loss import step_loss

F64 = torch.float64


@pytest.mark.parametrize("name", SURROGATES)
@pytest.mark.parametrize("alpha", [1.0, 4.0])
def test_surrogate_is_the_derivative_of_its_primitive(name: str, alpha: float) -> None:
    primitive, derivative = SURROGATES[name]
    x = torch.linspace(-2, 2, 4001, dtype=F64)
    # Leave out the kinks, where the one-sided slopes differ.
    corners = torch.tensor([-1, -0.5, 0, 0.5, 1], dtype=F64) / alpha
    corners = torch.cat([corners, torch.tensor([-alpha, alpha], dtype=F64)])  # of quasi_clamp
    x = x[(x[:, None] - corners).abs().min(1).values > 1e-3]
    h = 1e-6
    numerical = (primitive(x + h, alpha) - primitive(x - h, alpha)) / (2 * h)
    torch.testing.assert_close(derivative(x, alpha), numerical, rtol=1e-5, atol=1e-8)


def test_quasi_clamp_is_the_originals() -> None:
    """1 where |x| <= alpha, else 0: a larger alpha widens the window."""
    x = torch.tensor([-1.5, -1.0, -0.6, -0.5, 0.0, 0.5, 0.6, 1.0, 1.5], dtype=F64)
    derivative = SURROGATES["quasi_clamp"].derivative
    assert derivative(x, 0.5).tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert derivative(x, 1.0).tolist() == [0, 1, 1, 1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize("name", [name for name in SURROGATES if name != "quasi_clamp"])
def test_primitive_approaches_the_step(name: str) -> None:
    far = torch.tensor([-1.0, 1.0], dtype=F64)
    leak = 5 if name == "piecewise_leaky" else 0.02  # it grows without bound, on purpose
    torch.testing.assert_close(
        SURROGATES[name].primitive(far, 50.0), torch.tensor([0.0, 1.0], dtype=F64), rtol=0, atol=leak
    )


def test_sigmoid_surrogate_by_hand() -> None:
    x = torch.tensor([1.0, 1.5, 0.5], requires_grad=True)
    s, _ = lif_step(x, None, decay=0.5, v_threshold=1.0, alpha=4.0)
    s.sum().backward()
    sig = 1 / (1 + math.exp(-2))
    assert s.tolist() == [1.0, 1.0, 0.0]  # H(0) = 1
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.tensor([1.0, 4 * sig * (1 - sig), 4 * sig * (1 - sig)]))


def test_lif_by_hand() -> None:
    # tau = 2: u = 0.6; 0.3 + 0.6 = 0.9; 0.45 + 0.6 = 1.05 fires -> 0.05; 0.025 + 0.6 = 0.625
    u, spikes, potentials = None, [], []
    for _ in range(4):
        s, u = lif_step(torch.tensor([0.6], dtype=F64), u, decay=0.5)
        spikes.append(s.item())
        potentials.append(u.item())
    assert spikes == [0, 0, 1, 0]
    assert potentials == pytest.approx([0.6, 0.9, 0.05, 0.625], abs=1e-12)


def test_hard_reset_goes_to_its_value() -> None:
    s, u = lif_step(torch.tensor([1.7, 0.4]), None, decay=0.5, v_reset=-0.25)
    assert s.tolist() == [1.0, 0.0]
    torch.testing.assert_close(u, torch.tensor([-0.25, 0.4]))


def test_the_reset_carries_no_gradient_and_time_does() -> None:
    before = torch.tensor([1.2], dtype=F64, requires_grad=True)
    x = torch.tensor([0.9], dtype=F64, requires_grad=True)
    _, u = lif_step(x, before, decay=0.5)  # fires: 1.5 -> 0.5
    u.backward()
    # du'/dx = 1: with a gradient through the reset it would be 1 - surrogate.
    assert x.grad is not None
    assert before.grad is not None
    assert x.grad.item() == pytest.approx(1.0)
    assert before.grad.item() == pytest.approx(0.5)


def test_trace_by_hand() -> None:
    a = None
    for s, expected in [(1.0, 1.0), (0.0, 0.5), (1.0, 1.25)]:
        a, _ = trace_step(torch.tensor([s]), a, 0.5)
        assert a.item() == expected


def test_ndot_factor_by_hand() -> None:
    u, before = torch.tensor([0.2, 0.9, -0.9, 0.0, 0.3]), torch.tensor([0.8, 0.3, 0.3, 0.0, 0.0])
    # 0.25; 3 and -3 clamped; 0/0 and 0.3/0 take the decay.
    torch.testing.assert_close(ndot_factor(u, before, 0.5), torch.tensor([0.25, 0.5, -0.5, 0.5, 0.5]))
    torch.testing.assert_close(ndot_factor(u, None, 0.5), torch.full((5,), 0.5))


@pytest.mark.parametrize(("stride", "padding", "groups"), [(1, 1, 1), (2, 1, 1), (1, 0, 2), (2, 3, 4)])
def test_trace_conv_value_from_spikes_weight_gradient_from_traces(stride: int, padding: int, groups: int) -> None:
    g = torch.Generator().manual_seed(0)
    s, a = (torch.randn(3, 4, 9, 7, dtype=F64, generator=g) for _ in range(2))
    w = torch.randn(8, 4 // groups, 3, 3, dtype=F64, generator=g, requires_grad=True)
    b = torch.randn(8, dtype=F64, generator=g, requires_grad=True)
    s.requires_grad_()
    geometry = {"stride": stride, "padding": padding, "groups": groups}
    y = trace_conv2d(s, a, w, b, **geometry)
    from_spikes, from_traces = F.conv2d(s, w, b, **geometry), F.conv2d(a, w, b, **geometry)
    torch.testing.assert_close(y, from_spikes)
    up = torch.randn(y.shape, dtype=F64, generator=g)
    got = torch.autograd.grad(y, (s, w, b), up)
    expected = (
        torch.autograd.grad(from_spikes, s, up)[0],
        torch.autograd.grad(from_traces, w, up, retain_graph=True)[0],
        torch.autograd.grad(from_traces, b, up)[0],
    )
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    # Negative control: the plain layer's weight gradient is another one.
    plain = torch.autograd.grad(F.conv2d(s, w, b, **geometry), w, up)[0]
    assert not torch.allclose(got[1], plain)


def test_trace_linear_value_from_spikes_weight_gradient_from_traces() -> None:
    s = torch.tensor([[1.0, 0.0], [1.0, 1.0]], requires_grad=True)
    a = torch.tensor([[1.5, 0.5], [1.0, 2.0]])
    w = torch.tensor([[2.0, -1.0]], requires_grad=True)
    b = torch.tensor([0.5], requires_grad=True)
    y = trace_linear(s, a, w, b)
    assert y.tolist() == [[2.5], [1.5]]
    y.backward(torch.tensor([[1.0], [10.0]]))
    assert w.grad is not None
    assert s.grad is not None
    assert b.grad is not None
    assert w.grad.tolist() == [[1 * 1.5 + 10 * 1.0, 1 * 0.5 + 10 * 2.0]]
    assert s.grad.tolist() == [[2.0, -1.0], [20.0, -10.0]]
    assert b.grad.tolist() == [11.0]


def test_standardized_kernel_has_the_stated_moments() -> None:
    w = torch.randn(5, 3, 3, 3, dtype=F64, generator=torch.Generator().manual_seed(1)) * 3 + 1
    gain = torch.full((5, 1, 1, 1), 2.0, dtype=F64)
    kernel = standardize(w, gain)
    torch.testing.assert_close(kernel.mean((1, 2, 3)), torch.zeros(5, dtype=F64), rtol=0, atol=1e-15)
    # var(kernel) fan_in = gain^2, but for EPS.
    torch.testing.assert_close(kernel.var((1, 2, 3)) * 27, torch.full((5,), 4.0, dtype=F64), rtol=1e-5, atol=0)


def test_standardized_kernel_has_the_gradient_of_its_differences() -> None:
    draw = torch.Generator().manual_seed(1)
    w = (0.1 * torch.randn(4, 3, 3, 3, dtype=F64, generator=draw) + 1).requires_grad_()
    gain = torch.rand(4, 1, 1, 1, dtype=F64, generator=draw).requires_grad_()
    assert torch.autograd.gradcheck(standardize, (w, gain))


def test_standardized_kernel_keeps_nothing_of_its_size_for_the_gradient() -> None:
    w, gain = torch.ones(4, 3, 3, 3, requires_grad=True), torch.ones(4, 1, 1, 1, requires_grad=True)
    kept: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        standardize(w, gain)
    assert sum(x.numel() for x in kept if x.data_ptr() != w.data_ptr()) == 3 * len(w)


def test_loss_by_hand() -> None:
    logits = torch.tensor([[1.0, -1.0]], dtype=F64)
    labels = torch.tensor([0])
    cross_entropy = math.log(1 + math.exp(-2))
    mean_squares = (0.0**2 + 1.0**2) / 2
    loss = step_loss(logits, labels, time_steps=4, mse_weight=0.05)
    assert loss.item() == pytest.approx((0.95 * cross_entropy + 0.05 * mean_squares) / 4, abs=1e-15)
