"""Trials in parallel on Ray Tune: tasks in, events of trials out."""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from ray import tune
from ray.tune.search import Searcher
from rich.console import Console

from experiments.interrupt import Ending, Interrupted
from experiments.results.stop_request import StopRequest
from experiments.results.trial_records import TrialRecords
from experiments.run.early_stopping import EveryEpochOnce
from experiments.run.queue import Task
from experiments.sweep_spec.run_settings import Checkpoints, Limits, Share
from experiments.worker.lost_worker import reports_of_end
from experiments.worker.member import Assignment
from experiments.worker.step_report import REPORTS, StepReport
from experiments.worker.trainable import TrialTrainable
from ottt.schema import Status


class TrialEvents(Protocol):
    """Hands out the trials, by hash, and is told what happens to them; see `experiments.run.driver`."""

    def next(self) -> Sequence[Task]:
        """The trials to start now, one, or several as one network; none if there is none at present."""

    @property
    def is_finished(self) -> bool:
        """Whether no trial is running or waiting."""

    @property
    def is_busy(self) -> bool:
        """Whether a trial is under way."""

    def started(self, trial: str) -> None:
        """A worker took the trial."""

    def reported(self, trial: str, report: StepReport) -> None:
        """A step ended; a scheduler that stops the trial there has made the status STOPPED_EARLY."""

    def crashed(self, trial: str, report: StepReport) -> None:
        """The worker died, or raised outside the trial."""


@dataclass(frozen=True)
class Workers:
    """What every worker gets, see `experiments.worker.trainable.TrialTrainable.setup`.

    Attributes:
        records: records of all trials; workers write checkpoints there.
        checkpoints: when they do.
        metric: the metric that a scheduler looks at.
        request: tells workers that they should end soon.
        code: hash of the code that they must run, see `experiments.results.provenance.code_hash`.
        limits: how long a trial may train.
        measures: whether trials train as one network only where that is measured to be faster.
    """

    records: TrialRecords
    checkpoints: Checkpoints
    metric: str
    request: StopRequest
    code: str
    limits: Limits
    measures: bool


def run_trials(
    events: TrialEvents,
    *,
    workers: Workers,
    scheduler: EveryEpochOnce | None,
    ahead: int,
    folder: Path,
    ending: Ending,
) -> None:
    """Train every trial that `events` hands out, in that order, as many at once as there is room for.

    Args:
        events: hands out the trials and is told of everything, in this thread.
        workers: what every worker gets.
        scheduler: can stop trials early.
        ahead: trials to take from `events` before there is room for them, so that no worker waits.
        folder: Tune's own files; removed at the end, since everything that counts went to `events`.
        ending: ends the trials under way.

    Raises:
        Interrupted: the sweep was asked to end.
    """
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(ahead)
    trainable = tune.with_parameters(TrialTrainable, **vars(workers), stops_early=scheduler is not None)
    tuner = tune.Tuner(
        tune.with_resources(trainable, _placement),
        tune_config=tune.TuneConfig(
            search_alg=_TaskSearcher(events, ending),
            scheduler=scheduler,
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_name,
            trial_dirname_creator=_folder,
        ),
        run_config=_run_config(folder, _EventCallback(events, scheduler, ending, workers.records)),
    )
    try:
        tuner.fit()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run_config(folder: Path, callback: tune.Callback) -> tune.RunConfig:
    return tune.RunConfig(
        name=folder.name,
        storage_path=str(folder.parent),
        verbose=0,
        progress_reporter=_Silence() if Console().is_jupyter else None,
        callbacks=[callback],
        failure_config=tune.FailureConfig(max_failures=0),  # see experiments.run.queue
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # see experiments.worker.trainable
    )


class _Silence(tune.ProgressReporter):
    """In place of Tune's own table, for which it would clear what stands below the cell of a notebook."""

    def should_report(self, trials: Any, done: bool = False) -> bool:
        """Never."""
        return False

    def report(self, trials: Any, done: bool, *sys_info: str) -> None:
        """Nothing."""


class _TaskSearcher(Searcher):
    """Gives the trials of `events` to Tune, one when it asks, or several as one; a trial can come several times."""

    def __init__(self, events: TrialEvents, ending: Ending) -> None:
        super().__init__()
        self._events = events
        self._ending = ending

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles itself, searcher and callbacks included, but is never restored from that here."""
        return {}

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        _leave_if_asked(self._events, self._ending)  # Tune waits here while nothing runs
        with self._ending.undisturbed:
            tasks = () if self._ending.is_asked else self._events.next()
        if tasks:
            given = [Assignment(task.trial, task.config.model_dump_json(), task.until) for task in tasks]
            return {"trials": given, "share": tasks[0].share}
        return str(Searcher.FINISHED) if self._events.is_finished else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The callback tells `events`."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: Tune is never restored here."""

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError("a sweep is resumed from the trial records")

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing either."""


class _EventCallback(tune.Callback):
    """Forwards Tune's callbacks to `events`, trial by trial."""

    def __init__(
        self, events: TrialEvents, scheduler: EveryEpochOnce | None, ending: Ending, records: TrialRecords
    ) -> None:
        self._events = events
        self._scheduler = scheduler
        self._ending = ending
        self._records = records
        self._under_way: dict[str, list[str]] = {}  # our trials that have not ended, by the id of Tune's
        self._late: set[str] = set()  # Tune's trials that started after the sweep was asked to end

    def __getstate__(self) -> dict[str, Any]:
        """See `_TaskSearcher`."""
        return {}

    def on_step_begin(self, iteration: int, trials: Sequence[Any], **info: Any) -> None:
        _leave_if_asked(self._events, self._ending)

    def on_trial_start(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        if self._ending.is_asked:
            self._late.add(trial.trial_id)
            return
        self._under_way[trial.trial_id] = _trials(trial)
        with self._ending.undisturbed:
            for one in _trials(trial):
                self._events.started(one)

    def on_trial_result(
        self, iteration: int, trials: Sequence[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        reports: Iterable[tuple[str, StepReport]] = result.pop(REPORTS)
        under_way = self._under_way.get(trial.trial_id, [])
        with self._ending.undisturbed:
            for one, report in reports:
                if one not in under_way:
                    continue
                judged = self._judged(one, report)
                if judged.status is not Status.RUNNING:
                    under_way.remove(one)
                self._events.reported(one, judged)

    def _judged(self, trial: str, report: StepReport) -> StepReport:
        """The report of a trial; if a scheduler has stopped it, one of a trial that ends there."""
        if report.status is not Status.RUNNING or self._scheduler is None or not self._scheduler.has_stopped(trial):
            return report
        assert report.epoch is not None
        return replace(report, status=Status.STOPPED_EARLY, reason=f"stopped after epoch {report.epoch.epoch}")

    def on_trial_error(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        if trial.trial_id in self._late:
            return
        under_way = self._under_way.pop(trial.trial_id, _trials(trial))
        with self._ending.undisturbed:
            for one, report in reports_of_end(trial, under_way, self._records.folder):
                self._events.crashed(one, report)


def _leave_if_asked(events: TrialEvents, ending: Ending) -> None:
    if ending.now.is_set() or (ending.soon.is_set() and not events.is_busy):
        raise Interrupted


def _placement(config: Mapping[str, Any]) -> tune.PlacementGroupFactory:
    share: Share = config["share"]
    return tune.PlacementGroupFactory([{"CPU": share.cpu, "GPU": share.gpu}])


def _trials(trial: Any) -> list[str]:
    """Our trials, by hash, that are one of Tune's."""
    return [one.trial for one in trial.config["trials"]]


def _name(trial: Any) -> str:
    """Our name of Tune's trial: that of its first one."""
    return _trials(trial)[0]


def _folder(trial: Any) -> str:
    """Of Tune's own files; every attempt has its own."""
    return f"{_name(trial)}-{trial.trial_id}"
