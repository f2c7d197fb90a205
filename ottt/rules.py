"""Update rules: how gradients are computed from a sequence and when they are applied. All training loops over time.

All rules train the same networks. They differ in three places: where the graph is cut in time (`detached`), whether
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
from ottt.functional.host_draws import Generators, draw_steps, each
from ottt.functional.kernels import EAGER, Kernels
from ottt.functional.precision import DTYPES
from ottt.loss import step_loss
from ottt.models.base import Network
from ottt.modules import ConsumableState, Context, State, Trace
from ottt.names import RuleTraits
from ottt.plugins import claim


class Batch(NamedTuple):
    """Outputs and losses of one mini-batch; of a fused network, see `ottt.models.fused`, with its n trials.

    Attributes:
        logits: [T,B,K] or [T,n,B,K], detached.
        losses: [T] or [T,n], detached; their sum over time steps is the loss of the batch.
    """

    logits: Tensor
    losses: Tensor


class Rule(Protocol):
    """What the trainer needs of an update rule."""

    def train_batch(
        self,
        net: Network,
        optimizer: Optimizer,
        inputs: Tensor,
        labels: Tensor,
        *,
        generator: Generators = None,
        scaler: GradScaler | None = None,
    ) -> Batch:
        """Run all time steps of one mini-batch and update the parameters, once or in every step.

        Args:
            net: network in training mode.
            optimizer: optimizer of its parameters; the gradients of the last update stay in `p.grad`.
            inputs: [B,C,H,W], the same frame in every step, or [B,T,C,H,W].
            labels: [B] int64.
            generator: generator of draws made once per sequence, on the inputs' device, or one for each trial of a
                fused network; None: torch's global one.
            scaler: loss scaler, for fp16.
        """


@dataclass(frozen=True)
class Settings:
    """Settings that every rule reads.

    Attributes:
        time_steps: T.
        mse_weight: lambda of the loss; of a fused network possibly one per trial, [n].
        dtype: precision in which weighted layers compute; None: that of their parameters.
        kernels: implementation of the neurons, plain or compiled.
    """

    time_steps: int
    mse_weight: float | Tensor
    dtype: torch.dtype | None = None
    kernels: Kernels = EAGER

    def context(self, *, trace: Trace | None = None, generator: Generators) -> Context:
        """The context of one mini-batch."""
        return Context(trace=trace, cut=True, dtype=self.dtype, generator=generator, kernels=self.kernels)


@dataclass(frozen=True)
class ForwardInTime:
    """OTTT (paper, section 4), SLTT and NDOT: each step computes its own gradient; memory is constant in T.

    Attributes:
        settings: settings of every rule.
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
        generator: Generators = None,
        scaler: GradScaler | None = None,
    ) -> Batch:
        """See `Rule.train_batch`."""
        context = self.settings.context(trace=self.trace, generator=generator)
        outs, losses, state = [], [], None
        _clear_gradients(optimizer)
        for t in range(self.settings.time_steps):
            if self.online and t > 0:
                _clear_gradients(optimizer)
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
    """SLTT-K: SLTT with a backward pass in `k` steps drawn per mini-batch, and no graph in the others.

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
        generator: Generators = None,
        scaler: GradScaler | None = None,
    ) -> Batch:
        """See `Rule.train_batch`."""
        context = self.settings.context(generator=generator)
        outs, losses, state = [], [], None
        drawn = [draw_steps(self.settings.time_steps, self.k, one) for one in each(generator)]
        _clear_gradients(optimizer)
        for t in range(self.settings.time_steps):
            current = encoded(net, inputs, t, context)
            chosen = [t in steps for steps in drawn]  # by trial
            with torch.set_grad_enabled(any(chosen)):
                out, state = net.step(current, state, context)
                loss = _loss(out, labels, self.settings)
            if any(chosen):
                _backward(loss if all(chosen) else loss * loss.new_tensor(chosen), scaler)
            state = detached(state)
            outs.append(out.detach())
            losses.append(loss.detach())
        _update(optimizer, context, scaler)
        return Batch(torch.stack(outs), torch.stack(losses))


@dataclass(frozen=True)
class BackwardThroughTime:
    """BPTT with surrogate gradients, truncated every `k` steps; the reset carries no gradient.

    k = T is full BPTT: the surrogate gradient of the unrolled network. Memory grows with k.
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
        generator: Generators = None,
        scaler: GradScaler | None = None,
    ) -> Batch:
        """See `Rule.train_batch`."""
        context = self.settings.context(generator=generator)
        outs, losses, state = [], [], None
        _clear_gradients(optimizer)
        for start in range(0, self.settings.time_steps, self.k):
            stop = min(start + self.k, self.settings.time_steps)
            for t in range(start, stop):
                out, state = net.step(encoded(net, inputs, t, context), state, context)
                losses.append(_loss(out, labels, self.settings))
                outs.append(out)
            _backward(torch.stack(losses[start:stop]).sum(0), scaler)
            state = detached(state)
        _update(optimizer, context, scaler)
        return Batch(torch.stack(outs).detach(), torch.stack(losses).detach())


def encoded(net: Network, inputs: Tensor, t: int, context: Context) -> Tensor:
    """Input current of the first neurons at time step t; computed once per update for a still image."""
    if inputs.dim() == 4:
        return context.shared(net, lambda: net.encode(inputs, context))
    return net.encode(inputs[:, t], context)


def detached(state: State | None) -> ConsumableState:
    """Cut the graph in time: later steps have no gradient with respect to earlier ones.

    The next step consumes the result; see `ConsumableState`.
    """
    return ConsumableState(layer.detached() for layer in state or ())


def _loss(out: Tensor, labels: Tensor, settings: Settings) -> Tensor:
    return step_loss(out, labels, time_steps=settings.time_steps, mse_weight=settings.mse_weight)


def _clear_gradients(optimizer: Optimizer) -> None:
    # `zero_grad` does the same, but its bookkeeping takes longer than a layer of neurons of a small network.
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


def _backward(loss: Tensor, scaler: GradScaler | None) -> None:
    scaled = loss if scaler is None else scaler.scale(loss)
    (scaled.sum() if scaled.dim() else scaled).backward()


def _update(optimizer: Optimizer, context: Context, scaler: GradScaler | None) -> None:
    context.push_back()
    if scaler is None:
        optimizer.step()
    else:
        scaler.step(optimizer)
        scaler.update()


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
        name: name of the rule.
        build: function that makes the rule from the settings of every rule and the configuration.
        traits: properties of the rule.

    Raises:
        UserError: the name is taken.
    """
    claim("update rule", name, RULES)
    RULES[name] = build
    names.RULES[name] = traits


def build_rule(config: TrialConfig, *, kernels: Kernels = EAGER, mse_weight: Tensor | None = None) -> Rule:
    """The update rule of `config`, with neurons that run on `kernels`.

    Args:
        config: configuration.
        kernels: implementation of the neurons.
        mse_weight: lambda of the loss of each trial of a fused network, [n]; None: that of `config`.
    """
    weight = config.loss.mse_weight if mse_weight is None else mse_weight
    settings = Settings(config.train_steps, weight, DTYPES[config.precision], kernels)
    return RULES[config.rule.name](settings, config)


def _k(config: TrialConfig) -> int:
    assert config.rule.k is not None, "TrialConfig requires k for this rule"
    return config.rule.k
