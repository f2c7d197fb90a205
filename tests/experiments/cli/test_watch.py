"""`ottt sweep status --watch`, of a sweep that this test runs: it holds the lock and writes the records."""

import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from experiments.planning.plan import SweepPlan, expand
from experiments.results.folder import Results
from ottt.schema import Status
from tests.experiments.commands import Place
from tests.experiments.specs import recorded, spec


@dataclass(frozen=True)
class Running:
    """A sweep of three trials that is said to run until `lock` is closed."""

    place: Place
    plan: SweepPlan
    lock: ExitStack

    def begin(self, number: int) -> None:
        recorded(self.place.records, self.plan.trials[number], Status.RUNNING)

    def end(self, number: int, status: Status) -> None:
        self.place.records.end(self.plan.trials[number].trial, status)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    sweep = spec(base="digits", axes={"neuron.tau": [1.5, 2.0, 4.0]})
    plan, results = expand(sweep), Results.at(tmp_path / "results")
    results.write_plan(plan, sweep.to_yaml())
    with ExitStack() as lock:
        lock.enter_context(results.lock("s"))
        yield Running(Place(tmp_path), plan, lock)


@pytest.fixture
def watching(running: Running) -> Iterator[subprocess.Popen[str]]:
    """The command with its output in a pipe."""
    with subprocess.Popen(
        running.place.command("sweep", "status", "s", "--watch"),
        cwd=running.place.folder,
        env=running.place.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        yield process
        process.kill()


def test_a_pipe_gets_a_line_per_change_and_the_end(running: Running, watching: subprocess.Popen[str]) -> None:
    assert watching.stdout is not None
    assert watching.stdout.readline() == "s: 0 of 3 trials done, 0 running\n"
    running.begin(0)
    assert watching.stdout.readline() == "s: 0 of 3 trials done, 1 running\n"
    running.end(0, Status.FAILED)
    assert watching.stdout.readline() == "s: 0 of 3 trials done, 0 running, 1 failed\n"
    running.lock.close()
    rest, errors = watching.communicate()
    assert rest == "s: 0 of 3 trials done, the sweep is not running, 1 failed\n"
    assert (watching.returncode, errors) == (0, "")


def test_ctrl_c_ends_it_without_a_traceback(running: Running, watching: subprocess.Popen[str]) -> None:
    assert watching.stdout is not None
    watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    rest, errors = watching.communicate()
    assert (watching.returncode, rest, errors) == (130, "", "")


def test_a_terminal_gets_one_table_that_is_redrawn(running: Running) -> None:
    controller, terminal = pty.openpty()
    variables = {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    process = subprocess.Popen(
        running.place.command("sweep", "status", "s", "--watch"),
        cwd=running.place.folder,
        env=running.place.environment() | variables,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = _until(controller, "s: 0 of 3 trials done, 0 running")
    running.begin(0)
    running.end(0, Status.FINISHED)
    shown += _until(controller, "s: 1 of 3 trials done, 0 running")
    running.lock.close()
    shown += _until(controller, "the sweep is not running")
    shown += _until(controller, None)
    os.close(controller)
    assert process.wait() == 0
    assert "\x1b[1A" in shown  # the cursor goes up: the table before is overwritten
    last = shown.rpartition("the sweep is not running")[2]
    assert [line.split() for line in last.splitlines() if line.startswith("1.5")] == [
        ["1.5", "1/1", "0", "0", "0", "0", "0"]
    ]


def test_a_sweep_that_does_not_run_is_shown_once(running: Running) -> None:
    running.lock.close()
    done = running.place.ottt("sweep", "status", "s", "--watch")
    assert (done.returncode, done.stdout) == (0, "s: 0 of 3 trials done, the sweep is not running\n")


def test_one_form_at_a_time(running: Running) -> None:
    done = running.place.ottt("sweep", "status", "s", "--watch", "--json")
    assert (done.returncode, done.stderr) == (2, "error: options must ask for one form, got --watch and --json\n")


def _until(controller: int, text: str | None) -> str:
    """What the terminal shows until the text has come; None: until the process has closed it."""
    shown = b""
    while text is None or text.encode() not in shown:
        try:
            more = os.read(controller, 4096)
        except OSError:  # closed
            more = b""
        if not more:
            assert text is None, shown.decode()
            break
        shown += more
    return shown.decode()
