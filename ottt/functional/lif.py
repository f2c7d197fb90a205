"""Leaky integrate-and-fire neurons in discrete time, and the traces of their spikes."""

import torch
from torch import Tensor

from ottt.functional.surrogate import Curve, sigmoid, spike


def lif_step(
    x: Tensor,
    u: Tensor | None,
    *,
    decay: float,
    v_threshold: float = 1.0,
    v_reset: float | None = None,
    derivative: Curve = sigmoid,
    alpha: float = 4.0,
) -> tuple[Tensor, Tensor]:
    """One time step of a layer of neurons (paper, section 3.1).

        u[t] = decay u'[t-1] + x[t]
        s[t] = H(u[t] - v_threshold)
        u'[t] = u[t] - v_threshold stopgrad(s[t])     soft reset (v_reset None)
        u'[t] = v_reset where s[t] = 1, else u[t]     hard reset

    The reset never carries a gradient. Whether time does is the caller's choice: hand in `u` detached or not.

    Args:
        x: input current, any shape.
        u: u'[t-1], same shape; None at the first step stands for zero.
        decay: 1 - 1/tau for a time constant of tau steps; 1 for integrate-and-fire.
        v_threshold: potential at which a neuron fires.
        v_reset: potential after a spike, or None.
        derivative: surrogate of the derivative of H.
        alpha: its steepness.

    Returns:
        s[t] and u'[t], both of x's shape.
    """
    u_now = x if u is None else torch.add(x, u, alpha=decay)
    s = spike(u_now - v_threshold, derivative=derivative, alpha=alpha)
    fired = s.detach()
    if v_reset is None:
        return s, torch.sub(u_now, fired, alpha=v_threshold)
    return s, torch.where(fired > 0, v_reset, u_now)


def trace_step(s: Tensor, a: Tensor | None, decay: float | Tensor) -> Tensor:
    """a[t] = decay a[t-1] + s[t] (paper, equation 6): what a synapse remembers of its input's spikes.

    Args:
        s: spikes, any shape.
        a: a[t-1], same shape; None at the first step stands for zero.
        decay: share kept per time step; a tensor for rules whose share depends on the neuron.

    Returns:
        a[t], without gradient.
    """
    s = s.detach()
    if a is None:
        return s
    return torch.add(s, a, alpha=decay) if isinstance(decay, float) else torch.addcmul(s, a, decay)


def ndot_factor(u: Tensor, u_before: Tensor | None, decay: float) -> Tensor:
    """e[t] = u'[t] / u'[t-1], clamped to [-decay, decay] (NDOT, ICML 2024).

    Args:
        u: potential after the reset, u'[t].
        u_before: u'[t-1]; None at the first step.
        decay: the membrane's; taken for e where the quotient is 0/0 and at the first step.
    """
    if u_before is None:
        return torch.full_like(u, decay)
    return (u.detach() / u_before.detach()).nan_to_num(nan=decay, posinf=decay, neginf=-decay).clamp(-decay, decay)
