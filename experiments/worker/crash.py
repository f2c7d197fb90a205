"""A note in the trial's folder of how its worker died, for the driver to read: Ray only sees that the process is gone.

The note is written by `faulthandler`, which needs neither Python's lock nor a sound process: also for a segmentation
fault, and for a trial that hangs. Of a process that was killed (SIGKILL) there is none.
"""

import faulthandler
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TextIO

from experiments.worker.step_report import storable

NOTE = "crash.txt"  # in the trial's folder, while it trains

_FRAME = re.compile(r'File "(.+?)", line (\d+)')
_TIMEOUT = "Timeout ("  # first line of faulthandler's note about time


@dataclass(frozen=True)
class Note:
    """How a worker died.

    Attributes:
        reason: in one line.
        trace: where every thread was.
        is_timeout: whether the trial took longer than it may.
    """

    reason: str
    trace: str
    is_timeout: bool


@contextmanager
def death_noted(folder: Path, *, seconds: float | None) -> Iterator[None]:
    """In the context, the process notes in `folder` how it dies; after `seconds` it ends itself."""
    with _opened(folder / NOTE) as file:
        before, was_enabled, process = os._exit, faulthandler.is_enabled(), os.getpid()

        def note_and_exit(status: int) -> NoReturn:
            if os.getpid() == process:  # children, as those that load data, end in this way as a rule
                _note_exit(file, status)
            before(status)

        os._exit = note_and_exit
        faulthandler.enable(file)
        if seconds is not None:
            faulthandler.dump_traceback_later(max(seconds, 1e-3), exit=True, file=file)
        try:
            yield
        finally:
            os._exit = before
            faulthandler.cancel_dump_traceback_later()
            faulthandler.enable() if was_enabled else faulthandler.disable()
    with suppress(OSError):
        (folder / NOTE).unlink()


def _note_exit(file: TextIO, status: int) -> None:
    file.write(f"os._exit({status})\n\nCurrent thread (most recent call first):\n")
    file.writelines(
        f'  File "{frame.filename}", line {frame.lineno} in {frame.name}\n'
        for frame in reversed(traceback.extract_stack()[:-2])
    )
    file.flush()


def take_note(folder: Path) -> Note | None:
    """The note of a worker that died, which is deleted; None if it left none."""
    path = folder / NOTE
    try:
        text = storable(path.read_text(encoding="utf-8", errors="replace"))
        path.unlink()
    except OSError:
        return None
    first, _, stacks = text.partition("\n")
    if not first:
        return None
    frame = _FRAME.search(_thread(stacks))
    where = f" ({Path(frame[1]).name}:{frame[2]})" if frame else ""
    return Note(f"{first.rstrip('!')}{where}", text, first.startswith(_TIMEOUT))


def _thread(stacks: str) -> str:
    """Of the threads' stacks, that of the one that died; where none did, the main thread's, which comes last."""
    _, current, died = stacks.partition("Current thread ")
    return died if current else stacks.split("\nThread ")[-1]


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """The file, to be written; where that cannot be, as on a full disk, the worker's log in its place."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w", encoding="utf-8")
    except OSError:
        yield sys.__stderr__ or sys.stderr
        return
    with file:
        yield file
