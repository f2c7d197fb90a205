"""Trains the trials of a worker, epoch by epoch: one alone, several as one network.

A trial that diverges, finishes or raises leaves the others as they are. What ends the network of several is no end of
any of them: they are given back, and each is tried alone.
"""

import traceback
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

from experiments.sweep_spec.run_settings import Share
from experiments.worker.member import Member
from experiments.worker.process import ending_of
from experiments.worker.step_report import StepReport, reason_of, storable
from experiments.worker.usage import Usage
from ottt.config.fusable import fixed_settings
from ottt.schema import Status

if TYPE_CHECKING:
    from ottt.training.fused import FusedTrainer
    from ottt.training.fused_speed import BatchTimes
    from ottt.training.trainer import Trainer

Reports = list[tuple[str, StepReport]]  # by trial

# Kinds of device on which it is measured whether one network is faster; on a CPU it never is by more than a tenth.
MEASURED_ON = frozenset({"cuda"})

# What was measured in this process, by the settings that trials share and their number.
_measured: dict[tuple[Hashable, int], "BatchTimes"] = {}


class NotFaster(Exception):
    """As one network the trials train no faster than one after the other."""


class Group:
    """The trials that a worker trains together.

    Args:
        share: their share of the machine.
        measures: whether several train as one network only if that is measured to be faster.
    """

    def __init__(self, share: Share, *, measures: bool) -> None:
        self._share = share
        self._measures = measures
        self._fused: FusedTrainer | None = None

    def step(self, members: Sequence[Member], *, is_leaving: Callable[[], bool]) -> Reports:
        """Train the next epoch of all that are at the least advanced epoch, and write their checkpoints before it.

        Args:
            members: the trials that are left, at least one.
            is_leaving: whether this machine is about to go.
        """
        try:
            return self._step(members, is_leaving)
        except BaseException as error:  # SystemExit, too: it would end the worker, and the trial be tried again
            if len(members) == 1:
                return [(members[0].trial, members[0].failed(error))]
            return _given_back(members, error)

    def _step(self, members: Sequence[Member], is_leaving: Callable[[], bool]) -> Reports:
        reports, warnings = _load(members)
        left = [one for one in members if one.trial not in dict(reports)]
        least = min((_trainer(one).epoch for one in left if not _trainer(one).done), default=None)
        now = [one for one in left if _trainer(one).epoch == least]
        for one in left:  # complete already, or ahead of the others: a checkpoint held more than theirs
            warning = warnings.get(one.trial)
            if one not in now and (_trainer(one).done or warning is not None):
                reports.append((one.trial, one.advanced(warning=warning)))
        goes = any(one.trial not in warnings for one in now) and is_leaving()
        for one in now:
            if one.trial not in warnings:
                warnings[one.trial] = one.save_if_due(is_leaving=goes)
        if len(now) == 1 and len(members) > 1:
            return [*reports, self._apart(now[0], warnings)]
        return [*reports, *self._train(now, warnings)]

    def _apart(self, one: Member, warnings: dict[str, str | None]) -> tuple[str, StepReport]:
        """Train the one that is behind the others; an error is its own, unless they took the memory."""
        try:
            [report] = self._train([one], warnings)
            return report
        except BaseException as error:
            return _own_failure(one, error)

    def _train(self, now: Sequence[Member], warnings: dict[str, str | None]) -> Reports:
        usage, count = Usage(self._share), len(now)
        outcomes = self._outcomes([_trainer(one) for one in now])
        used = usage.metrics()
        return [
            (
                one.trial,
                one.advanced(outcome | used, warning=warnings[one.trial], fused=count)
                if isinstance(outcome, dict)
                else one.failed(outcome, fused=count),
            )
            for one, outcome in zip(now, outcomes, strict=True)
        ]

    def _outcomes(self, trainers: "list[Trainer]") -> list[dict[str, float] | Exception]:
        """Metrics of the next epoch of each, or how it diverged."""
        if len(trainers) < 2:
            return [one.train_epoch() for one in trainers]
        from ottt.training.fused import FusedTrainer

        if self._fused is None or self._fused.members != trainers:
            self._expect_faster(trainers)
            self._fused = FusedTrainer(trainers)
        return [outcome for _, outcome in self._fused.train_epoch()]

    def _expect_faster(self, trainers: "Sequence[Trainer]") -> None:
        """Measure once whether the network is worth it.

        Raises:
            NotFaster: it is not.
        """
        from ottt.training.fused_speed import measure

        if not self._measures or self._fused is not None:
            return
        if trainers[0].device.type not in MEASURED_ON:
            raise NotFaster("the share has a GPU, but the trials train on the CPU")
        key = fixed_settings(trainers[0].config), len(trainers)
        if key not in _measured:
            _measured[key] = measure(trainers)
        times = _measured[key]
        if not times.is_fused_faster:
            raise NotFaster(f"a batch of each takes {times.fused:.3g} s fused, {times.alone:.3g} s one by one")


def _trainer(one: Member) -> "Trainer":
    assert one.trainer is not None
    return one.trainer


def _load(members: Sequence[Member]) -> tuple[Reports, dict[str, str | None]]:
    """Make the trainers that are missing; returns how trials ended in this, and the warnings of the others."""
    failed: Reports = []
    warnings: dict[str, str | None] = {}
    for one in members:
        if one.trainer is not None:
            continue
        try:
            warnings[one.trial] = one.load()
        except BaseException as error:
            if len(members) == 1:
                raise
            failed.append(_own_failure(one, error))
    loaded = [one for one in members if one.trial in warnings]
    least = min((_trainer(one).epoch for one in loaded), default=0)
    for one in loaded:
        if _trainer(one).epoch > least:
            one.go_back(least)
    return failed, warnings


def _own_failure(one: Member, error: BaseException) -> tuple[str, StepReport]:
    """How an error ends one of several trials; memory is theirs together, so that its lack is raised again."""
    if ending_of(error).status is Status.OUT_OF_MEMORY:
        raise error
    return one.trial, one.failed(error)


def _given_back(members: Sequence[Member], error: BaseException) -> Reports:
    """Reports that let each be tried alone, with one reason."""
    why = str(error) if isinstance(error, NotFaster) else reason_of(error)
    reason = f"{len(members)} trials train one by one and not as one network: {why}"
    trace = None if isinstance(error, NotFaster) else storable(traceback.format_exc())
    return [
        (one.trial, one.given_back(reason, trace) if number == 0 else one.given_back(None, None))
        for number, one in enumerate(members)
    ]
