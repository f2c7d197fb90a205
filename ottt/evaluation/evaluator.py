"""Evaluation of a network: accuracy, loss, firing rates and operations, without traces and gradients.

Shapes: B batch, C channels, H W image, K classes, L layers of neurons, T time steps.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ottt.config.trial import TrialConfig
from ottt.evalreport import EvalReport
from ottt.evaluation.energy import OperationMeter, energy_nj, spike_count
from ottt.functional.kernels import EAGER, Kernels
from ottt.functional.precision import DTYPES, float32_products
from ottt.loss import step_loss
from ottt.models.base import Network
from ottt.modules import Context, State


@dataclass
class _Sums:
    """Sums over samples, as tensors on the device, read once at the end."""

    loss: Tensor  # []
    correct: Tensor  # [S]: correct predictions after each time step, S the longest sequence
    top5: Tensor  # []
    spikes: Tensor  # [L]: per time step
    confusion: Tensor  # [K,K]


@torch.no_grad()
def evaluate(
    net: Network, batches: Iterable[tuple[Tensor, Tensor]], config: TrialConfig, *, kernels: Kernels = EAGER
) -> EvalReport:
    """Evaluate `net` on labelled samples; the prediction is the argmax of the summed logits.

    Each sequence runs once, for the longest of `config.T` and `config.T_eval`. The network's mode is restored.

    Args:
        net: network in any mode.
        batches: inputs [B,C,H,W] (a still image) or [B,S,C,H,W], and labels [B].
        config: configuration; only T, T_eval, loss and precision are read.
        kernels: implementation of the neurons, plain or compiled.

    Raises:
        ValueError: `batches` is empty.
    """
    training = net.training
    net.eval()
    context = Context(dtype=DTYPES[config.precision], kernels=kernels)
    meter = OperationMeter(net)
    samples, neurons, sums = 0, torch.zeros(0), None
    for inputs, labels in batches:
        with float32_products(config.precision):
            neurons, added = _one_batch(net, inputs, labels, config, context, meter)
        sums = added if sums is None else _Sums(*(a + b for a, b in zip(_parts(sums), _parts(added), strict=True)))
        samples += len(labels)
    net.train(training)
    if sums is None:
        raise ValueError("there must be samples to evaluate, got none")
    return _report(net, sums, samples, neurons, config, meter)


def _one_batch(
    net: Network, inputs: Tensor, labels: Tensor, config: TrialConfig, context: Context, meter: OperationMeter
) -> tuple[Tensor, _Sums]:
    """Neurons per layer [L], and the sums over one batch."""
    outs, losses, spikes = [], [], []
    state: State | None = None
    with meter:
        still = net.encode(inputs, context) if inputs.dim() == 4 else None
        for t in range(config.T):
            out, state = net.step(net.encode(inputs[:, t], context) if still is None else still, state, context)
            outs.append(out)
            losses.append(step_loss(out, labels, time_steps=config.T, mse_weight=config.loss.mse_weight))
            spikes.append(torch.stack([spike_count(layer.s) for layer in state]))
    assert state is not None
    neurons_L = torch.tensor([layer.s[0].numel() for layer in state], dtype=torch.float64)
    for t in range(config.T, max((config.T, *config.T_eval))):
        out, state = net.step(net.encode(inputs[:, t], context) if still is None else still, state, context)
        outs.append(out)
    total_SBK = torch.stack(outs).double().cumsum(0)
    final_BK = total_SBK[config.T - 1]
    classes = final_BK.shape[1]
    pairs = labels * classes + final_BK.argmax(1)
    return neurons_L, _Sums(
        loss=torch.stack(losses).double().sum() * len(labels),
        correct=(total_SBK.argmax(2) == labels).sum(1),
        top5=(final_BK.topk(min(5, classes)).indices == labels[:, None]).sum(),
        spikes=torch.stack(spikes).sum(0) / config.T,
        confusion=pairs.new_zeros(classes**2).scatter_add_(0, pairs, torch.ones_like(pairs)).view(classes, classes),
    )


def _report(
    net: Network, sums: _Sums, samples: int, neurons_L: Tensor, config: TrialConfig, meter: OperationMeter
) -> EvalReport:
    top1 = (sums.correct.double() / samples).tolist()
    spikes_L = sums.spikes.cpu() / samples
    synops, macs = meter.synops.item() / samples, meter.macs / samples
    return EvalReport(
        samples=samples,
        time_steps=config.T,
        loss=sums.loss.item() / samples,
        top1=top1[config.T - 1],
        top5=sums.top5.item() / samples,
        top1_at={t: top1[t - 1] for t in sorted({config.T, *config.T_eval})},
        layers=tuple(name for name, _ in net.neurons),
        rates=tuple((spikes_L / neurons_L).tolist()),
        total_rate=(spikes_L.sum() / neurons_L.sum()).item(),
        synops=synops,
        macs=macs,
        energy_nj=energy_nj(synops, macs),
        confusion=tuple(tuple(row) for row in sums.confusion.tolist()),
    )


def _parts(sums: _Sums) -> tuple[Tensor, ...]:
    return sums.loss, sums.correct, sums.top5, sums.spikes, sums.confusion
