"""Ending on request: the first Ctrl-C asks, the second one leaves at once."""

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
    """Whether a sweep was asked to end early.

    Attributes:
        now: set to leave the trials under way where they are.
        soon: set to leave them after the epoch, their state written.
    """

    now: threading.Event = field(default_factory=threading.Event)
    soon: threading.Event = field(default_factory=threading.Event)

    @property
    def is_asked(self) -> bool:
        """Whether it was, one way or the other."""
        return self.now.is_set() or self.soon.is_set()


class Interrupted(KeyboardInterrupt):
    """The sweep was asked to stop while something was under way.

    Not an Exception: for those Tune waits until its actors have ended their step.
    """


@contextmanager
def interruptible() -> Iterator[Ending]:
    """SIGINT and SIGTERM ask to end `now`, while in the context; a second signal ends the process.

    Only in the main thread, where Python delivers signals; elsewhere no signal asks.
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
def handlers_kept() -> Iterator[None]:
    """Undo what the body changes about signals: Ray puts handlers of its own in place of its caller's."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
