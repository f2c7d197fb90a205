"""Synaptic operations and an energy estimate.

A spike that arrives at a weighted layer costs one accumulation (AC) per connection; a real-valued input costs one
multiplication and accumulation (MAC). With m the connections of a layer per sample, z its mean input spike count per
neuron and time step (the mean is unchanged by average pooling), and T time steps:

    ACs  = sum over spiking layers of m z T
    MACs = sum over layers with real-valued input of m times the number of their evaluations
    E    = ACs E_AC + MACs E_MAC

Energies are those of 32-bit floating point arithmetic in a 45 nm process at 0.9 V: addition 0.9 pJ, multiplication
3.7 pJ (Horowitz, ISSCC 2014, figure 1.1.9). Memory traffic is not counted. The estimate compares networks, not chips.
"""

from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from ottt.functional.kernels import state_dtype
from ottt.modules import Spikes, Synapse

PJ_PER_AC = 0.9
PJ_PER_MAC = 4.6


class OperationMeter:
    """Context manager that counts the operations of a network's weighted layers.

    Attributes:
        synops: accumulations caused by spikes, summed over samples; a float64 scalar on the network's device.
        macs: multiplications and accumulations caused by real-valued inputs, summed over samples.
    """

    def __init__(self, net: nn.Module) -> None:
        self._layers = [layer for layer in net.modules() if isinstance(layer, Synapse)]
        self._handles: list[Any] = []
        device = next(net.parameters()).device
        self.synops = torch.zeros((), dtype=torch.float64, device=device)
        self.macs = 0

    def __enter__(self) -> Self:
        self._handles = [layer.register_forward_hook(self._count) for layer in self._layers]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def _count(self, layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        assert isinstance(layer, Synapse)
        connections = output.numel() * layer.weight[0].numel()  # of the whole batch
        if isinstance(inputs[0], Spikes):
            self.synops += connections * (spike_count(inputs[0].s) / inputs[0].s.numel())
        else:
            self.macs += connections


def spike_count(s: Tensor) -> Tensor:
    """Sum of spikes [B,C,H,W] or [B,N], a float64 scalar, without a float64 copy of every image.

    An image is summed in float32 at least, which is exact up to 2^24 spikes, and up to 2^22 after 2x2 pooling.
    """
    per_image = s.sum((2, 3), dtype=state_dtype(s)) if s.dim() == 4 else s
    return per_image.sum(dtype=torch.float64)


def energy_nj(synops: float, macs: float) -> float:
    """Energy estimate in nanojoules; see the module's docstring for the formula and its source."""
    return (synops * PJ_PER_AC + macs * PJ_PER_MAC) / 1000
