"""Locks on trials: two sweeps that share a trial never train it at the same time."""

from pathlib import Path
from typing import TextIO

from ottt.files import try_lock


class TrialLocks:
    """The trials that this process holds; a process that was killed holds none.

    Args:
        folder: folder of the trial records.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, TextIO] = {}

    def acquire(self, trial: str) -> bool:
        """Lock the trial; False if another process holds it."""
        path = self._folder / trial / "lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        file = try_lock(path)
        if file is None:
            return False
        self._held[trial] = file
        return True

    def release(self, trial: str) -> None:
        """Unlock the trial, which this process holds."""
        self._held.pop(trial).close()

    def close(self) -> None:
        """Unlock all trials."""
        for trial in list(self._held):
            self.release(trial)
