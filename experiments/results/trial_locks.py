"""Locks on trials: two sweeps that share a trial never train it at the same time."""

from pathlib import Path
from typing import TextIO

from experiments.results.trial_records import LOCK
from ottt.files import try_lock


class TrialLocks:
    """Trials that this process has locked; the locks of a killed process are released.

    Args:
        folder: folder of the trial records.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, TextIO] = {}

    def acquire(self, trial: str) -> bool:
        """Lock the trial; False if another process holds it."""
        path = self._folder / trial / LOCK
        path.parent.mkdir(parents=True, exist_ok=True)
        file = try_lock(path)
        if file is None:
            return False
        self._files[trial] = file
        return True

    def release(self, trial: str) -> None:
        """Unlock the trial, which this process holds."""
        self._files.pop(trial).close()

    def close(self) -> None:
        """Unlock all trials."""
        for trial in list(self._files):
            self.release(trial)
