"""Notices that the Ray cluster is gone: Ray itself ends the process then, after a while and without a word of ours."""

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from experiments.interrupt import Ending, Interrupted, watching

PERIOD_S = 0.5  # between two looks
ANSWER_S = 5.0  # for a service to answer


@dataclass(frozen=True)
class Service:
    """A process that a cluster cannot do without.

    Attributes:
        name: what it is called.
        host: where it listens.
        port: where it listens.
        patience_s: how long it can be away, seconds.
    """

    name: str
    host: str
    port: int
    patience_s: float = 0.0

    @property
    def answers(self) -> bool:
        """Whether something listens there."""
        with suppress(OSError):
            socket.create_connection((self.host, self.port), timeout=ANSWER_S).close()
            return True
        return False


@contextmanager
def watched(services: Iterable[Service], lost: Callable[[str], None]) -> Iterator[None]:
    """In the context, call `lost` with a sentence, once and in another thread, if a service stays away."""
    away: dict[Service, float] = {}  # since when
    is_over = False

    def look() -> bool:
        for service in services:
            if service.answers:
                away.pop(service, None)
            elif service not in away:
                away[service] = time.monotonic()
            elif time.monotonic() - away[service] >= service.patience_s and not is_over:
                lost(f"{service.name} at {service.host}:{service.port} no longer answers")
                return True
        return False

    with watching(look, period_s=PERIOD_S, name="liveness"):
        try:
            yield
        finally:
            is_over = True  # a service that ends now was ended


def unless_lost(work: Callable[[], None], ending: Ending) -> None:
    """Do `work` in a thread of its own, and leave it there if the cluster is lost: Ray can block it for a minute.

    Raises:
        Interrupted: the cluster was lost. What `work` does within `Ending.undisturbed` is done.
    """
    outcome: Future[None] = Future()

    def do() -> None:
        try:
            work()
            outcome.set_result(None)
        except BaseException as error:  # it is the caller's
            outcome.set_exception(error)

    threading.Thread(target=do, name="sweep", daemon=True).start()
    while not ending.gone.is_set() and not outcome.done():
        wait([outcome], timeout=PERIOD_S)
    if ending.gone.is_set():
        ending.undisturbed.acquire()  # never released: nothing that `work` still tries is to have an effect
        raise Interrupted
    outcome.result()
