"""One trial after another inside a Ray actor. Torch is imported here, in the worker, and never in the driver."""

import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune

from experiments.records import Epoch
from experiments.report import Report
from ottt.config import TrialConfig
from ottt.schema import Status

if TYPE_CHECKING:
    from ottt.trainer import Trainer

REPORT = "report"  # key of a step's Report in the result that Tune passes on
MAX_REASON = 500  # characters


class TrialTrainable(tune.Trainable):
    """A step is an epoch. An error ends the trial with a report, not the actor: the next trial reuses it."""

    def setup(self, config: dict[str, Any], configs: Mapping[str, TrialConfig], threads: int) -> None:
        """Take the first trial.

        Args:
            config: `trial`, the hash of the trial to train.
            configs: configuration of every trial of the sweep, by hash.
            threads: of torch.
        """
        import torch

        torch.set_num_threads(threads)
        self._configs = configs
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial."""
        self._config = self._configs[new_config["trial"]]
        self._trainer: Trainer | None = None
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch."""
        report = self._attempt()
        return {REPORT: report, "done": report.status is not Status.RUNNING}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the trainer's state."""
        self._ready().save(Path(checkpoint_dir))

    def load_checkpoint(self, checkpoint: str) -> None:
        """Go on from a state that `save_checkpoint` wrote."""
        self._ready().load(Path(checkpoint))

    def _ready(self) -> "Trainer":
        from ottt.trainer import Trainer

        if self._trainer is None:
            self._trainer = Trainer(self._config)
        return self._trainer

    def _attempt(self) -> Report:
        import torch

        from ottt.trainer import Diverged

        try:
            trainer = self._ready()
            metrics = trainer.train_epoch()
        except Diverged as error:
            return self._failed(Status.DIVERGED, str(error))
        except (torch.OutOfMemoryError, MemoryError) as error:
            return self._failed(Status.OUT_OF_MEMORY, reason_of(error), traceback.format_exc())
        except Exception as error:
            return self._failed(Status.FAILED, reason_of(error), traceback.format_exc())
        status = Status.FINISHED if trainer.done else Status.RUNNING
        epoch = Epoch(trainer.epoch, time.time(), metrics)
        return Report(status, epoch, trainer.device_name, trainer.data_digest)

    def _failed(self, status: Status, reason: str, trace: str | None = None) -> Report:
        device = None if self._trainer is None else self._trainer.device_name
        digest = None if self._trainer is None else self._trainer.data_digest
        return Report(status, None, device, digest, reason, trace)


def reason_of(error: BaseException) -> str:
    """`ValueError: message (file.py:12)`, in one line."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return text[:MAX_REASON] + where
