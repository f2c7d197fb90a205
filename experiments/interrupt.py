"""Requests to end a sweep: the first Ctrl-C asks, the second ends the process at once."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import NoReturn

EXIT_INTERRUPTED = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Ending:
    """A request that a sweep should end early.

    Attributes:
        now: set to abandon the running trials.
        soon: set to end them after the current epoch, with a checkpoint.
        gone: set when the cluster is gone, without which no trial can go on.
        undisturbed: held while an event of a trial is dealt with.
    """

    now: threading.Event = field(default_factory=threading.Event)
    soon: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)
    undisturbed: threading.Lock = field(default_factory=threading.Lock)
    _losses: list[str] = field(default_factory=list)

    @property
    def is_asked(self) -> bool:
        """Whether the sweep was asked to end, `now` or `soon`."""
        return self.now.is_set() or self.soon.is_set()

    @property
    def lost(self) -> str | None:
        """What the sweep ends early for because it was lost, in a sentence; None if it was asked to end, or goes on."""
        return self._losses[0] if self._losses else None

    def lose(self, what: str) -> None:
        """End the sweep now: the cluster is gone."""
        if not self.is_asked:  # else it is gone because of what ends the sweep: a terminal that closed
            self._losses.append(what)
        self.gone.set()
        self.now.set()


class Interrupted(KeyboardInterrupt):
    """The sweep was asked to stop.

    Not an Exception: on one, Tune waits until its actors have ended their step.
    """


@contextmanager
def interruptible() -> Iterator[Ending]:
    """In the context, SIGINT, SIGTERM and SIGHUP set `Ending.now`; a second SIGINT or SIGTERM ends the process.

    A terminal that closes sends SIGHUP, often twice; under nohup, which ignores it, it stays ignored. Only in the main
    thread, where Python delivers signals; in others nothing is set.
    """
    ending = Ending()

    def ask(signum: int, frame: FrameType | None) -> None:
        if ending.now.is_set() and signum != signal.SIGHUP:
            os._exit(EXIT_INTERRUPTED)
        ending.now.set()

    if threading.current_thread() is not threading.main_thread():
        yield ending
        return
    heeded = [number for number in _SIGNALS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, ask) for number in heeded}
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


@contextmanager
def watching(look: Callable[[], bool], *, period_s: float, name: str) -> Iterator[None]:
    """In the context, call `look` again and again in a thread of that name, until it has seen enough: gives True."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(period_s) and not look():
            pass

    thread = threading.Thread(target=watch, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def exit_at_once(status: int) -> NoReturn:
    """End without Python's clean-up, in which Ray's threads can abort the process after an interruption."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # a terminal that is gone
            stream.flush()
    os._exit(status)
