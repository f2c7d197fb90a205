"""Sweeps that write to a real MLflow server that is away for a while.

OTTT_OUTAGE is how many seconds it is away at least: 0 by default, 60 in the long test.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.experiments.commands import Place
from tests.experiments.run.test_kill import WATCH
from tests.experiments.servers import TrackingServer, serving
from tests.experiments.tracking.served import SPEC, place, points, recorded, statuses

OUTAGE_S = float(os.environ.get("OTTT_OUTAGE", "0"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


@dataclass(frozen=True)
class Sweep:
    """A sweep that runs, with no trial beyond its second epoch until `release`."""

    here: Place
    process: subprocess.Popen[bytes]
    gate: Path

    def release(self) -> None:
        self.gate.unlink()

    def said(self) -> str:
        return (self.here.folder / "said.txt").read_text(encoding="utf-8")

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait, however long it takes."""
        while not condition() and self.process.poll() is None:
            time.sleep(0.05)
        assert condition(), self.said()


@contextmanager
def started(folder: Path, server: TrackingServer, name: str) -> Iterator[Sweep]:
    (folder / "modules").mkdir()
    (folder / "modules" / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
    gate = folder / "gate"
    gate.touch()
    here = place(folder, server, SPEC.replace("served", name).replace("epochs: 3", "epochs: 6"))
    watch = {"OTTT_WATCH": str(folder / "watched.txt"), "OTTT_GATE": str(gate)}
    here = replace(here, modules=folder / "modules", variables={**here.variables, **watch})
    with (folder / "said.txt").open("w") as said:
        process = subprocess.Popen(
            here.command("sweep", "run", "served.yaml"), cwd=folder, env=here.environment(), stderr=said
        )
        try:
            yield Sweep(here, process, gate)
        finally:
            process.kill()
            process.wait()


def test_after_an_outage_the_server_lacks_nothing(server: TrackingServer, tmp_path: Path) -> None:
    with started(tmp_path, server, "outage") as sweep:
        here = sweep.here
        sweep.until(lambda: here.epochs() >= 1)
        server.kill()
        before = here.epochs()
        sweep.release()
        sweep.until(lambda: here.epochs() > before + 2)  # it does not wait for the server
        time.sleep(OUTAGE_S)
        server.start()
        assert sweep.process.wait() == 0, sweep.said()
    assert points(server, "outage") == recorded(here)
    assert statuses(server, "outage") == [("sweep", "FINISHED"), *[("trial", "FINISHED")] * 4]


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_server_that_is_away_at_the_end_is_waited_for(
    server: TrackingServer, tmp_path: Path, *, comes_back: bool
) -> None:
    name = f"late-{comes_back}"
    with started(tmp_path, server, name) as sweep:
        sweep.until(lambda: sweep.here.epochs() >= 1)
        server.kill()
        sweep.release()
        sweep.until(lambda: "waiting 120 s" in sweep.said())
        if comes_back:
            server.start()
        else:
            sweep.process.send_signal(signal.SIGINT)
        assert sweep.process.wait() == int(not comes_back), sweep.said()
    if not comes_back:
        server.start()
    last = sweep.said().splitlines()[-1]
    assert last.startswith("error: the tracking store lacks 4 trials: the server does not answer") != comes_back
    again = sweep.here.ottt("sweep", "run", "served.yaml")
    assert (again.returncode, "trials run:  0 of 4" in again.stdout) == (0, True)
    assert points(server, name) == recorded(sweep.here)
    assert statuses(server, name) == [("sweep", "FINISHED"), *[("trial", "FINISHED")] * 4]
