"""A trial in the process that trains it, alone or as one of several: its trainer, its checkpoints, its reports."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiments.results.trial_records import Epoch, TrialRecords
from experiments.sweep_spec.run_settings import Checkpoints
from experiments.worker.process import ending_of
from experiments.worker.step_report import FailureKind, StepReport
from ottt.config.trial import TrialConfig
from ottt.errors import UserError, first_line
from ottt.schema import Status

if TYPE_CHECKING:
    from ottt.training.trainer import Trainer


@dataclass(frozen=True)
class Assignment:
    """A trial as a worker is given it.

    Attributes:
        trial: hash of the trial.
        config: JSON of its settings.
        until: number of epochs after which it pauses; None: it trains to its end.
    """

    trial: str
    config: str
    until: int | None = None


class Member:
    """A trial that a worker trains.

    Attributes:
        trial: hash of the trial.
        trainer: its trainer; None before `load`.

    Args:
        given: what the worker was given.
        records: records of all trials.
        checkpoints: when to write checkpoints.
    """

    def __init__(self, given: Assignment, records: TrialRecords, checkpoints: Checkpoints) -> None:
        self.trial = given.trial
        self.trainer: Trainer | None = None
        self._config = TrialConfig.model_validate_json(given.config)
        self._until = given.until
        self._records = records
        self._checkpoints = checkpoints
        self._written = time.monotonic()

    @property
    def pauses(self) -> bool:
        """Whether it has trained as far as it is to train now."""
        return self.trainer is not None and self._until is not None and self.trainer.epoch >= self._until

    @property
    def is_stopped(self) -> bool:
        """Whether the driver has recorded that a scheduler ended the trial."""
        record = self._records.read(self.trial)
        return record is not None and record.status is Status.STOPPED_EARLY

    def load(self) -> str | None:
        """Make the trainer, from the newest checkpoint whose epochs are all recorded, or from nothing.

        Returns:
            Which checkpoints cannot be used, in one line: an older one gives the same numbers.
        """
        from ottt.training.checkpoint import NEWEST, PREVIOUS
        from ottt.training.trainer import Trainer

        folder = self._records.checkpoint(self.trial)
        problems: list[str] = []
        for path in (folder / NEWEST, folder / PREVIOUS):
            if not path.is_file():
                continue
            trainer = Trainer(self._config)
            try:
                trainer.load(path)
            except UserError as error:
                problems += error.problems
                continue
            if trainer.epoch <= len(self._records.epochs(self.trial)):
                break
        else:
            trainer = Trainer(self._config)
        self.trainer = trainer
        return f"{'; '.join(problems)}; continues after epoch {trainer.epoch}" if problems else None

    def go_back(self, epoch: int) -> None:
        """Continue after that many epochs, if the checkpoint before the newest is of them; it gives the same numbers.

        So trials whose worker was killed while it wrote their checkpoints train as one network again at once.
        """
        from ottt.training.checkpoint import PREVIOUS
        from ottt.training.trainer import Trainer

        path = self._records.checkpoint(self.trial) / PREVIOUS
        if not path.is_file():
            return
        trainer = Trainer(self._config)
        with suppress(UserError):  # it is damaged: the newest one stays
            trainer.load(path)
            if trainer.epoch == epoch:
                self.trainer = trainer

    def save_if_due(self, *, is_leaving: bool) -> str | None:
        """Write a checkpoint if it is time for one, or if this machine `is_leaving`; see `_save`."""
        assert self.trainer is not None
        has_waited = time.monotonic() - self._written >= self._checkpoints.seconds
        is_due = has_waited and self.trainer.epoch % self._checkpoints.epochs == 0
        return self._save() if is_due or is_leaving else None

    def _save(self) -> str | None:
        """Write a checkpoint; returns why it failed: the trial continues, and the last checkpoint stays."""
        assert self.trainer is not None
        self._written = time.monotonic()
        try:
            self.trainer.save(self._records.checkpoint(self.trial))
        except OSError as error:
            return f"no checkpoint after epoch {self.trainer.epoch}: {first_line(error)}"
        return None

    def interrupted(self) -> StepReport:
        """The trial ends before its next epoch, with a checkpoint."""
        try:
            return self._report(Status.INTERRUPTED, warning=None if self.trainer is None else self._save())
        except Exception as error:
            return self.failed(error)

    def advanced(
        self, metrics: Mapping[str, float] | None = None, *, warning: str | None = None, fused: int = 1
    ) -> StepReport:
        """The trial has trained an epoch with `metrics`, or none, as one network of `fused` trials."""
        assert self.trainer is not None
        epoch = None if metrics is None else Epoch(self.trainer.epoch, time.time(), metrics)
        if not self.trainer.done:
            return self._report(Status.RUNNING, epoch=epoch, warning=warning, fused=fused)
        if self._checkpoints.keep:
            warning = self._save() or warning
        return self._report(Status.FINISHED, epoch=epoch, warning=warning, fused=fused)

    def failed(self, error: BaseException, *, fused: int = 1) -> StepReport:
        """The trial raised an error, which is being handled, or diverged."""
        ending = ending_of(error)
        return self._report(
            ending.status, reason=ending.reason, trace=ending.traceback, failure=ending.failure, fused=fused
        )

    def given_back(self, reason: str | None, trace: str | None) -> StepReport:
        """The trial cannot train as one network with others: alone it can."""
        return self._report(Status.FAILED, reason=reason, trace=trace, failure=FailureKind.FUSED)

    def _report(
        self,
        status: Status,
        *,
        reason: str | None = None,
        epoch: Epoch | None = None,
        trace: str | None = None,
        failure: FailureKind | None = None,
        warning: str | None = None,
        fused: int = 1,
    ) -> StepReport:
        """Report of a step, with the device and data of the trainer."""
        device = None if self.trainer is None else self.trainer.device_name
        digest = None if self.trainer is None else self.trainer.data_digest
        evaluation = self.trainer.report if self.trainer is not None and status is Status.FINISHED else None
        return StepReport(status, epoch, device, digest, reason, trace, failure, warning, evaluation, fused)
