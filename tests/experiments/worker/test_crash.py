"""Processes that die in a trial, and what they leave for the driver to read."""

import subprocess
import sys
from pathlib import Path

import pytest

from experiments.worker.crash import NOTE, death_noted, take_note

PROGRAM = """\
import ctypes, os, signal, sys, threading
from pathlib import Path
from experiments.worker.crash import death_noted

def die():
    {how}

threading.Thread(target=threading.Event().wait, daemon=True).start()  # is not the one that dies
with death_noted(Path(sys.argv[1]), seconds={seconds}):
    die()
"""


def run(folder: Path, how: str, seconds: float | None = None) -> int:
    program = folder / "dying.py"
    program.write_text(PROGRAM.format(how=how, seconds=seconds), encoding="utf-8")
    done = subprocess.run([sys.executable, str(program), str(folder)], capture_output=True, text=True)
    return done.returncode


@pytest.mark.parametrize(
    ("how", "status", "reason"),
    [
        ("os._exit(3)", 3, "os._exit(3) (dying.py:6)"),
        ("ctypes.string_at(0)", -11, "Fatal Python error: Segmentation fault (__init__.py:"),
        ("os.abort()", -6, "Fatal Python error: Aborted (dying.py:6)"),
        ("signal.raise_signal(signal.SIGBUS)", -7, "Fatal Python error: Bus error (dying.py:6)"),
    ],
)
def test_a_dying_process_says_how_and_where(tmp_path: Path, how: str, status: int, reason: str) -> None:
    assert run(tmp_path, how) == status
    note = take_note(tmp_path)
    assert note is not None
    assert note.reason.startswith(reason)
    assert not note.is_timeout
    assert "dying.py" in note.trace
    assert take_note(tmp_path) is None  # it is read once


def test_what_hangs_is_ended_with_the_place_where_it_hangs(tmp_path: Path) -> None:
    # The library function holds Python's lock, so that no Python thread could end the process.
    assert run(tmp_path, "ctypes.PyDLL(None).pause()", seconds=0.2) == 1
    note = take_note(tmp_path)
    assert note is not None
    assert note.is_timeout
    assert note.reason == "Timeout (0:00:00.200000) (dying.py:6)"


def test_a_killed_process_leaves_no_note(tmp_path: Path) -> None:
    assert run(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)") == -9
    assert take_note(tmp_path) is None


def test_a_child_that_ends_leaves_no_note(tmp_path: Path) -> None:
    how = "child = os.fork(); child or os._exit(7); assert os.waitpid(child, 0)[1] == 7 << 8; signal.raise_signal(9)"
    assert run(tmp_path, how) == -9
    assert take_note(tmp_path) is None


def test_what_ends_in_time_leaves_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, "return", seconds=3600) == 0
    assert not (tmp_path / NOTE).exists()
    with death_noted(tmp_path, seconds=None):
        assert (tmp_path / NOTE).exists()
    assert take_note(tmp_path) is None


def test_where_no_note_can_be_written_the_trial_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with death_noted(tmp_path / "file", seconds=None):
        pass
    assert take_note(tmp_path / "file") is None
