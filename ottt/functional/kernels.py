"""The elementwise work of a layer of neurons, plain (one operation after another) or compiled (one pass over memory).

Both give the same numbers up to rounding in the last digit. Parameters of neurons are numbers; where they differ within
a layer, tensors that broadcast to it. Values passed between layers can have a lower precision
than membrane potentials and traces, which are float32 at least.
"""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ottt.errors import first_line
from ottt.functional.surrogate import Curve, Factor, sigmoid

MAX_COMPILATIONS = 256  # of one kernel in a process: a sweep can vary surrogate, reset and precision

log = logging.getLogger(__name__)


class Kernels(NamedTuple):
    """One implementation of `fire`, `spike_gradient` and `update_trace`."""

    fire: Callable[..., tuple[Tensor, Tensor, Tensor]]
    spike_gradient: Callable[..., Tensor]
    update_trace: Callable[..., tuple[Tensor, Tensor]]


def fire(
    x: Tensor, u: Tensor | None, decay: Factor, v_threshold: Factor, v_reset: float | None, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes as `dtype`, the potential after the reset, and the one that `spike_gradient` reads; see `lif_step`."""
    x = converted(x, state_dtype(x))
    u_now = x if u is None else plus(x, u, decay)
    if v_reset is not None:
        fired = u_now >= v_threshold
        return fired.to(dtype), torch.where(fired, v_reset, u_now), u_now
    s = torch.ge(u_now, v_threshold, out=torch.empty_like(u_now))
    # After a soft reset u[t] follows from values that are kept anyway: the backward pass needs no further buffer.
    u_next = minus(u_now, s, v_threshold, out=None if u is None else u_now)
    return converted(s, dtype), u_next, u_next


def spike_gradient(
    s: Tensor,
    u: Tensor,
    grad_s: Tensor,
    v_threshold: Factor,
    soft: bool,
    derivative: Curve,
    alpha: Factor,
    dtype: torch.dtype,
) -> Tensor:
    """dL/ds times the surrogate's derivative, as `dtype`; `u` is u'[t] after a soft reset, else u[t]."""
    above = plus(u, s, v_threshold).sub_(v_threshold) if soft else u - v_threshold
    return converted(derivative(above, alpha).mul_(grad_s), dtype)


def update_trace(s: Tensor, a: Tensor, decay: Factor) -> tuple[Tensor, Tensor]:
    """The next trace, in full precision and in that of the spikes; see `ottt.functional.lif.trace_step`."""
    full = state_dtype(s)
    s_full, a = converted(s, full), converted(a, full)
    kept = plus(s_full, a, decay)
    return kept, converted(kept, s.dtype)


def plus(x: Tensor, y: Tensor, factor: Factor) -> Tensor:
    """x + factor y."""
    return torch.addcmul(x, y, factor) if isinstance(factor, Tensor) else torch.add(x, y, alpha=factor)


def minus(x: Tensor, y: Tensor, factor: Factor, *, out: Tensor | None = None) -> Tensor:
    """x - factor y, in `out` if it is given."""
    if isinstance(factor, Tensor):
        return torch.addcmul(x, y, factor, value=-1, out=out)
    return torch.sub(x, y, alpha=factor, out=out)


def state_dtype(x: Tensor) -> torch.dtype:
    """Precision of the neurons' state: that of their input, float32 at least."""
    return torch.promote_types(x.dtype, torch.float32)


def converted(x: Tensor, dtype: torch.dtype) -> Tensor:
    """`x` as `dtype`. The call of `to` that changes nothing would cost as much as adding two small tensors."""
    return x if x.dtype == dtype else x.to(dtype)


EAGER = Kernels(fire, spike_gradient, update_trace)


@cache
def compiled(device: torch.device) -> Kernels:
    """The kernels compiled for `device`; the plain ones, with one warning, where they cannot be compiled."""
    try:
        _prepare_compiler()
    except (ImportError, AttributeError) as error:
        return _uncompiled(f"torch {torch.__version__} has another interface to its compiler: {first_line(error)}")
    kernels = Kernels(*(_flattening(torch.compile(kernel, dynamic=True)) for kernel in EAGER))
    try:
        some = torch.zeros(64, device=device)
        with torch.no_grad():
            s, u, _ = kernels.fire(some, some, 0.5, 1.0, None, some.dtype)
            kernels.spike_gradient(s, u, some, 1.0, True, sigmoid, 4.0, some.dtype)
            kernels.update_trace(s, some, 0.5)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # what all of the compiler's errors are: no Triton, too old a GPU, no C++ compiler
        return _uncompiled(f"no working compiler: {first_line(error)}")
    return kernels


def _prepare_compiler() -> None:
    """Allow MAX_COMPILATIONS. The only use of torch's private interfaces.

    Raises:
        ImportError | AttributeError: this version of torch has renamed one.
    """
    from torch._dynamo import config

    config.recompile_limit = MAX_COMPILATIONS


def _uncompiled(reason: str) -> Kernels:
    log.warning("compile: neurons run uncompiled: %s", reason)
    return EAGER


def _flattening(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """`kernel` on flat views of tensors of any shape and layout, so that one compilation serves all layers."""

    def run(first: Tensor, *others: Any) -> Any:
        first = first if _is_dense(first) else first.contiguous()
        flat = [_flat(other, first) if isinstance(other, Tensor) else other for other in others]
        with torch.no_grad():
            results = kernel(_flat(first, first), *flat)
        if isinstance(results, Tensor):
            return results.as_strided(first.shape, first.stride())
        return tuple(result.as_strided(first.shape, first.stride()) for result in results)

    return run


def _flat(x: Tensor, like: Tensor) -> Tensor:
    """The elements of `x` in the memory order of `like`."""
    if x.stride() != like.stride():
        x = torch.empty_like(like, dtype=x.dtype).copy_(x)
    return x.detach().as_strided((x.numel(),), (1,))


def _is_dense(x: Tensor) -> bool:
    return x.is_contiguous() or (x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last))
