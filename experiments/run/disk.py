"""Whether there is room for results: a sweep waits for it rather than lose any."""

import errno
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from experiments.interrupt import Ending

MIN_FREE_MIB = 200  # below this no trial starts: those under way still have to write
WAIT_S = 1.0  # between two looks
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Disk:
    """The disk that holds `folder`.

    Args:
        folder: that exists.
        ending: ends the waiting.
        say: told when it begins and when it is over.
    """

    def __init__(self, folder: Path, *, ending: Ending, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._ending = ending
        self._say = say
        self._is_full = False

    def has_room(self) -> bool:
        """Whether another trial may start."""
        free = shutil.disk_usage(self._folder).free / 2**20
        self._note(free < MIN_FREE_MIB, f"{free:.0f} MiB are free in {self._folder}, {MIN_FREE_MIB} are needed")
        return not self._is_full

    def write(self, attempt: Callable[[], None]) -> None:
        """Do `attempt`, again and again while the disk is full.

        Raises:
            OSError: it failed otherwise, or the sweep is to stop.
        """
        while True:
            try:
                return attempt()
            except OSError as error:
                if error.errno not in _FULL or self._ending.is_asked:
                    raise
                self._note(True, f"{error.strerror} in {self._folder}")
                time.sleep(WAIT_S)

    def _note(self, is_full: bool, why: str) -> None:
        if is_full and not self._is_full:
            self._say(f"paused: {why}; the sweep goes on by itself once there is room")
        elif self._is_full and not is_full:
            self._say("there is room again: the sweep goes on")
        self._is_full = is_full
