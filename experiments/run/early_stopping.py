"""Ending trials early: Tune's schedulers, told every epoch of every trial once, whichever process trained it.

So what they decide does not depend on where a sweep was interrupted, or a worker lost.
"""

import math
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from experiments.results.trial_records import TrialRecords
from experiments.run.state import SweepState
from experiments.sweep_spec.run_settings import Scheduler
from experiments.worker.step_report import EPOCH, OPEN, SCORE, SCORES
from ottt import schema


@dataclass(frozen=True)
class _Known:
    """A trial as a scheduler of Tune knows it."""

    trial_id: str


class EveryEpochOnce(FIFOScheduler):
    """Tells `judge` of trials by their hash: a trial that is resumed is the same one, and goes on where it was.

    Args:
        judge: decides which trials end.
        metric: metric of the sweep.
        records: hold the epochs that Tune has not seen.
    """

    def __init__(self, judge: TrialScheduler, metric: str, records: TrialRecords) -> None:
        super().__init__()
        self._judge = judge
        self._metric_name = metric
        self._records = records
        self._told: dict[_Known, int] = {}  # number of epochs
        self._stopped: set[str] = set()

    def tell_recorded(self, trial: str, *, below: float = math.inf) -> None:
        """Tell of the recorded epochs before epoch `below` that were not told yet. Their decisions were made."""
        known = _Known(trial)
        for epoch in self._records.epochs(trial):
            if self._is_new(known, epoch.epoch) and epoch.epoch < below and self._metric_name in epoch.metrics:
                result = {EPOCH: epoch.epoch, SCORE: epoch.metrics[self._metric_name]}
                self._judge.on_trial_add(None, known)
                self._judge.on_trial_complete(None, known, result)  # decides nothing
                self._told[known] = epoch.epoch

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Whether one of the trials goes on, of those that train as one; `has_stopped` says which do not."""
        goes_on = set(result.get(OPEN, ()))
        for name, epoch, score in result.get(SCORES, ()):
            if self._judge_epoch(_Known(name), epoch, score) == TrialScheduler.STOP and name in goes_on:
                self._stopped.add(name)
        return str(TrialScheduler.STOP if goes_on and goes_on <= self._stopped else TrialScheduler.CONTINUE)

    def has_stopped(self, trial: str) -> bool:
        """Whether the trial, by its hash, is to end after the epoch that it has trained."""
        return trial in self._stopped

    def _judge_epoch(self, known: _Known, epoch: int, score: float) -> str:
        if not self._is_new(known, epoch):  # trained again after a checkpoint: it was to go on
            return str(TrialScheduler.CONTINUE)
        if self._is_new(known, epoch - 1):  # it was resumed
            self.tell_recorded(known.trial_id, below=epoch)
        self._told[known] = epoch
        self._judge.on_trial_add(None, known)
        return str(self._judge.on_trial_result(None, known, {EPOCH: epoch, SCORE: score}))

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """The last epoch of a trial judges others, too."""
        self.on_trial_result(tune_controller, trial, result)

    def _is_new(self, known: _Known, epoch: int) -> bool:
        return epoch > self._told.get(known, 0)


def build_scheduler(settings: Scheduler, state: SweepState, records: TrialRecords) -> EveryEpochOnce:
    """What `settings` ask for. Trials that were done before count as if they had run now."""
    plan = state.plan
    mode = "max" if schema.metric(plan.metric).better == "higher" else "min"
    made: TrialScheduler
    if settings.name == "asha":
        longest = max((trial.config.epochs for trial in plan.trials), default=settings.grace_epochs)
        made = AsyncHyperBandScheduler(
            time_attr=EPOCH,
            metric=SCORE,
            mode=mode,
            max_t=max(longest, settings.grace_epochs) + 1,  # a trial that reaches its last epoch has finished
            grace_period=settings.grace_epochs,
            reduction_factor=settings.reduction,
        )
    else:
        made = MedianStoppingRule(
            time_attr=EPOCH,
            metric=SCORE,
            mode=mode,
            grace_period=settings.grace_epochs,
            min_samples_required=settings.min_trials,
            min_time_slice=math.inf,  # it would pause trials, which takes a checkpoint, to start others
        )
    scheduler = EveryEpochOnce(made, plan.metric, records)
    for one in state:
        if not one.is_pending and one.status in plan.done:
            scheduler.tell_recorded(one.trial.trial)
    return scheduler
