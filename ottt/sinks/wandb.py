"""Epochs for Weights & Biases: a run per trial, whose id is the trial's hash.

Project, entity, mode and folder are those of the environment (WANDB_PROJECT, WANDB_ENTITY, WANDB_MODE, WANDB_DIR); by
default the project has the sweep's name, and files lie in the sink's folder.
"""

import os
from collections.abc import Mapping

import wandb

from ottt.errors import UserError
from ottt.schema import SETTLED, Status
from ottt.sinks.sink import SinkTrial

UPLOAD_S = 120.0  # that the end of a run waits for its upload
WITHOUT_LOGIN = ("offline", "disabled")


class WandbSink:
    """The run of one trial.

    Raises:
        UserError: this machine has no key for the server; nobody is asked for one.
    """

    def __init__(self, trial: SinkTrial) -> None:
        if wandb.setup().settings.mode not in WITHOUT_LOGIN and not wandb.login(prompt=False):
            raise UserError("no key for Weights & Biases was found: run `wandb login`, or set WANDB_MODE=offline")
        folder = os.environ.get("WANDB_DIR")
        if folder is None:
            trial.folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or trial.sweep,
            id=trial.trial,
            name=trial.name,
            group=trial.variant,
            config=dict(trial.config),
            dir=folder or str(trial.folder),
            resume="allow",
            reinit="create_new",  # the trials of a sweep are open beside each other
            settings=_settings(),
        )

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """See `ottt.sinks.sink.Sink`; the server's run has the steps before `starting_step` already."""
        if epoch >= self._run.starting_step:
            self._run.log(dict(metrics), step=epoch)

    def close(self, status: Status) -> None:
        """See `ottt.sinks.sink.TrialSink`."""
        self._run.summary["status"] = str(status)
        self._run.finish(exit_code=int(status not in SETTLED))


def end_processes() -> None:
    """End the processes of W&B, unless the user's own code has a run open in this process."""
    if wandb.run is None:
        wandb.teardown()


def _settings() -> "wandb.Settings":
    """Nothing on the terminal, and of the machine neither its load, nor the command line, which may hold secrets."""
    return wandb.Settings(
        console="off",
        silent=True,
        save_code=False,
        disable_code=True,
        disable_git=True,
        x_disable_stats=True,
        x_disable_meta=True,
        finish_timeout=UPLOAD_S,
    )
