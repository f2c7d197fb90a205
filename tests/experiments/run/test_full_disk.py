"""A sweep on a real small disk that fills up in the middle of a trial, checkpoint included."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ottt.schema import Status
from tests.experiments.commands import Place
from tests.experiments.faults import TRAINER, after_import

SIZE_MIB = 400

SPEC = """\
name: full
base: {T: 2, epochs: 3, batch_size: 256, model.width: 0.5}
axes: {rule.update: [accumulate, online]}
seeds: 1
checkpoints: {seconds: 0}
"""

# Every trial waits after its first epoch, which is not reported yet, while there is a gate.
GATED = after_import(
    TRAINER,
    """\
train_epoch = module.Trainer.train_epoch
def gated(self):
    metrics = train_epoch(self)
    if self.epoch == 1:
        open(os.environ["OTTT_GATE"] + ".reached", "w").close()
    while os.path.exists(os.environ["OTTT_GATE"]):
        time.sleep(0.05)
    return metrics
module.Trainer.train_epoch = gated
""",
)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    results = tmp_path / "results"
    results.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", str(results)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
        (tmp_path / "modules").mkdir()
        (tmp_path / "modules" / "sitecustomize.py").write_text(GATED, encoding="utf-8")
        yield Place(tmp_path, tmp_path / "modules", {"OTTT_GATE": str(tmp_path / "gate")})
    finally:
        subprocess.run(["umount", "--lazy", str(results)], check=True)


@contextmanager
def paused(here: Place) -> Iterator[subprocess.Popen[str]]:
    """A run whose disk filled up, and that has said so."""
    gate = here.folder / "gate"
    gate.touch()
    driver = here.start("sweep", "run", "spec.yaml")
    assert driver.stderr is not None
    try:
        while not (here.folder / "gate.reached").exists():
            assert driver.poll() is None, driver.stderr.read()
            time.sleep(0.05)
        fill(here.folder / "results" / "filler")
        gate.unlink()
        said = [""]
        while not said[-1].startswith("paused: "):
            said.append(driver.stderr.readline())
            assert said[-1], "".join(said)
        yield driver
    finally:
        if driver.poll() is None:
            os.killpg(driver.pid, signal.SIGKILL)
            driver.communicate()


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 10, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


def numbers(here: Place) -> dict[str, list[Any]]:
    return {
        trial: [(epoch.epoch, epoch.metrics["val/loss"]) for epoch in here.records.epochs(trial)]
        for trial in here.statuses()
    }


def with_room(here: Place) -> None:
    (here.folder / "results" / "filler").unlink()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> dict[str, list[Any]]:
    folder = tmp_path_factory.mktemp("roomy")
    (folder / "spec.yaml").write_text(SPEC, encoding="utf-8")
    roomy = Place(folder).take_store(empty_store)
    done = roomy.ottt("sweep", "run", "spec.yaml")
    assert done.returncode == 0, done.stderr
    return numbers(roomy)


def finished(here: Place) -> bool:
    return set(here.statuses().values()) == {Status.FINISHED}


def test_a_sweep_waits_for_room_and_loses_nothing(here: Place, expected: dict[str, list[Any]]) -> None:
    with paused(here) as driver:
        with_room(here)
        output = driver.communicate(timeout=900)[1]
    assert driver.returncode == 0, output
    assert "there is room again: the sweep continues" in output
    assert finished(here)
    assert numbers(here) == expected


def test_ctrl_c_ends_the_wait_for_room(here: Place, expected: dict[str, list[Any]]) -> None:
    with paused(here) as driver:
        driver.send_signal(signal.SIGINT)
        output = driver.communicate(timeout=900)[1]
    assert driver.returncode == 130, output
    assert output.splitlines()[-1].startswith("interrupted: 0 of 2 trials done; to resume: ")
    assert max(map(len, output.splitlines())) < 200, output
    with_room(here)
    again = here.ottt("sweep", "run", "spec.yaml")
    assert again.returncode == 0, again.stderr
    assert finished(here)
    assert numbers(here) == expected
