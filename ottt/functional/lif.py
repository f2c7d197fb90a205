"""Leaky integrate-and-fire neurons in discrete time, and the traces of their spikes."""

from typing import Any

import torch
from torch import Tensor

from ottt.functional.surrogate import Curve, sigmoid


class _LifStep(torch.autograd.Function):
    """`lif_step` with its gradient written out: fewer passes over memory than one operation after another."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        u: Tensor | None,
        decay: float,
        v_threshold: float,
        v_reset: float | None,
        derivative: Curve,
        alpha: float,
    ) -> tuple[Tensor, Tensor]:
        u_now = x if u is None else torch.add(x, u, alpha=decay)
        fired = u_now >= v_threshold
        s = fired.to(x.dtype)
        u_next = torch.sub(u_now, s, alpha=v_threshold) if v_reset is None else torch.where(fired, v_reset, u_now)
        # After a soft reset u[t] can be had from what is kept anyway: no further buffer lives until the backward pass.
        ctx.save_for_backward(s, u_next if v_reset is None else u_now)
        ctx.neuron = decay, v_threshold, v_reset, derivative, alpha
        ctx.set_materialize_grads(False)
        return s, u_next

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        s, u = ctx.saved_tensors
        decay, v_threshold, v_reset, derivative, alpha = ctx.neuron
        grad_s, grad_u = grads
        grad_x = None
        if grad_s is not None:
            above = u - v_threshold if v_reset is not None else torch.add(u, s, alpha=v_threshold).sub_(v_threshold)
            grad_x = derivative(above, alpha).mul_(grad_s)
        if grad_u is not None:
            through = grad_u if v_reset is None else grad_u * (1 - s)
            grad_x = through if grad_x is None else grad_x.add_(through)
        to_u = grad_x is not None and ctx.needs_input_grad[1]
        return grad_x, decay * grad_x if to_u else None, None, None, None, None, None


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
        s[t] = H(u[t] - v_threshold),  H(0) = 1,  with the surrogate's derivative in the backward pass
        u'[t] = u[t] - v_threshold stopgrad(s[t])     soft reset (v_reset None)
        u'[t] = v_reset where s[t] = 1, else u[t]     hard reset

    The reset never carries a gradient. Whether time does is the caller's choice: hand in `u` detached or not.

    Args:
        x: input current, any shape.
        u: u'[t-1], same shape; None at the first step stands for zero.
        decay: 1 - 1/tau for a time constant of tau steps; 1 for integrate-and-fire.
        v_threshold: potential at which a neuron fires.
        v_reset: potential after a spike, or None.
        derivative: surrogate of the derivative of H; must return a tensor of its own.
        alpha: its steepness.

    Returns:
        s[t] and u'[t], both of x's shape.
    """
    s, u_next = _LifStep.apply(x, u, decay, v_threshold, v_reset, derivative, alpha)
    return s, u_next


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
