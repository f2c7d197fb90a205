"""What layers exchange: spikes with their traces, the state of neurons, and the context of a mini-batch.

What a layer needs beyond its input comes in two parts: the `NeuronState` of one time step, which goes in and comes
out, and the `Context` of one mini-batch, which all layers share.

Shapes: B batch, C channels, N features, H W image.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from ottt.functional.kernels import EAGER, Kernels

Trace = Literal["decay", "ndot"]


class Spikes(NamedTuple):
    """What neurons send to the layers above in one time step.

    Attributes:
        s: spikes, [B,C,H,W] or [B,N], in the precision in which the layers above compute.
        a: their traces, same shape and precision; None where weight gradients come from the spikes themselves.
    """

    s: Tensor
    a: Tensor | None


class NeuronState(NamedTuple):
    """State of one layer of neurons after a time step. `None` in its place is the state before the first.

    Attributes:
        u: membrane potential after the reset.
        s: spikes sent in this step.
        a: trace, if the context keeps any.
        e: factor of the next trace step, only for the NDOT trace.
    """

    u: Tensor
    s: Tensor
    a: Tensor | None
    e: Tensor | None

    def detached(self) -> "NeuronState":
        """The same state with the past cut off: no gradient flows through it."""
        return NeuronState(self.u.detach(), self.s.detach(), self.a, self.e)


State = Sequence[NeuronState]  # one entry per layer of neurons, in the order of `Network.neurons`


class HandedOver(list[NeuronState]):
    """A state that its owner gives away: a time step releases each entry when it has read it.

    Beside the present only one layer's past is then in memory. Any other state stays whole.
    """


class Context:
    """What all layers share while one mini-batch runs through its time steps.

    Kernels are the weights as layers apply them (standardised, scaled). They are made once per update of the
    parameters rather than once per time step. With `cut`, each time step's backward pass stops at them, and
    `push_back` carries the sum on to the parameters, once.

    Attributes:
        trace: how neurons keep traces for the weight gradient: "decay" (OTTT), "ndot", or None (they keep none).
        dtype: in which weighted layers compute; None: that of their parameters.
        generator: source of what is drawn once per sequence (dropout masks); None: torch's global one.
        kernels: how neurons run.
    """

    def __init__(
        self,
        *,
        trace: Trace | None = None,
        cut: bool = False,
        dtype: torch.dtype | None = None,
        generator: torch.Generator | None = None,
        kernels: Kernels = EAGER,
    ) -> None:
        self.trace = trace
        self.dtype = dtype
        self.kernels = kernels
        self.generator = generator
        self._cut = cut
        self._shared: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        self._masks: dict[nn.Module, Tensor] = {}

    def shared(self, owner: nn.Module, make: Callable[[], Tensor]) -> Tensor:
        """`make()` for the first caller of an update, the same tensor for all later ones."""
        if owner not in self._shared:
            # Cut kernels serve steps with and without a backward pass: they always have a graph.
            with torch.set_grad_enabled(self._cut or torch.is_grad_enabled()):
                live = make()
            leaf = live.detach().requires_grad_(live.requires_grad) if self._cut else live
            self._shared[owner] = live, leaf
        return self._shared[owner][1]

    def push_back(self) -> None:
        """Carry the gradients that gathered at the shared tensors on to the parameters, and forget the tensors."""
        # Later entries were made from earlier ones, so their gradients have to go back first.
        for live, leaf in reversed(self._shared.values()):
            if live is not leaf and leaf.grad is not None:
                live.backward(leaf.grad)
        self._shared.clear()

    def mask(self, owner: nn.Module, like: Tensor, p: float) -> Tensor:
        """Dropout mask of `owner` for this sequence: 0 with probability p, else 1/(1-p); shape of `like`."""
        if owner not in self._masks:
            exact = torch.promote_types(like.dtype, torch.float32)
            keep = torch.rand(like.shape, generator=self.generator, device=like.device, dtype=exact) >= p
            self._masks[owner] = keep.to(like.dtype) / (1 - p)
        return self._masks[owner]


def on_both(operation: Callable[[Tensor], Tensor], spikes: Spikes) -> Spikes:
    """Apply a linear operation without parameters (pooling, up-sampling) to spikes and traces alike."""
    return Spikes(operation(spikes.s), None if spikes.a is None else operation(spikes.a))


def states_of(state: State | None, count: int) -> Iterator[NeuronState | None]:
    """The entries of `state`, layer after layer, or `count` times None before the first time step.

    Raises:
        ValueError: there are not `count` of them; so it is when a state that was handed over is used again.
    """
    if state is not None and len(state) != count:
        raise ValueError(f"state must have {count} entries, one per layer of neurons, got {len(state)}")
    return _entries(state, count)


def _entries(state: State | None, count: int) -> Iterator[NeuronState | None]:
    for i in range(count):
        if isinstance(state, HandedOver):
            yield state.pop(0)
        else:
            yield None if state is None else state[i]
