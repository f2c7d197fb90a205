"""The elementwise work of a layer of neurons: run operation after operation, or compiled into one pass over memory.

Both ways compute the same numbers up to the rounding of the last digit. Values that travel between layers may be of
a lower precision than membrane potentials and traces, which are float32 at least.
"""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ottt.functional.surrogate import Curve, sigmoid

VARIANTS = 256  # of one kernel in a process: surrogates, resets and precisions that a sweep may go through

log = logging.getLogger(__name__)


class Kernels(NamedTuple):
    """One way to run `fire`, `signal` and `remember`."""

    fire: Callable[..., tuple[Tensor, Tensor, Tensor]]
    signal: Callable[..., Tensor]
    remember: Callable[..., tuple[Tensor, Tensor]]


def fire(
    x: Tensor, u: Tensor | None, decay: float, v_threshold: float, v_reset: float | None, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes of `dtype`, the potential after the reset, and the potential that `signal` reads; see `lif_step`."""
    x = x.to(state_dtype(x))
    u_now = x if u is None else torch.add(x, u, alpha=decay)
    fired = u_now >= v_threshold
    if v_reset is not None:
        return fired.to(dtype), torch.where(fired, v_reset, u_now), u_now
    s = fired.to(u_now.dtype)
    # After a soft reset u[t] can be had from what is kept anyway: no further buffer lives until the backward pass.
    u_next = torch.sub(u_now, s, alpha=v_threshold)
    return s.to(dtype), u_next, u_next


def signal(
    s: Tensor,
    u: Tensor,
    grad_s: Tensor,
    v_threshold: float,
    soft: bool,
    derivative: Curve,
    alpha: float,
    dtype: torch.dtype,
) -> Tensor:
    """dL/ds times the surrogate's derivative, as `dtype`; `u` is u'[t] after a soft reset, else u[t]."""
    above = torch.add(u, s, alpha=v_threshold).sub_(v_threshold) if soft else u - v_threshold
    return derivative(above, alpha).mul_(grad_s).to(dtype)


def remember(s: Tensor, a: Tensor, decay: float | Tensor) -> tuple[Tensor, Tensor]:
    """The next trace, and the same in the precision of the spikes; see `ottt.functional.lif.trace_step`."""
    full = state_dtype(s)
    s_full, a = s.to(full), a.to(full)
    kept = torch.addcmul(s_full, a, decay) if isinstance(decay, Tensor) else torch.add(s_full, a, alpha=decay)
    return kept, kept.to(s.dtype)


def state_dtype(x: Tensor) -> torch.dtype:
    """Precision of what neurons keep between time steps: that of their input, float32 at least."""
    return torch.promote_types(x.dtype, torch.float32)


EAGER = Kernels(fire, signal, remember)


@cache
def compiled(device: torch.device) -> Kernels:
    """The kernels compiled for `device`; the plain ones, with one notice, where there is no working compiler."""
    torch._dynamo.config.recompile_limit = VARIANTS
    kernels = Kernels(*(_over_memory(torch.compile(kernel, dynamic=True)) for kernel in EAGER))
    try:
        some = torch.zeros(64, device=device)
        with torch.no_grad():
            s, u, _ = kernels.fire(some, some, 0.5, 1.0, None, some.dtype)
            kernels.signal(s, u, some, 1.0, True, sigmoid, 4.0, some.dtype)
            kernels.remember(s, some, 0.5)
    except torch._dynamo.exc.BackendCompilerFailed as error:
        log.warning("compile: neurons run uncompiled, for there is no working compiler: %s", str(error).splitlines()[0])
        return EAGER
    return kernels


def _over_memory(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Let `kernel` see tensors of any shape and layout as one row, so that one compilation serves all layers."""

    def run(first: Tensor, *others: Any) -> Any:
        first = first if _dense(first) else first.contiguous()
        rows = [_row(other, first) if isinstance(other, Tensor) else other for other in others]
        with torch.no_grad():
            results = kernel(_row(first, first), *rows)
        if isinstance(results, Tensor):
            return results.as_strided(first.shape, first.stride())
        return tuple(result.as_strided(first.shape, first.stride()) for result in results)

    return run


def _row(x: Tensor, like: Tensor) -> Tensor:
    """The elements of `x` in the order in which those of `like` lie in memory."""
    if x.stride() != like.stride():
        x = torch.empty_like(like, dtype=x.dtype).copy_(x)
    return x.detach().as_strided((x.numel(),), (1,))


def _dense(x: Tensor) -> bool:
    return x.is_contiguous() or (x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last))
