"""Trials that train as one network on one device, each with its own settings, data order, optimizer and checkpoint.

Shapes: n trials, B batch, T frames, C channels, H W image.
"""

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from ottt.config.fusable import differences
from ottt.config.trial import TrialConfig
from ottt.errors import UserError
from ottt.functional.precision import float32_products
from ottt.models.fused import FusedNetwork, feeds_back
from ottt.rules import Rule, build_rule
from ottt.training.batch_graph import BatchGraph, passing
from ottt.training.divergence import Diverged
from ottt.training.sums import Fitted, Sums
from ottt.training.trainer import Trainer

Outcome = dict[str, float] | Diverged


class FusedTrainer:
    """Trials in training: call `train_epoch` until `done`.

    Between epochs every member is a trainer like any other: it can be saved, evaluated, and left out with `leave`. Its
    numbers are those that it would have alone, up to the order in which floating point sums are taken.

    Attributes:
        members: the trials that still train.
    """

    def __init__(self, members: Sequence[Trainer]) -> None:
        """Fuse trials on one device.

        Args:
            members: trials whose settings differ in `ottt.config.fusable.FREE` alone, with the states that they are to
                go on from.

        Raises:
            UserError: they cannot be fused; one line per reason.
        """
        problems = differences([one.config for one in members])
        if members[0].config.rule.name == "sltt_k" and feeds_back(members[0].net):
            # A trial that chose the first step alone has no gradient of the feedback; fused, it would have one of zero.
            problems.append("rule.name=sltt_k cannot be fused with networks that feed back")
        if problems:
            raise UserError(*problems)
        self.members = list(members)
        self._fuse()

    @property
    def done(self) -> bool:
        """Whether no member has an epoch left."""
        return not self.members

    def train_epoch(self) -> list[tuple[Trainer, Outcome]]:
        """Train an epoch of every member and evaluate it.

        Returns:
            Each member with the metrics of its epoch, see `Trainer.train_epoch`, or how it diverged. Members that
            diverged or have trained all their epochs are no longer among `members`.
        """
        for one in self.members:
            one.begin_epoch()
        found = [(one, _ended(one, fitted)) for one, fitted in zip(self.members, self._fit(), strict=True)]
        left = [one for one, outcome in found if not (one.done or isinstance(outcome, Diverged))]
        if len(left) < len(self.members):
            self.members = left
            self._fuse()
        return found

    def leave(self, member: Trainer) -> None:
        """Train without this member from now on."""
        self.members.remove(member)
        self._fuse()

    def _fuse(self) -> None:
        if not self.members:
            return
        self._net = FusedNetwork([one.net for one in self.members])
        self._optimizer = _Optimizers(tuple(one.optimizer for one in self.members))
        self._scaler = _scalers(self.members)
        first = self.members[0]
        self._sums = Sums(len(self.members), first.device)
        self._graph = None
        if all(one.graph is not None for one in self.members):
            self._graph = BatchGraph(
                first.config.batch_size,
                optimizers=[one.optimizer for one in self.members],
                generators=[one.masks for one in self.members],
                changed=[*(value for one in self.members for value in one.net.buffers()), *self._sums.tensors],
                device=first.device,
            )
        self._settings: list[TrialConfig] = []

    def _update_rule(self) -> None:
        """Make the rule anew if a setting of a member has changed: a graph reads the tensors of the one it captured."""
        settings = [one.config.at(one.epoch) for one in self.members]
        if settings != self._settings:
            self._settings, self._rule = settings, self._new_rule()
            if self._graph is not None:
                self._graph.reset()

    def _new_rule(self) -> Rule:
        first = self.members[0]
        weights = [one.config.at(one.epoch).loss.mse_weight for one in self.members]
        exact = next(first.net.parameters()).dtype
        differ = torch.tensor(weights, dtype=exact, device=first.device) if len(set(weights)) > 1 else None
        return build_rule(first.config.at(first.epoch), kernels=first.kernels, mse_weight=differ)

    def _fit(self) -> list[Fitted]:
        """Train all members on their samples once."""
        started = time.perf_counter()
        for _ in self.train_batches():
            pass
        return self._sums.fitted(len(self.members[0].train_set), started)

    def train_batches(self) -> Generator[None]:
        """Train a batch of every member, and the next, to the end of their samples."""
        self._net.train()
        self._update_rule()
        self._sums.clear()
        with passing(self._graph, self._count_batch) as train_batch:
            for inputs, labels_nB in self._batches():
                train_batch(inputs, labels_nB)
                yield

    def _count_batch(self, inputs: Tensor, labels_nB: Tensor) -> None:
        with float32_products(self.members[0].config.precision):
            batch = self._rule.train_batch(
                self._net,
                cast(Optimizer, self._optimizer),
                inputs,
                labels_nB,
                generator=tuple(one.masks for one in self.members),
                scaler=cast(GradScaler | None, self._scaler),
            )
        self._sums.add(batch, labels_nB)

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of all members: inputs [B,nC,H,W] or [B,T,nC,H,W], labels [n,B]."""
        each = [
            one.train_set.training_batches(one.config.batch_size, order=one.order, augmentation=one.augmentation)
            for one in self.members
        ]
        for batches in zip(*each, strict=True):
            inputs, labels = zip(*batches, strict=True)
            yield torch.cat(inputs, -3), torch.stack(labels)


@dataclass(frozen=True)
class _Optimizers:
    """The optimizers of the trials, for a rule that knows one."""

    members: tuple[Optimizer, ...]

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """See `Optimizer.param_groups`."""
        return [group for one in self.members for group in one.param_groups]

    def step(self) -> None:
        """See `Optimizer.step`."""
        for one in self.members:
            one.step()


@dataclass(frozen=True)
class _Scalers:
    """The loss scalers of the trials, for a rule that knows one."""

    members: tuple[GradScaler, ...]

    def scale(self, losses_n: Tensor) -> Tensor:
        """See `GradScaler.scale`."""
        return torch.stack([one.scale(loss) for one, loss in zip(self.members, losses_n.unbind(), strict=True)])

    def step(self, optimizers: _Optimizers) -> None:
        """See `GradScaler.step`."""
        for one, optimizer in zip(self.members, optimizers.members, strict=True):
            one.step(optimizer)

    def update(self) -> None:
        """See `GradScaler.update`."""
        for one in self.members:
            one.update()


def _scalers(members: Sequence[Trainer]) -> _Scalers | None:
    found = tuple(one.scaler for one in members if one.scaler is not None)
    return _Scalers(found) if found else None


def _ended(member: Trainer, fitted: Fitted) -> Outcome:
    try:
        return member.end_epoch(fitted)
    except Diverged as error:
        return error
