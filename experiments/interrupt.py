"""Requests to end a sweep: the first Ctrl-C asks, the second ends the process at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

EXIT_INTERRUPTED = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Ending:
    """A request that a sweep should end early.

    Attributes:
        now: set to abandon the running trials.
        soon: set to end them after the current epoch, with a checkpoint.
    """

    now: threading.Event = field(default_factory=threading.Event)
    soon: threading.Event = field(default_factory=threading.Event)

    @property
    def is_asked(self) -> bool:
        """Whether the sweep was asked to end, `now` or `soon`."""
        return self.now.is_set() or self.soon.is_set()


class Interrupted(KeyboardInterrupt):
    """The sweep was asked to stop.

    Not an Exception: on one, Tune waits until its actors have ended their step.
    """


@contextmanager
def interruptible() -> Iterator[Ending]:
    """In the context, SIGINT and SIGTERM set `Ending.now`; a second signal ends the process.

    Only in the main thread, where Python delivers signals; in others nothing is set.
    """
    ending = Ending()

    def ask(signum: int, frame: FrameType | None) -> None:
        if ending.now.is_set():
            os._exit(EXIT_INTERRUPTED)
        ending.now.set()

    if threading.current_thread() is not threading.main_thread():
        yield ending
        return
    before = {number: signal.signal(number, ask) for number in _SIGNALS}
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def signal_handlers_kept() -> Iterator[None]:
    """Restore the signal handlers at the end of the context: Ray replaces those of its caller."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
