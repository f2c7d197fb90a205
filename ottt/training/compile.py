"""The choice between plain and compiled kernels for a trial."""

import torch

from ottt.config.trial import TrialConfig
from ottt.data.samples import Samples
from ottt.functional.kernels import EAGER, Kernels, compiled
from ottt.models.base import Network

# Seconds that compiled kernels save per neuron, sample and time step trained, by kind of device; elsewhere nothing.
SAVED_S = {
    # Measured on two cores: benchmarks/train_step.py.
    "cpu": 4.6e-9,
    # Not measured: a bound from below. The sigmoid's plain kernels read and write 32 bytes in `fire` and 72 in
    # `spike_gradient` where one pass does 16 and 16; 8 TB/s is the memory of the fastest GPU of 2025, a B200. Launches
    # that are saved come on top; where they take most of the time, a graph saves them too (`cuda_graph`).
    "cuda": (32 - 16 + 72 - 16) / 8e12,
}
# Seconds of compiling at worst, once per process, measured on two cores and taken for any host; less with a warm cache.
COST_S = 60.0


def choose_kernels(config: TrialConfig, net: Network, samples: Samples, device: torch.device) -> Kernels:
    """The compiled kernels if the configuration asks for them, or ("auto") if they save more time than they cost.

    Args:
        config: configuration of the trial.
        net: its network, on `device`.
        samples: its training samples.
        device: its device.
    """
    if config.compile == "auto":
        return compiled(device) if seconds_saved(config, net, samples, device) > COST_S else EAGER
    return compiled(device) if config.compile else EAGER


def seconds_saved(config: TrialConfig, net: Network, samples: Samples, device: torch.device) -> float:
    """Seconds that compiled kernels save in the whole trial; see SAVED_S. Arguments: as of `choose_kernels`."""
    trained: int = _neuron_count(config, net) * config.train_steps * len(samples) * config.epochs
    return SAVED_S.get(device.type, 0.0) * trained


@torch.no_grad()
def _neuron_count(config: TrialConfig, net: Network) -> int:
    """Number of neurons in `net`, from an empty frame; evaluation mode leaves statistics and random states alone."""
    info, like = config.data.samples, next(net.parameters())
    training = net.training
    net.eval()
    _, state = net(like.new_zeros(1, info.channels, info.height, info.width))
    net.train(training)
    return sum(layer.u.numel() for layer in state)
