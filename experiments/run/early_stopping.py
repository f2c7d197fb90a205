"""Ending trials early: Tune's schedulers, brought up to what the records say of the sweep."""

import math
from dataclasses import dataclass

from ray.tune.schedulers import AsyncHyperBandScheduler, MedianStoppingRule, TrialScheduler

from experiments.planning.plan import SweepPlan
from experiments.results.trial_records import TrialRecords
from experiments.sweep_spec.run_settings import Scheduler
from experiments.worker.step_report import EPOCH, SCORE
from ottt import schema


@dataclass(frozen=True)
class _Past:
    """A trial that Tune has not seen."""

    trial_id: str


def build_scheduler(settings: Scheduler, plan: SweepPlan, records: TrialRecords) -> TrialScheduler:
    """What `settings` ask for. Trials that are done count as if they had run now: Tune keeps no such state itself."""
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
    for trial in plan.trials:
        if plan.is_done(records.read(trial.trial)):
            _replay(made, trial.trial, plan.metric, records)
    return made


def _replay(scheduler: TrialScheduler, trial: str, metric: str, records: TrialRecords) -> None:
    past, result = _Past(trial), None
    scheduler.on_trial_add(None, past)
    for epoch in records.epochs(trial):
        if metric in epoch.metrics:
            result = {EPOCH: epoch.epoch, SCORE: epoch.metrics[metric]}
            scheduler.on_trial_result(None, past, result)
    if result is not None:
        scheduler.on_trial_complete(None, past, result)
