"""Asking a running sweep to end, from any process that sees the folder of results: `ottt sweep stop`.

The request is a file. The driver looks for it in a thread and starts no further trial; each worker looks before an
epoch, writes its trial's state and leaves it there.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ottt.errors import UserError

if TYPE_CHECKING:
    from experiments.folder import Results

PERIOD_S = 0.25  # between two looks


@dataclass(frozen=True)
class StopRequest:
    """That one run of a sweep should end; no later run heeds it.

    Attributes:
        path: of the file.
        run: which run of the sweep, see `experiments.folder.Results.lock`.
    """

    path: Path
    run: str

    @property
    def is_made(self) -> bool:
        """Whether somebody asked."""
        try:
            return self.path.read_text(encoding="utf-8") == self.run
        except FileNotFoundError:
            return False

    def make(self) -> None:
        """Ask."""
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(self.run, encoding="utf-8")
        temporary.replace(self.path)


@contextmanager
def heeded(request: StopRequest, soon: threading.Event) -> Iterator[None]:
    """Set `soon` when the request is made, while in the context."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(PERIOD_S):
            if request.is_made:
                soon.set()
                return

    thread = threading.Thread(target=look, name="stop-request", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def ask_to_stop(results: "Results", sweep: str, *, timeout_s: float, asked: Callable[[], None]) -> None:
    """Ask the run of `sweep` that is under way to end, and wait until it has.

    Args:
        results: where it runs.
        sweep: its name.
        timeout_s: how long to wait, seconds; the request stays.
        asked: called before the waiting.

    Raises:
        UserError: it is not running.
        TimeoutError: it has not ended.
    """
    run = results.running(sweep)
    if run is None:
        raise UserError(f"the sweep must be running to be stopped, got {sweep}, which is not")
    results.stop_request(sweep, run).make()
    asked()
    deadline = time.monotonic() + timeout_s
    while results.running(sweep) == run:
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"{sweep} has not ended after {timeout_s:g} s: it still will, after the epochs under way"
            )
        time.sleep(PERIOD_S)
