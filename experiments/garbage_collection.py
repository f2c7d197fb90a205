"""Python's search for cyclic garbage, where it takes seconds and finds none.

Importing a large package makes many objects that stay. With Python's default they are searched again and again while
more come, and all of them once more when the process ends.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

OBJECTS = 50_000  # made in between two searches; 700 by Python's default


def search_rarely() -> None:
    """For a process that trains nothing: garbage of tensors may not wait."""
    gc.set_threshold(OBJECTS, *gc.get_threshold()[1:])


@contextmanager
def importing() -> Iterator[None]:
    """No search at all in the context; what is there at its end is never searched."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def leave() -> None:
    """Before the process ends: it need not search what the system takes back as a whole.

    Not for a process that trains: packages below torch take what is left for a leak, and say so.
    """
    gc.freeze()
