"""The choice between plain and compiled kernels for a trial."""

import torch

from ottt.config.trial import TrialConfig
from ottt.data.samples import Samples
from ottt.functional.kernels import EAGER, Kernels, compiled
from ottt.models.base import Network

SAVED_S = 4.6e-9  # seconds per neuron, sample and time step trained, on two cores: benchmarks/train_step.py
COST_S = 60.0  # seconds of compiling at worst, once per process; less if the compiler's cache is warm


def choose_kernels(config: TrialConfig, net: Network, samples: Samples, device: torch.device) -> Kernels:
    """The compiled kernels if the configuration asks for them, or ("auto") if they save more time than they cost.

    Args:
        config: configuration of the trial.
        net: its network, on `device`.
        samples: its training samples.
        device: its device.
    """
    if config.compile == "auto":
        return compiled(device) if _seconds_saved(config, net, samples) > COST_S else EAGER
    return compiled(device) if config.compile else EAGER


def _seconds_saved(config: TrialConfig, net: Network, samples: Samples) -> float:
    """Seconds that compiled kernels save in the whole trial, estimated for two cores whatever the device."""
    trained: int = _neuron_count(config, net) * config.train_steps * len(samples) * config.epochs
    return SAVED_S * trained


@torch.no_grad()
def _neuron_count(config: TrialConfig, net: Network) -> int:
    """Number of neurons in `net`, from an empty frame; evaluation mode leaves statistics and random states alone."""
    info, like = config.data.samples, next(net.parameters())
    training = net.training
    net.eval()
    _, state = net(like.new_zeros(1, info.channels, info.height, info.width))
    net.train(training)
    return sum(layer.u.numel() for layer in state)
