"""Trials in parallel on Ray Tune: tasks in, events of trials out."""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import ray
from ray import cloudpickle, tune
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher
from rich.console import Console

from experiments.interrupt import Ending, Interrupted
from experiments.results.stop_request import StopRequest
from experiments.results.trial_records import TrialRecords
from experiments.run.queue import Task
from experiments.sweep_spec.run_settings import Checkpoints, Limits, Share
from experiments.worker.crash import Note, take_note
from experiments.worker.step_report import EPOCH, REPORT, FailureKind, ResetFailed, StepReport, reason_of, storable
from experiments.worker.trainable import TrialTrainable
from ottt.schema import Status


class TrialEvents(Protocol):
    """Hands out the trials, by hash, and is told what happens to them; see `experiments.run.driver`."""

    def next(self) -> Task | None:
        """The trial to start now; None if there is none at present."""

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
    """

    records: TrialRecords
    checkpoints: Checkpoints
    metric: str
    request: StopRequest
    code: str
    limits: Limits


def run_trials(
    events: TrialEvents,
    *,
    workers: Workers,
    scheduler: TrialScheduler | None,
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
    trainable = tune.with_parameters(TrialTrainable, **vars(workers))
    tuner = tune.Tuner(
        tune.with_resources(trainable, _placement),
        tune_config=tune.TuneConfig(
            search_alg=_TaskSearcher(events, ending),
            scheduler=scheduler,
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_hash,
            trial_dirname_creator=_folder,
        ),
        run_config=_run_config(folder, _EventCallback(events, ending, workers.records)),
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
    """Gives the trials of `events` to Tune, one when it asks; a trial can come several times."""

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
            task = None if self._ending.is_asked else self._events.next()
        if task is not None:
            config = task.config.model_dump_json()
            return {"trial": task.trial, "config": config, "share": task.share, "until": task.until}
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
    """Forwards Tune's callbacks to `events`."""

    def __init__(self, events: TrialEvents, ending: Ending, records: TrialRecords) -> None:
        self._events = events
        self._ending = ending
        self._records = records
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
        with self._ending.undisturbed:
            self._events.started(_hash(trial))

    def on_trial_result(
        self, iteration: int, trials: Sequence[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        report: StepReport = result.pop(REPORT)
        if trial.trial_id in self._late:
            return
        if report.status is Status.RUNNING and result["done"]:
            report = replace(report, status=Status.STOPPED_EARLY, reason=f"stopped after epoch {result[EPOCH]}")
        with self._ending.undisturbed:
            self._events.reported(_hash(trial), report)

    def on_trial_error(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        if trial.trial_id in self._late:
            return
        with self._ending.undisturbed:
            note = take_note(self._records.folder / _hash(trial))
            self._events.crashed(_hash(trial), _report(_error(trial), note))


def _leave_if_asked(events: TrialEvents, ending: Ending) -> None:
    if ending.now.is_set() or (ending.soon.is_set() and not events.is_busy):
        raise Interrupted


def _report(error: BaseException, note: Note | None) -> StepReport:
    """What the end of a worker means for its trial; `note`: what it left behind."""
    if note is not None:
        return _report_of_note(note)
    origin = getattr(error, "cause", None) or error
    status, failure, reason = Status.FAILED, FailureKind.WORKER, reason_of(origin)
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        status = Status.OUT_OF_MEMORY
    elif isinstance(origin, ResetFailed):
        failure = FailureKind.RESET
    elif isinstance(error, ray.exceptions.RayActorError) and error.preempted:
        failure = FailureKind.PREEMPTED
    elif isinstance(origin, ray.exceptions.ActorDiedError):
        reason = _why_gone(origin)
    return StepReport(status, reason=reason, traceback=storable(str(error)), failure=failure)


def _report_of_note(note: Note) -> StepReport:
    if note.is_timeout:
        reason = f"longer than limits.hours: {note.reason}"
        return StepReport(Status.TIMED_OUT, reason=reason, traceback=note.trace, failure=FailureKind.ERROR)
    reason = f"the worker died: {note.reason}"
    return StepReport(Status.FAILED, reason=reason, traceback=note.trace, failure=FailureKind.WORKER)


def _why_gone(error: ray.exceptions.ActorDiedError) -> str:
    """Why a worker that left no note is gone, as far as Ray knows."""
    text = str(error)
    if "creation task" in text:  # an actor that could not be made: the cause is the last line of a long text
        return reason_of(error, line=-1)
    found = re.search(r"exit code \d+(\. The process receives a SIG\w+)?", text)
    if found is not None:
        return f"the worker ended with {found[0]}"
    if "connection error" in text:
        return "the worker was killed (SIGKILL), as by the system when memory is short, or ended without a trace"
    return reason_of(error)


def _placement(config: Mapping[str, Any]) -> tune.PlacementGroupFactory:
    share: Share = config["share"]
    return tune.PlacementGroupFactory([{"CPU": share.cpu, "GPU": share.gpu}])


def _hash(trial: Any) -> str:
    """Our name of Tune's trial."""
    return str(trial.config["trial"])


def _folder(trial: Any) -> str:
    """Of Tune's own files; every attempt has its own."""
    return f"{_hash(trial)}-{trial.trial_id}"


def _error(trial: Any) -> BaseException:
    """What ended Tune's trial, from its folder on this machine."""
    if trial.pickled_error_file is not None:
        error: BaseException = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
        return error
    text = Path(trial.error_file).read_text(encoding="utf-8") if trial.error_file else "no error was kept"
    return RuntimeError(text)
