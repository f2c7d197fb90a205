"""NDOT's factor against float64 autograd of what it approximates; the derivation is in docs/method.md."""

import itertools

import torch
from torch import Tensor

import ottt
from ottt.functional.lif import lif_step, ndot_factor
from ottt.modules import Context, Neuron

F64 = torch.float64
DECAY, TAU = 0.5, 2.0
NO_CLAMP = 1e300


def draw(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=F64)


def trajectory(currents: list[Tensor]) -> list[tuple[Tensor, Tensor, Tensor]]:
    """u'[t], s[t] and the sensitivity d u[t+1] / d u[t] of each step, whose reset carries the surrogate's gradient."""
    found, reset = [], torch.zeros_like(currents[0])
    for x in currents:
        u = (DECAY * reset + x).detach().requires_grad_()
        soft = torch.sigmoid(4.0 * (u - 1.0))
        s = (u >= 1.0).to(F64) + soft - soft.detach()
        (sensitivity,) = torch.autograd.grad((DECAY * (u - s)).sum(), u)
        reset = (u - s).detach()
        found.append((reset, s.detach(), sensitivity))
    return found


def test_the_quotient_of_rates_is_the_sensitivity_of_the_continuous_neuron() -> None:
    """tau du/dt = I - u: with d u / dt = (I - u) / tau, e(t) = (u(t+1) - I) / (u(t) - I) = d u(t+1) / d u(t)."""
    start, current = 2 * draw(50) - 1, draw(50) + 1.5
    time = torch.full((50,), 0.7, dtype=F64, requires_grad=True)

    def potential(at: Tensor) -> Tensor:
        return current + (start - current) * torch.exp(-at / TAU)

    now = potential(time)
    one_later = current + (now - current) * torch.exp(torch.tensor(-1 / TAU, dtype=F64))
    (sensitivity,) = torch.autograd.grad(one_later.sum(), now, retain_graph=True)
    (rate,) = torch.autograd.grad(now.sum(), time, retain_graph=True)
    (later_rate,) = torch.autograd.grad(potential(time + 1).sum(), time)
    torch.testing.assert_close(later_rate / rate, sensitivity, rtol=1e-12, atol=0)
    torch.testing.assert_close(ndot_factor(one_later - current, now - current, 1.0), sensitivity, rtol=1e-12, atol=0)


def test_its_distance_from_the_decay_is_the_net_drive() -> None:
    """e[t] = decay + (x[t] - v_threshold s[t]) / u'[t-1]: the membrane's derivative, by autograd, if they cancel."""
    u: Tensor | None = None
    for x in 3 * draw(10, 100) - 1:
        before = None if u is None else u.detach().requires_grad_()
        s, u = lif_step(x, before, decay=DECAY)
        if before is not None:
            (membrane,) = torch.autograd.grad(u.sum(), before)
            expected = membrane + (x - s) / before
            torch.testing.assert_close(ndot_factor(u, before, NO_CLAMP), expected.detach(), rtol=1e-9, atol=1e-9)


def test_where_it_is_exact() -> None:
    """Without input, and with a constant one that never fires; e[t] and the autograd of the membrane are the decay."""
    silent = [draw(100) * 0.9, *[torch.zeros(100, dtype=F64)] * 5]
    constant = [draw(100) * 0.49] * 6  # the potential stays below twice the current
    for currents in (silent, constant):
        steps = trajectory(currents)
        assert not any(s.any() for _, s, _ in steps)
        for (before, _, _), (u, _, _) in itertools.pairwise(steps):
            torch.testing.assert_close(ndot_factor(u, before, DECAY), torch.full_like(u, DECAY), rtol=1e-12, atol=0)


def test_after_a_spike_it_forgets_as_the_gradient_of_the_reset_does() -> None:
    """Its error is less than half that of the decay, which OTTT takes, under constant input."""
    steps = trajectory([0.2 + 0.8 * draw(10_000)] * 12)
    ours, ottts = [], []
    for (before, _, _), (u, s, sensitivity) in list(itertools.pairwise(steps))[2:]:
        fired = s > 0
        ours.append((ndot_factor(u, before, DECAY) - sensitivity)[fired])
        ottts.append((DECAY - sensitivity)[fired])
    error, of_decay = (torch.cat(values).square().mean().sqrt().item() for values in (ours, ottts))
    assert 0.40 < of_decay < 0.48
    assert error < of_decay / 2


def test_traces_multiply_the_factors() -> None:
    """a[t] is the sum over k of e[k] ... e[t-1] s[k]; unclamped, the product is the quotient u'[t-1] / u'[k-1]."""
    config = ottt.load_config({"neuron.tau": TAU}).neuron
    neuron, context, state = Neuron(config), Context(trace="ndot"), None
    potentials, spikes, factors = [], [], [torch.full((200,), DECAY, dtype=F64)]
    for t, x in enumerate(2.5 * draw(8, 200) - 0.5):
        sent, state = neuron(x, state, context)
        potentials.append(state.u)
        spikes.append(sent.s)
        if t > 0:
            factors.append((potentials[t] / potentials[t - 1]).clamp(-DECAY, DECAY))
        expected = sum(torch.stack([torch.ones_like(x), *factors[k:t]]).prod(0) * spikes[k] for k in range(t + 1))
        assert sent.a is not None
        torch.testing.assert_close(sent.a, expected, rtol=1e-12, atol=1e-12)
    assert 0.1 < torch.stack(spikes).mean().item() < 0.9
    assert (torch.stack(factors).abs() < DECAY).double().mean().item() > 0.2
