"""Construction of optimizers and learning-rate schedules, and their changes during training."""

import inspect
from collections.abc import Callable, Iterable
from functools import cache

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, StepLR

from ottt.config.groups import OptimConfig
from ottt.config.trial import TrialConfig

_WRAPPED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")  # besides `step`, which must keep no graph


def build_optimizer(parameters: Iterable[nn.Parameter], config: OptimConfig) -> Optimizer:
    """The optimizer of `config` over `parameters`."""
    match config.name:
        case "sgd":
            return _plain(SGD)(
                parameters, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay, foreach=True
            )
        case "adam":
            return _plain(Adam)(parameters, lr=config.lr, weight_decay=config.weight_decay, foreach=True)
        case "adamw":
            return _plain(AdamW)(parameters, lr=config.lr, weight_decay=config.weight_decay, foreach=True)


@cache
def _plain(kind: type[Optimizer]) -> Callable[..., Optimizer]:
    """The optimizer with its methods as they are written: what torch wraps around them imports its compiler.

    That takes every process 1.5 s of processor time. The wrappers matter to `torch.compile` alone, which no optimizer
    here passes through.
    """
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in _WRAPPED}
    return type(kind.__name__, (kind,), {**methods, "step": torch.no_grad()(inspect.unwrap(kind.step))})


def build_schedule(optimizer: Optimizer, config: TrialConfig) -> LRScheduler:
    """The schedule of `config`, to be stepped after every epoch."""
    match config.schedule.name:
        case "cosine":
            return CosineAnnealingLR(optimizer, T_max=config.epochs)
        case "step":
            return StepLR(optimizer, config.schedule.step_epochs, config.schedule.gamma)
        case "constant":
            return ConstantLR(optimizer, factor=1.0)


def change_optimizer(optimizer: Optimizer, schedule: LRScheduler, *, before: OptimConfig, now: OptimConfig) -> None:
    """Change the optimizer's settings; the learning rate keeps its place in the schedule, which is a factor of it."""
    for group in optimizer.param_groups:
        group["lr"] *= now.lr / before.lr
        group["initial_lr"] = now.lr
        group["weight_decay"] = now.weight_decay
        if "momentum" in group:
            group["momentum"] = now.momentum
    schedule.base_lrs = [now.lr] * len(schedule.base_lrs)
