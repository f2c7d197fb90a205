"""A terminal that closes interrupts a sweep as Ctrl-C does, except under nohup."""

import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ottt.schema import Status
from tests.experiments.commands import Place
from tests.experiments.run.test_kill import place, until, watched

Held = tuple[Place, Callable[[], None]]


@pytest.fixture
def held(tmp_path: Path, empty_store: Path) -> Held:
    """A sweep whose trials wait in their second epoch, and what lets them go on."""
    gate = tmp_path / "gate"
    gate.touch()
    here = place(tmp_path).take_store(empty_store)
    (tmp_path / "killed.yaml").write_text(
        "name: killed\nbase: {T: 2, epochs: 3, batch_size: 64, model.width: 0.5}\nseeds: 2\n", encoding="utf-8"
    )
    return replace(here, variables={**here.variables, "OTTT_GATE": str(gate)}), gate.unlink


@contextmanager
def shown_on_a_terminal() -> Iterator[int]:
    """A terminal for a process; it is closed at the end, and what is shown there is read until then."""
    screen, terminal = pty.openpty()
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            if select.select([screen], [], [], 0.1)[0]:
                os.read(screen, 4096)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield terminal
    finally:
        over.set()
        reader.join()
        os.close(screen)


def test_a_closed_terminal_interrupts(held: Held) -> None:
    here, release = held
    with shown_on_a_terminal() as terminal:
        process = subprocess.Popen(
            here.command("sweep", "run", "killed.yaml"),
            cwd=here.folder,
            env=here.environment(),
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(terminal)
        assert until(lambda: any(epoch == 2 for _, epoch, _ in watched(here)), seconds=900)
    assert process.wait(timeout=900) == 130
    assert set(here.statuses().values()) == {Status.INTERRUPTED}
    assert {status for _, status in here.runs()} == {"KILLED"}
    release()
    assert here.ottt("sweep", "resume", "killed").returncode == 0
    assert set(here.statuses().values()) == {Status.FINISHED}


def test_under_nohup_a_sweep_goes_on(held: Held) -> None:
    here, release = held
    process = subprocess.Popen(
        ["nohup", *here.command("sweep", "run", "killed.yaml")],
        cwd=here.folder,
        env=here.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert until(lambda: any(epoch == 2 for _, epoch, _ in watched(here)), seconds=900)
    os.killpg(process.pid, signal.SIGHUP)
    release()
    _, said = process.communicate(timeout=900)
    assert process.returncode == 0, said
    assert set(here.statuses().values()) == {Status.FINISHED}
