"""The Ray actor that trains one trial after another, or several as one network. Torch is imported here, in the worker,
never in the driver.
"""

import time
from typing import Any

import ray
from ray import tune

from experiments.ray_internals import draining_nodes
from experiments.results.provenance import ROOT, code_hash
from experiments.results.stop_request import StopRequest
from experiments.results.trial_records import TrialRecords
from experiments.sweep_spec.run_settings import Checkpoints, Limits
from experiments.worker.crash import death_noted
from experiments.worker.group import Group, Reports
from experiments.worker.member import Member
from experiments.worker.process import clean, import_trainer
from experiments.worker.step_report import OPEN, REPORTS, SCORES, ResetFailed, reason_of
from ottt.errors import UserError
from ottt.schema import Status


class TrialTrainable(tune.Trainable):
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
        stops_early: bool = False,
        measures: bool = False,
    ) -> None:
        """Take the first trial, or the first ones.

        Args:
            config: `trials`, the `Assignment` of each; `share`, the share of the machine that they have together.
            records: records of all trials.
            checkpoints: when to write checkpoints.
            metric: metric that the sweep optimises.
            request: request to stop; once made, trials end before their next epoch.
            code: hash of the code that the driver runs; this process refuses to train with another one.
            limits: how long an attempt may take.
            stops_early: whether a scheduler ends trials, some of several that train as one network too.
            measures: whether several trials train as one network only if that is measured to be faster.
        """
        import_trainer()
        self._metric = metric
        self._records = records
        self._checkpoints = checkpoints
        self._request = request
        self._limits = limits
        self._stops_early = stops_early
        self._measures = measures
        self._is_foreign = code != code_hash()
        self._take(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trials; nothing of the last ones stays.

        Raises:
            ResetFailed: this worker cannot take another trial; Tune ends it.
        """
        try:
            self._take(new_config)
        except Exception as error:
            raise ResetFailed(reason_of(error)) from error
        return True

    def _take(self, new_config: dict[str, Any]) -> None:
        self._taken = time.monotonic()
        self._group = Group(new_config["share"], measures=self._measures)
        self._members = [Member(given, self._records, self._checkpoints) for given in new_config["trials"]]
        clean(new_config["share"])

    def step(self) -> dict[str, Any]:
        """Train one epoch of every trial, but for those that are ahead of the others."""
        if self._stops_early and len(self._members) > 1:
            self._members = [one for one in self._members if not one.is_stopped]
        with death_noted(self._records.folder / self._members[0].trial, seconds=self._seconds_left()):
            reports = self._reports()
        ended = {trial for trial, report in reports if report.status is not Status.RUNNING}
        self._members = [one for one in self._members if one.trial not in ended]
        return {
            REPORTS: reports,
            SCORES: [
                (trial, report.epoch.epoch, report.epoch.metrics[self._metric])
                for trial, report in reports
                if report.epoch is not None and self._metric in report.epoch.metrics
            ],
            OPEN: [one.trial for one in self._members],
            "done": not self._members,
        }

    def _seconds_left(self) -> float | None:
        hours = self._limits.hours
        return None if hours is None else 3600 * hours - (time.monotonic() - self._taken)

    def _reports(self) -> Reports:
        try:
            self._refuse_other_code()
        except UserError as error:
            return [(one.trial, one.failed(error)) for one in self._members]
        has_to_end = self._request.is_made
        going = [one for one in self._members if has_to_end or one.pauses]
        reports = [(one.trial, one.interrupted()) for one in going]
        if left := [one for one in self._members if one not in going]:
            reports += self._group.step(left, is_leaving=is_leaving)
        return reports

    def _refuse_other_code(self) -> None:
        if self._is_foreign:
            raise UserError(f"{ROOT}: must hold the code that the sweep began with, got another: start the sweep again")


def is_leaving() -> bool:
    """Whether this node is being drained or preempted."""
    return ray.is_initialized() and ray.get_runtime_context().get_node_id() in draining_nodes()
