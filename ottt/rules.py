"""Update rules: how gradients are made from a sequence and when they are applied. The only loops over time.

All rules train the same networks. They differ in three visible places: where time is cut (`detached`), whether
weight gradients come from traces (`Context.trace`), and when the optimizer steps.

Shapes: B batch, C channels, H W image, K classes, T time steps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from ottt import names
from ottt.config.trial import TrialConfig
from ottt.functional.kernels import EAGER, Kernels
from ottt.loss import step_loss
from ottt.models.base import Network
from ottt.modules import Context, HandedOver, State, Trace
from ottt.names import RuleTraits
from ottt.plugins import claim


class Batch(NamedTuple):
    """What one mini-batch gave.

    Attributes:
        logits: [T,B,K], detached.
        losses: [T], detached; their sum is the loss of the batch.
    """

    logits: Tensor
    losses: Tensor


class Rule(Protocol):
    """An update rule."""

    def train_batch(
        self,
        net: Network,
        optimizer: Optimizer,
        inputs: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
        scaler: GradScaler | None = None,
    ) -> Batch:
        """All time steps of one mini-batch, and the update or updates.

        Args:
            net: in training mode.
            optimizer: of its parameters; the gradients of the last update stay in `p.grad`.
            inputs: [B,C,H,W], the same frame in every step, or [B,T,C,H,W].
            labels: [B] int64.
            generator: source of what is drawn once per sequence, on the inputs' device; None: torch's global one.
            scaler: of the loss, for fp16.
        """


@dataclass(frozen=True)
class Settings:
    """What all rules read.

    Attributes:
        time_steps: T.
        mse_weight: lambda of the loss.
        dtype: in which weighted layers compute; None: that of their parameters.
        kernels: how neurons run.
    """

    time_steps: int
    mse_weight: float
    dtype: torch.dtype | None = None
    kernels: Kernels = EAGER

    def context(self, *, trace: Trace | None = None, generator: torch.Generator | None) -> Context:
        """Of one mini-batch."""
        return Context(trace=trace, cut=True, dtype=self.dtype, generator=generator, kernels=self.kernels)


@dataclass(frozen=True)
class ForwardInTime:
    """OTTT (paper, section 4), SLTT and NDOT: a step's gradient is made in that step; memory is constant in T.

    Attributes:
        settings: see there.
        trace: "decay" OTTT; "ndot" NDOT; None SLTT, whose weight gradients come from the spikes alone.
        online: step the optimizer in every time step (OTTT_O) instead of once after the last (OTTT_A).
    """

    settings: Settings
    trace: Trace | None = "decay"
    online: bool = False

    def train_batch(
        self,
        net: Network,
        optimizer: Optimizer,
        inputs: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
        scaler: GradScaler | None = None,
    ) -> Batch:
        """See `Rule.train_batch`."""
        context = self.settings.context(trace=self.trace, generator=generator)
        outs, losses, state = [], [], None
        optimizer.zero_grad()
        for t in range(self.settings.time_steps):
            if self.online and t > 0:
                optimizer.zero_grad()
            out, state = net.step(encoded(net, inputs, t, context), state, context)
            loss = _loss(out, labels, self.settings)
            _backward(loss, scaler)
            state = detached(state)
            if self.online:
                _update(optimizer, context, scaler)
            outs.append(out.detach())
            losses.append(loss.detach())
        if not self.online:
            _update(optimizer, context, scaler)
        return Batch(torch.stack(outs), torch.stack(losses))


@dataclass(frozen=True)
class SomeStepsInTime:
    """SLTT-K: SLTT with a backward pass on `k` steps drawn per mini-batch, and no graph on the others.

    The loss keeps its factor 1/T, so that k = T is SLTT.
    """

    settings: Settings
    k: int

    def train_batch(
        self,
        net: Network,
        optimizer: Optimizer,
        inputs: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
        scaler: GradScaler | None = None,
    ) -> Batch:
        """See `Rule.train_batch`."""
        context = self.settings.context(generator=generator)
        outs, losses, state = [], [], None
        chosen = _draw_steps(self.settings.time_steps, self.k, generator)
        optimizer.zero_grad()
        for t in range(self.settings.time_steps):
            current = encoded(net, inputs, t, context)
            with torch.set_grad_enabled(t in chosen):
                out, state = net.step(current, state, context)
                loss = _loss(out, labels, self.settings)
            if t in chosen:
                _backward(loss, scaler)
            state = detached(state)
            outs.append(out.detach())
            losses.append(loss.detach())
        _update(optimizer, context, scaler)
        return Batch(torch.stack(outs), torch.stack(losses))


@dataclass(frozen=True)
class BackwardThroughTime:
    """BPTT with surrogate gradients, the membrane cut every `k` steps; the reset carries no gradient.

    BPTT proper has k = T: the true unrolled surrogate gradient. Memory grows with k.
    """

    settings: Settings
    k: int

    def train_batch(
        self,
        net: Network,
        optimizer: Optimizer,
        inputs: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
        scaler: GradScaler | None = None,
    ) -> Batch:
        """See `Rule.train_batch`."""
        context = self.settings.context(generator=generator)
        outs, losses, state = [], [], None
        optimizer.zero_grad()
        for start in range(0, self.settings.time_steps, self.k):
            stop = min(start + self.k, self.settings.time_steps)
            for t in range(start, stop):
                out, state = net.step(encoded(net, inputs, t, context), state, context)
                losses.append(_loss(out, labels, self.settings))
                outs.append(out)
            _backward(torch.stack(losses[start:stop]).sum(), scaler)
            state = detached(state)
        _update(optimizer, context, scaler)
        return Batch(torch.stack(outs).detach(), torch.stack(losses).detach())


def encoded(net: Network, inputs: Tensor, t: int, context: Context) -> Tensor:
    """Current of time step t into the first neurons; for a still image computed once per update."""
    if inputs.dim() == 4:
        return context.shared(net, lambda: net.encode(inputs, context))
    return net.encode(inputs[:, t], context)


def detached(state: State | None) -> HandedOver:
    """Cut time here: what follows has no gradient with respect to what came before.

    The next step takes the result over; see `HandedOver`.
    """
    return HandedOver(layer.detached() for layer in state or ())


def _loss(out: Tensor, labels: Tensor, settings: Settings) -> Tensor:
    return step_loss(out, labels, time_steps=settings.time_steps, mse_weight=settings.mse_weight)


def _backward(loss: Tensor, scaler: GradScaler | None) -> None:
    (loss if scaler is None else scaler.scale(loss)).backward()


def _update(optimizer: Optimizer, context: Context, scaler: GradScaler | None) -> None:
    context.push_back()
    if scaler is None:
        optimizer.step()
    else:
        scaler.step(optimizer)
        scaler.update()


def _draw_steps(time_steps: int, k: int, generator: torch.Generator | None) -> frozenset[int]:
    """`k` of the steps 0..T-1."""
    device = "cpu" if generator is None else generator.device
    return frozenset(torch.randperm(time_steps, generator=generator, device=device)[:k].tolist())


DTYPES: dict[str, torch.dtype | None] = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}

RuleBuilder = Callable[[Settings, TrialConfig], Rule]

RULES: dict[str, RuleBuilder] = {
    "ottt": lambda settings, config: ForwardInTime(settings, "decay", config.rule.update == "online"),
    "sltt": lambda settings, config: ForwardInTime(settings, None, config.rule.update == "online"),
    "ndot": lambda settings, config: ForwardInTime(settings, "ndot", config.rule.update == "online"),
    "sltt_k": lambda settings, config: SomeStepsInTime(settings, _k(config)),
    "bptt": lambda settings, config: BackwardThroughTime(settings, config.train_steps),
    "tbptt": lambda settings, config: BackwardThroughTime(settings, _k(config)),
}


def register_rule(name: str, build: RuleBuilder, *, traits: RuleTraits) -> None:
    """Add an update rule that `rule.name` can name.

    Args:
        name: of the rule.
        build: makes it from what all rules read and the configuration.
        traits: which settings it has.

    Raises:
        UserError: the name is taken.
    """
    claim("update rule", name, RULES)
    RULES[name] = build
    names.RULES[name] = traits


def build_rule(config: TrialConfig, *, kernels: Kernels = EAGER) -> Rule:
    """The update rule of `config`, with the neurons run by `kernels`."""
    settings = Settings(config.train_steps, config.loss.mse_weight, DTYPES[config.precision], kernels)
    return RULES[config.rule.name](settings, config)


def _k(config: TrialConfig) -> int:
    assert config.rule.k is not None, "TrialConfig requires k for this rule"
    return config.rule.k
