"""The driver killed between any two durable writes of a trial's life: the same command gives the same content after it.

One sweep of one trial is killed before each kind of write, the next one in every further run, until it runs through.
"""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.commands import Place
from tests.experiments.faults import KILLED, RECORDS, killed_at, place

SPEC = """\
name: gaps
base: {T: 1, epochs: 2, batch_size: 256, model.width: 0.1}
axes: {rule.update: [accumulate]}
seeds: 1
checkpoints: {seconds: 0}
"""

KILLS = [
    "experiments.results.folder:Results.write_plan:1",
    f"{RECORDS}.begin:1",
    f"{RECORDS}.append:1",
    f"{RECORDS}.describe:1",
    f"{RECORDS}.append:2",
    f"{RECORDS}.keep_evaluation:1",
    f"{RECORDS}.drop_checkpoint:1",  # of a resumed trial: one that begins drops what there is, too
    f"{RECORDS}.end:1",
    "experiments.tracking.sweep_runs:SweepRuns.close:1",
]


def run(here: Place, kill: str = "") -> subprocess.CompletedProcess[str]:
    return killed_at(here, kill).ottt("sweep", "run", "spec.yaml")


def content(here: Place) -> dict[str, Any]:
    """Records, files and what MLflow holds, less times, ids and the machine's speed."""
    (trial,) = here.statuses()
    record, evaluation = here.records.read(trial), here.records.evaluation(trial)
    assert record is not None
    timed = "key NOT LIKE 'time/%' AND key NOT LIKE 'perf/%' AND key NOT LIKE 'mem/%'"
    tags = "key LIKE 'ottt.%'"
    artifacts = here.folder / "results" / "artifacts"
    return {
        "record": {key: value for key, value in vars(record).items() if key not in ("started", "ended")},
        "files": sorted(path.name for path in (here.records.folder / trial).iterdir()),
        "evaluation": evaluation,
        "epochs": [epoch.epoch for epoch in here.records.epochs(trial)],
        "metrics": sorted(here.query(f"SELECT key, step, value FROM metrics WHERE {timed}")),
        "tags": sorted(here.query(f"SELECT key, value FROM tags WHERE {tags}")),
        "params": sorted(here.query("SELECT key, value FROM params")),
        "runs": here.runs(),
        "artifacts": sorted(path.name for path in artifacts.rglob("*") if path.is_file()),
    }


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    here = place(tmp_path_factory.mktemp("whole"), SPEC)
    done = run(here)
    assert done.returncode == 0, done.stderr
    return content(here)


def test_a_kill_before_any_write_changes_nothing(uninterrupted: dict[str, Any], tmp_path: Path) -> None:
    here = place(tmp_path, SPEC)
    for kill in KILLS:
        killed = run(here, kill)
        assert killed.returncode == KILLED, f"{kill}: {killed.stderr}"
    done = run(here)
    assert done.returncode == 0, done.stderr
    assert content(here) == uninterrupted
    assert here.doubled() == 0


def test_two_drivers_that_start_together_train_an_interrupted_trial_once(tmp_path: Path) -> None:
    here = place(tmp_path, SPEC)
    other = SPEC.replace("name: gaps", "name: other")
    (tmp_path / "other.yaml").write_text(other, encoding="utf-8")
    assert run(here, f"{RECORDS}.append:2").returncode == KILLED
    both = [here.start("sweep", "run", name) for name in ("spec.yaml", "other.yaml")]
    said = [process.communicate(timeout=900)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    (trial,) = here.statuses()
    assert [epoch.epoch for epoch in here.records.epochs(trial)] == [1, 2]
    record = here.records.read(trial)
    assert record is not None
    assert record.settled
    assert sorted(here.runs()) == [*[("sweep", "FINISHED")] * 2, *[("trial", "FINISHED")] * 2]
