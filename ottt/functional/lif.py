"""Leaky integrate-and-fire neurons in discrete time, and the traces of their spikes."""

from typing import Any

import torch
from torch import Tensor

from ottt.functional.kernels import EAGER, Kernels, converted, state_dtype
from ottt.functional.surrogate import Curve, Factor, sigmoid


class _LifStep(torch.autograd.Function):
    """`lif_step` with a hand-written gradient, which takes fewer passes over memory than autograd's."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        u: Tensor | None,
        decay: Factor,
        v_threshold: Factor,
        v_reset: float | None,
        derivative: Curve,
        alpha: Factor,
        dtype: torch.dtype,
        kernels: Kernels,
    ) -> tuple[Tensor, Tensor]:
        s, u_next, u_read = kernels.fire(x, u, decay, v_threshold, v_reset, dtype)
        ctx.save_for_backward(s, u_read)
        ctx.neuron = decay, v_threshold, v_reset is None, derivative, alpha
        ctx.run = x.dtype, kernels
        ctx.set_materialize_grads(False)
        return s, u_next

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        s, u = ctx.saved_tensors
        decay, v_threshold, soft, derivative, alpha = ctx.neuron
        dtype, kernels = ctx.run
        grad_s, grad_u = grads
        grad_x = None
        if grad_s is not None:
            exact = u.dtype if grad_u is not None or ctx.needs_input_grad[1] else dtype
            grad_x = kernels.spike_gradient(s, u, grad_s, v_threshold, soft, derivative, alpha, exact)
        if grad_u is not None:
            through = grad_u if soft else grad_u * (1 - s)
            grad_x = through if grad_x is None else grad_x.add_(through)
        to_u = grad_x is not None and ctx.needs_input_grad[1]
        from_u = decay * grad_x if to_u else None
        return None if grad_x is None else converted(grad_x, dtype), from_u, None, None, None, None, None, None, None


def lif_step(
    x: Tensor,
    u: Tensor | None,
    *,
    decay: Factor,
    v_threshold: Factor = 1.0,
    v_reset: float | None = None,
    derivative: Curve = sigmoid,
    alpha: Factor = 4.0,
    dtype: torch.dtype | None = None,
    kernels: Kernels = EAGER,
) -> tuple[Tensor, Tensor]:
    """One time step of a layer of neurons (paper, section 3.1).

        u[t] = decay u'[t-1] + x[t]
        s[t] = H(u[t] - v_threshold),  H(0) = 1,  with the surrogate's derivative in the backward pass
        u'[t] = u[t] - v_threshold stopgrad(s[t])     soft reset (v_reset None)
        u'[t] = v_reset where s[t] = 1, else u[t]     hard reset

    The reset never carries a gradient. Time carries one unless the caller detaches `u`.

    Args:
        x: input current, any shape.
        u: u'[t-1], same shape; None (zero) at the first step.
        decay: 1 - 1/tau for a time constant of tau steps; 1 for integrate-and-fire.
        v_threshold: potential at which a neuron fires.
        v_reset: potential after a spike, or None.
        derivative: surrogate of the derivative of H; may overwrite its argument, and its result is overwritten.
        alpha: parameter of the surrogate.
        dtype: type of the spikes; None: that of the potential.
        kernels: plain or compiled.

    Numbers can be tensors that broadcast to x, where neurons of a layer differ.

    Returns:
        s[t] and u'[t], both of x's shape; the potential in x's precision, float32 at least.
    """
    dtype = state_dtype(x) if dtype is None else dtype
    s, u_next = _LifStep.apply(x, u, decay, v_threshold, v_reset, derivative, alpha, dtype, kernels)
    return s, u_next


def trace_step(s: Tensor, a: Tensor | None, decay: Factor, *, kernels: Kernels = EAGER) -> tuple[Tensor, Tensor]:
    """a[t] = decay a[t-1] + s[t] (paper, equation 6): the trace of a neuron's spikes.

    Args:
        s: spikes, any shape.
        a: a[t-1], same shape; None (zero) at the first step.
        decay: factor per time step; a tensor for rules whose factor depends on the neuron.
        kernels: plain or compiled.

    Returns:
        a[t] without gradient, twice: to keep, in float32 at least, and to send, in the precision of the spikes.
    """
    s = s.detach()
    return (s, s) if a is None else kernels.update_trace(s, a, decay)


def ndot_factor(u: Tensor, u_before: Tensor | None, decay: Factor) -> Tensor:
    """e[t] = u'[t] / u'[t-1], clamped to [-decay, decay] (NDOT, ICML 2024).

    Args:
        u: potential after the reset, u'[t].
        u_before: u'[t-1]; None at the first step.
        decay: the membrane's decay; e at the first step and where the quotient is 0/0.
    """
    if u_before is None:
        return torch.zeros_like(u) + decay if isinstance(decay, Tensor) else torch.full_like(u, decay)
    factor = u.detach() / u_before.detach()
    if isinstance(decay, Tensor):
        return torch.where(factor.isnan(), decay, factor).clamp(-decay, decay)
    return factor.nan_to_num(nan=decay, posinf=decay, neginf=-decay).clamp(-decay, decay)
