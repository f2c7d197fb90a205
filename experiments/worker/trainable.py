"""The Ray actor that trains one trial after another. Torch is imported here, in the worker, never in the driver."""

import time
from typing import TYPE_CHECKING, Any

import ray
from ray import tune

from experiments.ray_internals import draining_nodes
from experiments.results.provenance import ROOT, code_hash
from experiments.results.stop_request import StopRequest
from experiments.results.trial_records import Epoch, TrialRecords
from experiments.sweep_spec.run_settings import Checkpoints, Limits
from experiments.worker.crash import death_noted
from experiments.worker.one_trial import OneTrial, ending_of, import_trainer
from experiments.worker.step_report import EPOCH, REPORT, SCORE, FailureKind, ResetFailed, StepReport, reason_of
from ottt.config.trial import TrialConfig
from ottt.errors import UserError, first_line
from ottt.schema import Status

if TYPE_CHECKING:
    from ottt.training.trainer import Trainer


class TrialTrainable(OneTrial, tune.Trainable):
    """Trains one epoch per step. An error ends the trial with a report, not the actor, which the next trial reuses.

    Checkpoints are written to the trial's folder at the start of a step, when the driver has recorded all their epochs.
    """

    def setup(
        self,
        config: dict[str, Any],
        records: TrialRecords,
        checkpoints: Checkpoints,
        metric: str,
        request: StopRequest,
        code: str,
        limits: Limits,
    ) -> None:
        """Take the first trial.

        Args:
            config: `trial`, a hash; `config`, the JSON of its settings; `share`, its share of the machine; `until`, the
                epoch at which it pauses, or None.
            records: records of all trials.
            checkpoints: when to write checkpoints.
            metric: metric that the sweep optimises.
            request: request to stop; once made, trials end before their next epoch.
            code: hash of the code that the driver runs; this process refuses to train with another one.
            limits: how long an attempt may take.
        """
        import_trainer()
        self._metric = metric
        self._records = records
        self._checkpoints = checkpoints
        self._request = request
        self._limits = limits
        self._is_foreign = code != code_hash()
        self._take(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial; nothing of the last one stays.

        Raises:
            ResetFailed: this worker cannot take another trial; Tune ends it.
        """
        try:
            self._take(new_config)
        except Exception as error:
            raise ResetFailed(reason_of(error)) from error
        return True

    def _take(self, new_config: dict[str, Any]) -> None:
        self._trial: str = new_config["trial"]
        self._written = self._taken = time.monotonic()
        self._until: int | None = new_config["until"]
        self._begin(TrialConfig.model_validate_json(new_config["config"]), new_config["share"])

    def step(self) -> dict[str, Any]:
        """Train one epoch."""
        with death_noted(self._records.folder / self._trial, seconds=self._seconds_left()):
            report = self._attempt()
        result: dict[str, Any] = {REPORT: report, "done": report.status is not Status.RUNNING}
        if report.epoch is not None and self._metric in report.epoch.metrics:
            result |= {EPOCH: report.epoch.epoch, SCORE: report.epoch.metrics[self._metric]}
        return result

    def _seconds_left(self) -> float | None:
        hours = self._limits.hours
        return None if hours is None else 3600 * hours - (time.monotonic() - self._taken)

    def _attempt(self) -> StepReport:
        try:
            return self._train()
        except BaseException as error:  # SystemExit, too: it would end the worker, and the trial be tried again
            ending = ending_of(error)
            return self._ended(ending.status, ending.reason, trace=ending.traceback, failure=ending.failure)

    def _train(self) -> StepReport:
        """Train the next epoch; the checkpoint of the one before is written first, that of the last one at its end."""
        if self._is_foreign:
            raise UserError(f"{ROOT}: must hold the code that the sweep began with, got another: start the sweep again")
        if self._request.is_made or self._pauses():
            return self._ended(Status.INTERRUPTED, warning=None if self._trainer is None else self._save())
        if self._trainer is None:
            self._trainer, warning = self._make_trainer()
        else:
            warning = self._save() if self._is_due() else None
        epoch = None
        if not self._trainer.done:
            metrics = self._train_epoch()
            epoch = Epoch(self._trainer.epoch, time.time(), metrics)
        if not self._trainer.done:
            return self._ended(Status.RUNNING, epoch=epoch, warning=warning)
        if self._checkpoints.keep:
            warning = self._save() or warning
        return self._ended(Status.FINISHED, epoch=epoch, warning=warning)

    def _make_trainer(self) -> "tuple[Trainer, str | None]":
        """Load the newest checkpoint whose epochs are all recorded; without one the trial starts from nothing.

        Returns:
            The trainer, and which checkpoints cannot be used, in one line: an older one gives the same numbers.
        """
        from ottt.training.checkpoint import NEWEST, PREVIOUS
        from ottt.training.trainer import Trainer

        folder = self._records.checkpoint(self._trial)
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
            if trainer.epoch <= len(self._records.epochs(self._trial)):
                break
        else:
            trainer = Trainer(self._config)
        return trainer, f"{'; '.join(problems)}; continues after epoch {trainer.epoch}" if problems else None

    def _pauses(self) -> bool:
        return self._trainer is not None and self._until is not None and self._trainer.epoch >= self._until

    def _is_due(self) -> bool:
        assert self._trainer is not None
        has_waited = time.monotonic() - self._written >= self._checkpoints.seconds
        return (has_waited and self._trainer.epoch % self._checkpoints.epochs == 0) or is_leaving()

    def _save(self) -> str | None:
        """Write a checkpoint; returns why it failed: the trial continues, and the last checkpoint stays."""
        assert self._trainer is not None
        self._written = time.monotonic()
        try:
            self._trainer.save(self._records.checkpoint(self._trial))
        except OSError as error:
            return f"no checkpoint after epoch {self._trainer.epoch}: {first_line(error)}"
        return None

    def _ended(
        self,
        status: Status,
        reason: str | None = None,
        *,
        epoch: Epoch | None = None,
        trace: str | None = None,
        failure: FailureKind | None = None,
        warning: str | None = None,
    ) -> StepReport:
        """Report of this step, with the device and data of the trainer."""
        device = None if self._trainer is None else self._trainer.device_name
        digest = None if self._trainer is None else self._trainer.data_digest
        evaluation = self._trainer.report if self._trainer is not None and status is Status.FINISHED else None
        return StepReport(status, epoch, device, digest, reason, trace, failure, warning, evaluation)


def is_leaving() -> bool:
    """Whether this node is being drained or preempted."""
    return ray.is_initialized() and ray.get_runtime_context().get_node_id() in draining_nodes()
