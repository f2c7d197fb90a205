"""Whether trials train faster as one network than one after the other: a few batches of copies that are thrown away."""

import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from copy import copy, deepcopy
from dataclasses import dataclass
from itertools import islice, pairwise
from statistics import median

import torch
from torch.amp.grad_scaler import GradScaler

from ottt.training.fused import FusedTrainer
from ottt.training.optim import build_optimizer
from ottt.training.sums import Sums
from ottt.training.trainer import Trainer

WARM_UP = 3  # batches that do not count, where others do: kernels are chosen and compiled in them
BATCHES = 7  # that count
WORTH = 1.05  # a batch of each alone must take so many times as long


@dataclass(frozen=True)
class BatchTimes:
    """Seconds of one batch of every trial.

    Attributes:
        fused: as one network.
        alone: one trial after the other.
    """

    fused: float
    alone: float

    @property
    def is_fused_faster(self) -> bool:
        """Whether fusing is worth it."""
        return self.alone > WORTH * self.fused


def measure(members: Sequence[Trainer]) -> BatchTimes:
    """Measure trials that can be fused; they stay as they are.

    Raises:
        UserError: they cannot be fused.
        torch.OutOfMemoryError: together they do not fit on the device.
    """
    device, graph = members[0].device, members[0].graph
    skipped = WARM_UP if graph is None else max(WARM_UP, graph.before_replay)
    alone = _seconds(_one_by_one([_throwaway(one) for one in members]), device, skipped)
    fused = _seconds(FusedTrainer([_throwaway(one) for one in members]).train_batches(), device, skipped)
    if device.type == "cuda":  # what the copies took says nothing about the trials
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    return BatchTimes(fused, alone)


def _one_by_one(members: Sequence[Trainer]) -> Generator[None]:
    """Train a batch of each, and the next."""
    for one in members:
        one.net.train()
    each = [
        one.train_set.training_batches(one.config.batch_size, order=one.order, augmentation=one.augmentation)
        for one in members
    ]
    with ExitStack() as passes:
        trains = [passes.enter_context(one.training_pass()) for one in members]
        for batches in zip(*each, strict=True):
            for train_batch, (inputs, labels) in zip(trains, batches, strict=True):
                train_batch(inputs, labels)
            yield


def _seconds(batches: Generator[None], device: torch.device, skipped: int) -> float:
    """Median time of a batch after the `skipped` ones."""
    times = [_now(device)]
    with closing(batches):
        times += [_now(device) for _ in islice(batches, skipped + BATCHES)]
    taken = [after - before for before, after in pairwise(times)]
    return median(taken[skipped:] or taken[-1:])


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _throwaway(member: Trainer) -> Trainer:
    """A trainer on the same samples whose training leaves the member as it is."""
    made = copy(member)
    made.net = deepcopy(member.net)
    made.optimizer = build_optimizer(made.net.parameters(), member.config.optim)
    made.scaler = None if member.scaler is None else GradScaler(member.device.type)
    made.order, made.masks, made.augmentation = (
        one.clone_state() for one in (member.order, member.masks, member.augmentation)
    )
    made.sums, made.graph = Sums(None, member.device), None
    if member.graph is not None:
        made.graph = made.new_graph()
    return made
