"""Limits garbage collection where it costs seconds and frees nothing.

Importing a large package makes many objects that stay. With Python's default thresholds they are searched over and over
while more are made, and once more when the process ends.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

OBJECTS = 50_000  # new objects between two collections; 700 by default


def collect_rarely() -> None:
    """Collect less often. Only for processes that train nothing: garbage that holds tensors must not wait."""
    gc.set_threshold(OBJECTS, *gc.get_threshold()[1:])


@contextmanager
def collection_paused() -> Iterator[None]:
    """Collect nothing in the context, and never the objects that exist at its end."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def skip_collection_at_exit() -> None:
    """Skip the collection when the process ends: the system frees its memory as a whole.

    Not for processes that train: libraries below torch report what is left as a leak.
    """
    gc.freeze()
