"""Asking a running sweep to end, and noticing that it was asked: `ottt sweep stop`.

The driver looks for the request in a thread and starts no further trial. Each worker looks before every epoch, saves
the state of its trial and leaves it there.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from experiments.interrupt import watching
from experiments.results.folder import Results
from experiments.results.stop_request import StopRequest
from ottt.errors import UserError

PERIOD_S = 0.25  # between two looks


@contextmanager
def watch_stop_request(request: StopRequest, soon: threading.Event) -> Iterator[None]:
    """Set `soon` when the request is made, while in the context."""

    def look() -> bool:
        if request.is_made:
            soon.set()
        return soon.is_set()

    with watching(look, period_s=PERIOD_S, name="stop-request"):
        yield


def ask_to_stop(results: Results, sweep: str, *, timeout_s: float, asked: Callable[[], None]) -> None:
    """Ask the run of `sweep` that is under way to end, and wait until it has.

    Args:
        results: folder in which it runs.
        sweep: name of the sweep.
        timeout_s: how long to wait, seconds; the request stays afterwards.
        asked: called before the wait.

    Raises:
        UserError: the sweep is not running.
        TimeoutError: the sweep has not ended in time.
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
