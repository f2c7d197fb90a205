"""Room for results: a sweep waits for it rather than lose any."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

from experiments.interrupt import Ending, Interrupted
from ottt.errors import UserError, first_line
from ottt.files import is_disk_full

MIN_FREE_MIB = 200  # below this no trial starts: those under way still have to write
WAIT_S = 1.0  # between two attempts

P = ParamSpec("P")


class Disk:
    """The disk that holds `folder`.

    Args:
        folder: an existing folder.
        ending: ends the waiting.
        say: called with a line when the waiting begins and when it is over.
    """

    def __init__(self, folder: Path, *, ending: Ending, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._ending = ending
        self._say = say
        self._is_full = False

    def has_room(self) -> bool:
        """Whether another trial can start."""
        try:
            free = shutil.disk_usage(self._folder).free / 2**20
        except OSError as error:
            raise self._unusable(error) from error
        self._note(free < MIN_FREE_MIB, f"{free:.0f} MiB are free in {self._folder}, {MIN_FREE_MIB} are needed")
        return not self._is_full

    def write(self, attempt: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call `attempt` until it succeeds, for as long as the disk is full.

        Raises:
            Interrupted: the sweep is to stop; what could not be written is left to the next run.
            UserError: it failed for another reason.
        """
        while True:
            try:
                attempt(*args, **kwargs)
                return
            except OSError as error:
                if not is_disk_full(error):
                    raise self._unusable(error) from error
                if self._ending.is_asked:
                    raise Interrupted from error
                self._note(True, f"{error.strerror} in {self._folder}")
                time.sleep(WAIT_S)

    def _unusable(self, error: OSError) -> UserError:
        if not self._folder.is_dir():
            return UserError(f"{self._folder}: must stay while the sweep runs, but it was deleted or cannot be reached")
        return UserError(f"{self._folder}: must be writable while the sweep runs, got {first_line(error)}")

    def _note(self, is_full: bool, why: str) -> None:
        if is_full and not self._is_full:
            self._say(f"paused: {why}; the sweep continues once there is room")
        elif self._is_full and not is_full:
            self._say("there is room again: the sweep continues")
        self._is_full = is_full
