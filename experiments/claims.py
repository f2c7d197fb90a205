"""Which process trains a trial: two sweeps that share trials never train one at the same time."""

import fcntl
from io import TextIOWrapper
from pathlib import Path


class Claims:
    """Locks on trials' folders; a killed process holds none.

    Args:
        folder: of the trial records.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, TextIOWrapper] = {}

    def take(self, trial: str) -> bool:
        """Whether the trial is ours now: no other process has it."""
        path = self._folder / trial / "lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._held[trial] = file
        return True

    def give_back(self, trial: str) -> None:
        """Others may have the trial."""
        self._held.pop(trial).close()

    def close(self) -> None:
        """Others may have all of them."""
        for trial in list(self._held):
            self.give_back(trial)
