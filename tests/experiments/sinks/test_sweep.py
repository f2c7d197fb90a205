"""The sweep of `docs/sinks.md`, whose driver is killed, resumed, and whose sinks are filled again from the records."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.planning.plan import expand
from experiments.sweep_spec.read import read_spec
from ottt.schema import Status
from tests.docs.markdown import ROOT, blocks
from tests.experiments import faults
from tests.experiments.commands import Place
from tests.experiments.run.test_kill import until
from tests.experiments.sinks import wandb_files
from tests.ottt.sinks import event_files

PAGE = {block.file: block.text for block in blocks(ROOT / "docs" / "sinks.md") if block.file}
SMALL = ("T=2", "model.width=0.25")
NAMES = {"accumulate s0", "accumulate s1", "online s0", "online s1"}
EPOCHS = 2
KILL = "ottt.sinks.tensorboard:TensorBoardSink.log:4"  # of the second trial's last epoch


def place(folder: Path) -> Place:
    here = faults.place(folder, PAGE["sinks.yaml"])
    (folder / "lines.py").write_text(PAGE["lines.py"], encoding="utf-8")
    variables = {"WANDB_MODE": "offline", "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    return replace(here, cores=1, variables=variables)


def processes_of_wandb(here: Place) -> list[int]:
    """Those that were started in the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "comm").read_text(encoding="utf-8").startswith("wandb"):
                found += [int(process.name)] * ((process / "cwd").resolve() == here.folder)
        except OSError:  # it has ended
            continue
    return found


def check_tensorboard(here: Place, sweep: str) -> None:
    folder = here.folder / "results" / "tensorboard" / sweep
    found = event_files.points(folder)
    expected = {
        name: [
            (metric, epoch.epoch, float(np.float32(value)))
            for epoch in here.records.epochs(trial)
            for metric, value in epoch.metrics.items()
        ]
        for name, trial in trials(here).items()
    }
    assert found == expected
    assert {len(tops(points)) for points in found.values()} == {EPOCHS}
    compared = event_files.sessions(folder)
    assert sorted((str(settings["rule.update"]), settings["seed"], status) for settings, _, status in compared) == [
        (update, seed, "success") for update in ("accumulate", "online") for seed in (0.0, 1.0)
    ]
    last = {metrics["test/top1"] for _, metrics, _ in compared}
    assert last == {points[-1][2] for points in map(tops, found.values())}


def tops(points: list[event_files.Point]) -> list[event_files.Point]:
    return [point for point in points if point[0] == "test/top1"]


def trials(here: Place) -> dict[str, str]:
    """The hash of each trial by its short name."""
    read = (here.records.read(trial) for trial in here.statuses())
    records = [record for record in read if record is not None]
    return {f"{record.config['rule.update']} s{record.config['seed']}": record.trial for record in records}


def check_wandb(here: Place, sweep: str) -> None:
    """No file holds a step twice or another value than the records; the last one of each trial is complete."""
    files = sorted((here.folder / "results" / "wandb" / sweep).rglob("*.wandb"), key=lambda file: file.stat().st_mtime)
    last: dict[str, wandb_files.Run] = {}
    for file in files:
        run = wandb_files.read(file)
        if not run.id:  # the process ended before anything was written
            continue
        epochs = [(epoch.epoch, dict(epoch.metrics)) for epoch in here.records.epochs(run.id)]
        assert run.rows == epochs[: len(run.rows)]
        last[run.id] = run
    assert {run.name: run.id for run in last.values()} == trials(here)
    assert {(run.project, len(run.rows), run.exit_code) for run in last.values()} == {(sweep, EPOCHS, 0)}
    assert {run.name: run.group for run in last.values()} == {name: name.split()[0] for name in NAMES}
    assert {run.config["T"] for run in last.values()} == {2}


def check_lines(here: Place, sweep: str) -> None:
    folder = here.folder / "results" / "lines" / sweep
    for name, trial in trials(here).items():
        lines = (folder / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        tops = [f"{epoch.epoch} {epoch.metrics['val/top1']}" for epoch in here.records.epochs(trial)]
        assert lines == [*tops, "finished"]


CHECKS: tuple[Callable[[Place, str], None], ...] = (check_tensorboard, check_wandb, check_lines)


def test_every_file_of_the_page_is_used_here() -> None:
    assert PAGE.keys() == {"sinks.yaml", "lines.py"}


@pytest.mark.skipif(shutil.which("taskset") is None, reason="taskset is not installed")
def test_a_killed_sweep_fills_its_sinks_without_a_double(tmp_path: Path) -> None:
    here = place(tmp_path)
    killed = faults.killed_at(here, KILL).ottt("sweep", "run", "spec.yaml", *SMALL)
    assert killed.returncode == faults.KILLED, killed.stderr
    assert until(lambda: not processes_of_wandb(here), seconds=60)
    logged = event_files.points(tmp_path / "results" / "tensorboard" / "sinks")
    assert sum(map(len, map(tops, logged.values()))) == 3

    resumed = here.ottt("sweep", "resume", "sinks")
    assert resumed.returncode == 0, resumed.stderr
    assert "sink" not in resumed.stderr.replace("sinks: ", "")
    assert "--logdir results/tensorboard/sinks\n" in resumed.stdout
    assert processes_of_wandb(here) == []
    assert trials(here).keys() == NAMES
    assert set(here.statuses().values()) == {Status.FINISHED}
    for check in CHECKS:
        check(here, "sinks")
    assert here.runs() == [("sweep", "FINISHED"), *[("trial", "FINISHED")] * 4]
    assert here.doubled() == 0
    without = expand(read_spec(tmp_path / "spec.yaml", [*SMALL, "sinks=[]"]))
    assert {trial.trial for trial in without.trials} == set(here.statuses())

    shared = here.ottt("sweep", "run", "spec.yaml", "name=shared", *SMALL)  # nothing is left to train
    assert shared.returncode == 0, shared.stderr
    for check in CHECKS:
        check(here, "shared")

    shutil.rmtree(tmp_path / "results" / "tensorboard")
    synced = here.ottt("sweep", "sync", "sinks")
    assert synced.returncode == 0, synced.stderr
    assert synced.stdout.splitlines()[1:] == [
        f"sink {name}: has them all" for name in ("tensorboard", "wandb", "lines")
    ]
    for check in CHECKS:
        check(here, "sinks")
