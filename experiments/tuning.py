"""Trials in parallel on Ray Tune."""

import logging
import os
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Protocol

import ray
from ray import cloudpickle, tune

from experiments.report import Report
from experiments.spec import Resources
from experiments.trainable import REPORT, TrialTrainable, reason_of
from ottt.config import TrialConfig
from ottt.errors import UserError
from ottt.schema import Status

_QUIET = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths mean the same in the workers as in the driver
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a trial without a GPU share sees no GPU
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # see experiments.interrupt
}


class Interrupted(KeyboardInterrupt):
    """The user asked to stop; trials were under way.

    Not an Exception: for those Tune waits until its actors have ended their step.
    """


class Events(Protocol):
    """Whoever follows the trials, by hash."""

    def started(self, trial: str) -> None:
        """A worker took the trial."""

    def reported(self, trial: str, report: Report) -> None:
        """A step ended."""

    def crashed(self, trial: str, status: Status, reason: str, text: str) -> None:
        """The worker died, or raised outside the trial."""


@contextmanager
def local_ray() -> Iterator[None]:
    """A Ray instance of our own on this machine, its processes ended at the end."""
    os.environ.update(_QUIET)
    # What Ray prints by itself must not mix with the output of the command.
    with redirect_stdout(sys.stderr):
        ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.CRITICAL)
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            ray.shutdown()


def check_resources(resources: Resources) -> None:
    """Refuse what this machine can never give to a trial.

    Raises:
        UserError: one line per resource.
    """
    there = ray.cluster_resources()
    wanted = {"cpu": resources.cpu, "gpu": resources.gpu}
    problems = [
        f"resources.{name} must be <= {there.get(name.upper(), 0):g}, what this machine has, got {amount:g}"
        for name, amount in wanted.items()
        if amount > there.get(name.upper(), 0)
    ]
    if problems:
        raise UserError(*problems)


def run_trials(
    configs: Mapping[str, TrialConfig],
    *,
    resources: Resources,
    folder: Path,
    events: Events,
    stop: threading.Event,
) -> None:
    """Train every trial in `configs`, in that order, as many at once as there is room for.

    Args:
        configs: by trial hash.
        resources: of each trial.
        folder: Tune's own files; removed at the end, since everything that counts went to `events`.
        events: told of everything, in this thread.
        stop: ends the trials under way when set.

    Raises:
        Interrupted: `stop` was set.
    """
    trainable = tune.with_parameters(TrialTrainable, configs=configs, threads=max(1, int(resources.cpu)))
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": resources.cpu, "gpu": resources.gpu}),
        param_space={"trial": tune.grid_search(list(configs))},
        tune_config=tune.TuneConfig(reuse_actors=True, trial_name_creator=_hash, trial_dirname_creator=_hash),
        run_config=tune.RunConfig(
            name=folder.name,
            storage_path=str(folder.parent),
            verbose=0,
            callbacks=[_Feed(events, stop)],
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    try:
        tuner.fit()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Feed(tune.Callback):
    """Hands what Tune tells on to `events`."""

    def __init__(self, events: Events, stop: threading.Event) -> None:
        self._events = events
        self._stop = stop

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles itself, callbacks included, but is never restored from that here."""
        return {}

    def on_step_begin(self, iteration: int, trials: Sequence[Any], **info: Any) -> None:
        if self._stop.is_set():
            raise Interrupted

    def on_trial_start(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        self._events.started(_hash(trial))

    def on_trial_result(
        self, iteration: int, trials: Sequence[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._events.reported(_hash(trial), result[REPORT])

    def on_trial_error(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        error = _error(trial)
        cause = getattr(error, "cause", None) or error
        oom = isinstance(error, ray.exceptions.OutOfMemoryError)
        status = Status.OUT_OF_MEMORY if oom else Status.FAILED
        self._events.crashed(_hash(trial), status, reason_of(cause), str(error))


def _hash(trial: Any) -> str:
    """Our name of Tune's trial."""
    return str(trial.config["trial"])


def _error(trial: Any) -> BaseException:
    """What ended Tune's trial, from its folder on this machine."""
    if trial.pickled_error_file is not None:
        error: BaseException = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
        return error
    text = Path(trial.error_file).read_text(encoding="utf-8") if trial.error_file else "no error was kept"
    return RuntimeError(text)
