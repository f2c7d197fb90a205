"""Data that layers exchange: spikes with their traces, the state of neurons, and the context of a mini-batch.

Besides its input a layer takes the `NeuronState` of one time step, which goes in and comes out, and the `Context` of
one mini-batch, which all layers share.

Shapes: B batch, C channels, N features, H W image.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from ottt.functional.host_draws import Generators, draw_event, each, uniform
from ottt.functional.kernels import EAGER, Kernels

Trace = Literal["decay", "ndot"]


class Spikes(NamedTuple):
    """Output of a layer of neurons in one time step.

    Attributes:
        s: spikes, [B,C,H,W] or [B,N], in the precision in which the layers above compute.
        a: traces, same shape and precision; None if weight gradients come from the spikes themselves.
    """

    s: Tensor
    a: Tensor | None


class NeuronState(NamedTuple):
    """State of one layer of neurons after a time step; None instead is the state before the first.

    Attributes:
        u: membrane potential after the reset.
        s: spikes of this step.
        a: trace, if the context asks for traces.
        e: factor of the next trace step, only for the NDOT trace.
    """

    u: Tensor
    s: Tensor
    a: Tensor | None
    e: Tensor | None

    def detached(self) -> "NeuronState":
        """The same state, detached from the graph."""
        return NeuronState(self.u.detach(), self.s.detach(), self.a, self.e)


State = Sequence[NeuronState]  # one entry per layer of neurons, in the order of `Network.neurons`


class ConsumableState(list[NeuronState]):
    """A state that the next time step consumes: each entry is released once it has been read.

    Memory then holds the past of only one layer at a time. Other states stay intact.
    """


class _Lowered(torch.autograd.Function):
    """The value of `low`, with the gradient of `exact`."""

    @staticmethod
    def forward(ctx: Any, exact: Tensor, low: Tensor) -> Tensor:
        ctx.exact = exact.dtype
        return low.view_as(low)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0].to(ctx.exact), None


class Context:
    """Data that all layers share during the time steps of one mini-batch.

    Shared tensors, such as the weights as layers apply them (standardised, scaled), are computed once per update of
    the parameters rather than once per time step. With `cut`, each time step's backward pass stops at them, and
    `push_back` propagates the summed gradient to the parameters once.

    Attributes:
        trace: traces that neurons keep for the weight gradient: "decay" (OTTT), "ndot", or None.
        dtype: precision in which weighted layers compute; None: that of their parameters.
        generator: generator of draws made once per sequence (dropout masks), or one for each trial of a fused network.
        kernels: implementation of the neurons, plain or compiled.
    """

    def __init__(
        self,
        *,
        trace: Trace | None = None,
        cut: bool = False,
        dtype: torch.dtype | None = None,
        generator: Generators = None,
        kernels: Kernels = EAGER,
    ) -> None:
        self.trace = trace
        self.dtype = dtype
        self.kernels = kernels
        self.generator = generator
        self._cut = cut
        self._making = False  # whether a shared tensor is being computed, whose graph then extends into others
        self._shared: dict[Hashable, tuple[Tensor, Tensor]] = {}
        self._lowered: dict[Hashable, Tensor] = {}
        self._masks: dict[nn.Module, Tensor] = {}
        self._dropped: dict[nn.Module, bool] = {}

    def shared(self, owner: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """The result of `make()`, called once per owner and update; `make` can ask for shared tensors itself."""
        if owner not in self._shared:
            outer, self._making = self._making, True
            try:
                # Cut tensors serve steps with and without a backward pass, so they always need a graph.
                with torch.set_grad_enabled(self._cut or torch.is_grad_enabled()):
                    live = make()
            finally:
                self._making = outer
            leaf = live.detach().requires_grad_(live.requires_grad) if self._cut else live
            self._shared[owner] = live, leaf
        live, leaf = self._shared[owner]
        return live if self._making else leaf

    def lowered(self, owner: Hashable, exact: Tensor, dtype: torch.dtype) -> Tensor:
        """`exact` as `dtype`, converted once per owner and update.

        The gradient of each use returns to the precision of `exact` before it is added to those of other time steps.
        """
        if owner not in self._lowered:
            self._lowered[owner] = exact.detach().to(dtype)
        low: Tensor = _Lowered.apply(exact, self._lowered[owner])
        return low

    def push_back(self) -> None:
        """Propagate the gradients of the shared tensors to the parameters, and discard the tensors."""
        reached = [(live, leaf) for live, leaf in self._shared.values() if live is not leaf and leaf.grad is not None]
        if reached:
            torch.autograd.backward([live for live, _ in reached], [leaf.grad for _, leaf in reached])
        self._shared.clear()
        self._lowered.clear()

    def mask(self, owner: nn.Module, like: Tensor, p: float) -> Tensor:
        """Dropout mask of `owner` for this sequence: 0 with probability p, else 1/(1-p); shape of `like`."""
        if owner not in self._masks:
            keep = uniform(like, self.generator) >= p
            self._masks[owner] = keep.to(like.dtype) / (1 - p)
        return self._masks[owner]

    def sample_mask(self, owner: nn.Module, like: Tensor, p: float) -> Tensor:
        """The same with one draw per sample, for all channels and pixels of `like`, [B,C,H,W]: [B,1,1,1]."""
        trials = len(each(self.generator))
        mask = self.mask(owner, like[:, :trials, :1, :1], p)
        return mask if trials == 1 else mask.repeat_interleave(like.shape[1] // trials, 1)

    def drops(self, owner: nn.Module, p: float) -> bool:
        """Whether `owner` is left out of this sequence, for the whole batch: one draw, true with probability p."""
        if owner not in self._dropped:
            [generator] = each(self.generator)
            self._dropped[owner] = draw_event(p, generator)
        return self._dropped[owner]


def on_both(operation: Callable[[Tensor], Tensor], spikes: Spikes) -> Spikes:
    """Apply a linear operation without parameters (pooling, up-sampling) to spikes and traces alike."""
    return Spikes(operation(spikes.s), None if spikes.a is None else operation(spikes.a))


def states_of(state: State | None, count: int) -> Iterator[NeuronState | None]:
    """The entries of `state`, layer by layer; before the first time step None, `count` times.

    Raises:
        ValueError: `state` has not `count` entries, e.g. because it was consumed before.
    """
    if state is not None and len(state) != count:
        raise ValueError(f"state must have {count} entries, one per layer of neurons, got {len(state)}")
    return _entries(state, count)


def _entries(state: State | None, count: int) -> Iterator[NeuronState | None]:
    for i in range(count):
        if isinstance(state, ConsumableState):
            yield state.pop(0)
        else:
            yield None if state is None else state[i]
