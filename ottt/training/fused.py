"""Trials that train as one network on one device, each with its own settings, data order, optimizer and checkpoint.

Shapes: n trials, B batch, T frames, C channels, H W image.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from ottt.config.fusable import differences
from ottt.errors import UserError
from ottt.functional.precision import float32_products
from ottt.models.fused import FusedNetwork, feeds_back
from ottt.rules import Batch, Rule, build_rule
from ottt.training.divergence import Diverged
from ottt.training.trainer import Fitted, Trainer

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
            members: trials whose settings differ in `ottt.config.fusable.FREE` alone.

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

    def _rule(self) -> Rule:
        first = self.members[0]
        weights = [one.config.at(one.epoch).loss.mse_weight for one in self.members]
        exact = next(first.net.parameters()).dtype
        differ = torch.tensor(weights, dtype=exact, device=first.device) if len(set(weights)) > 1 else None
        return build_rule(first.config.at(first.epoch), kernels=first.kernels, mse_weight=differ)

    def _fit(self) -> list[Fitted]:
        """Train all members on their samples once."""
        started, first = time.perf_counter(), self.members[0]
        losses_n = torch.zeros(len(self.members), device=first.device)
        correct_n = torch.zeros(len(self.members), device=first.device)
        for batch, labels_nB in self.train_batches():
            losses_n += batch.losses.sum(0) * labels_nB.shape[1]
            correct_n += (batch.logits.sum(0).argmax(-1) == labels_nB).sum(-1)
        count = len(first.train_set)
        losses, accuracies = (losses_n / count).tolist(), (correct_n / count).tolist()
        seconds = time.perf_counter() - started
        return [Fitted(loss, top1, seconds) for loss, top1 in zip(losses, accuracies, strict=True)]

    def train_batches(self) -> Iterator[tuple[Batch, Tensor]]:
        """Train a batch of every member, and the next, to the end of their samples; yields it with its labels [n,B]."""
        self._net.train()
        first, rule = self.members[0], self._rule()
        generator = tuple(one.masks for one in self.members)
        for inputs, labels_nB in self._batches():
            with float32_products(first.config.precision):
                batch = rule.train_batch(
                    self._net,
                    cast(Optimizer, self._optimizer),
                    inputs,
                    labels_nB,
                    generator=generator,
                    scaler=cast(GradScaler | None, self._scaler),
                )
            yield batch, labels_nB

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
