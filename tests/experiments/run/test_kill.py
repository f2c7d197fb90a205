"""Sweeps whose processes are killed go on as if nothing had happened: bit for bit, nothing lost, nothing twice.

Three kills of the driver by default; OTTT_KILLS=10 is the long series.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ottt.schema import Status
from ottt.training.checkpoint import read_checkpoint
from tests.experiments.commands import Place, descendants, is_alive, kill
from tests.experiments.faults import TRAINER, after_import

KILLS = int(os.environ.get("OTTT_KILLS", "3"))
EPOCHS = 8

SPEC = f"""\
name: killed
base: {{T: 2, epochs: {EPOCHS}, batch_size: 64, model.width: 0.5}}
axes: {{rule.update: [accumulate, online]}}
seeds: 3
checkpoints: {{seconds: 0, keep: true}}
"""
TRIALS = 6

# Every process that trains notes each epoch when it ends, and waits in its second one while there is a gate.
WATCH = after_import(
    TRAINER,
    """\
train_epoch = module.Trainer.train_epoch
def watched(self):
    metrics = train_epoch(self)
    with open(os.environ["OTTT_WATCH"], "a") as file:
        file.write(f"{self.config.trial_hash} {self.epoch} {os.getpid()}\\n")
    while self.epoch == 2 and os.path.exists(os.environ.get("OTTT_GATE", "")):
        time.sleep(0.05)
    return metrics
module.Trainer.train_epoch = watched
""",
)


def place(folder: Path) -> Place:
    (folder / "killed.yaml").write_text(SPEC, encoding="utf-8")
    (folder / "modules").mkdir()
    (folder / "modules" / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
    return Place(folder, modules=folder / "modules", variables={"OTTT_WATCH": str(folder / "watched.txt")})


def watched(here: Place) -> list[tuple[str, int, int]]:
    """Trial, epoch and process of every epoch that was trained."""
    path = here.folder / "watched.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [(trial, int(epoch), int(pid)) for trial, epoch, pid in map(str.split, lines)]


def numbers(here: Place) -> dict[str, Any]:
    """By trial: every metric that the machine's speed does not change, and every parameter as it ended."""
    found = {}
    for trial in here.statuses():
        metrics = [
            {key: value for key, value in epoch.metrics.items() if not key.startswith(("time/", "perf/", "mem/"))}
            for epoch in here.records.epochs(trial)
        ]
        net = read_checkpoint(here.records.checkpoint(trial))["net"]
        found[trial] = metrics, {name: value.numpy().tobytes() for name, value in net.items()}
    return found


def until(condition: Callable[[], bool], *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> dict[str, Any]:
    here = place(tmp_path_factory.mktemp("uninterrupted")).take_store(empty_store)
    done = here.ottt("sweep", "run", "killed.yaml")
    assert done.returncode == 0, done.stderr
    assert len(watched(here)) == TRIALS * EPOCHS
    return numbers(here)


def check(here: Place, uninterrupted: dict[str, Any]) -> None:
    assert set(here.statuses().values()) == {Status.FINISHED}
    assert numbers(here) == uninterrupted
    assert len(uninterrupted) == TRIALS
    assert here.runs() == [("sweep", "FINISHED"), *[("trial", "FINISHED")] * TRIALS]
    assert here.doubled() == 0
    counts = here.query("SELECT count(*) FROM metrics WHERE key = 'val/top1' GROUP BY run_uuid")
    assert counts == [(EPOCHS,)] * TRIALS


def test_a_killed_worker_costs_an_epoch(tmp_path: Path, uninterrupted: dict[str, Any], empty_store: Path) -> None:
    here = place(tmp_path).take_store(empty_store)
    driver = here.start("sweep", "run", "killed.yaml")
    assert until(lambda: any(epoch >= 3 for _, epoch, _ in watched(here)), seconds=900)
    worker = watched(here)[-1][2]
    kill(worker)
    _, said = driver.communicate(timeout=900)
    assert driver.returncode == 0, said
    lost = [line for line in said.splitlines() if line.startswith("lost: ")]
    assert len(lost) == 1
    assert "again in 2 s, from its last checkpoint" in lost[0]
    check(here, uninterrupted)
    again = [count for count in Counter((trial, epoch) for trial, epoch, _ in watched(here)).values() if count > 1]
    assert sum(again) <= 2 * 2  # the epoch under way, and the last one if it was not recorded yet
    assert not any(here.records.folder.glob("*/error.txt"))


@pytest.mark.timeout(400 * (KILLS + 2))
def test_a_killed_driver_loses_nothing(tmp_path: Path, uninterrupted: dict[str, Any]) -> None:
    here = place(tmp_path)
    moments = random.Random(0)
    done: Counter[str] = Counter()
    for kills in range(KILLS):
        driver = here.start("sweep", "run" if kills == 0 else "resume", "killed.yaml" if kills == 0 else "killed")
        target = TRIALS * EPOCHS * (kills + moments.random()) / KILLS
        until(lambda driver=driver, target=target: here.epochs() >= target or driver.poll() is not None, seconds=900)
        workers = {pid for _, _, pid in watched(here)} & descendants(driver.pid).keys()
        kill(driver.pid)
        driver.communicate(timeout=900)
        assert until(lambda workers=workers: not any(map(is_alive, workers)), seconds=900)
        done.update(trial for trial, status in here.statuses().items() if status is Status.FINISHED)
    ended = Counter(trial for trial, epoch, _ in watched(here) if epoch == EPOCHS)
    resumed = here.ottt("sweep", "resume", "killed")
    assert resumed.returncode == 0, resumed.stderr
    check(here, uninterrupted)
    last = Counter(trial for trial, epoch, _ in watched(here) if epoch == EPOCHS)
    assert all(last[trial] == ended[trial] for trial in done)  # what was finished was left alone
    trained = len(watched(here))
    assert trained <= TRIALS * EPOCHS + KILLS * 2 * 2  # two workers, each an epoch under way and one not recorded


@pytest.mark.parametrize(
    ("process", "name"), [("raylet", "Ray's raylet"), ("gcs_server", "Ray's control service (GCS)")]
)
def test_a_lost_ray_ends_the_sweep_with_a_word(
    tmp_path: Path, uninterrupted: dict[str, Any], empty_store: Path, process: str, name: str
) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    here = place(tmp_path).take_store(empty_store)
    here = replace(here, variables={**here.variables, "OTTT_GATE": str(gate)})
    driver = here.start("sweep", "run", "killed.yaml")
    assert until(lambda: any(epoch == 2 for _, epoch, _ in watched(here)), seconds=900)
    [victim] = [pid for pid, one in descendants(driver.pid).items() if one == process]
    kill(victim)
    _, said = driver.communicate(timeout=900)
    last = said.splitlines()[-1]
    assert driver.returncode == 1, said
    assert last.startswith(f"error: {name} at ")
    assert f" no longer answers: 0 of {TRIALS} trials done; to resume: " in last
    assert last.endswith("-m experiments.cli sweep run killed.yaml")
    assert set(here.statuses().values()) == {Status.INTERRUPTED}
    assert {status for _, status in here.runs()} == {"KILLED"}
    gate.unlink()
    assert here.ottt("sweep", "resume", "killed").returncode == 0
    check(here, uninterrupted)
