"""A sweep whose driver is killed repeatedly leaves the same in MLflow as an undisturbed one.

OTTT_KILLS is the number of kills: 2 by default, 10 in the long test.
"""

import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from ottt.schema import Status, Tag
from tests.experiments import faults
from tests.experiments.commands import Place

KILLS = int(os.environ.get("OTTT_KILLS", "2"))
SPEC = """\
name: killed
base: {T: 2, epochs: 4, batch_size: 128, model.width: 0.25}
axes: {rule.update: [accumulate, online], neuron.tau: [1.25, 2.0, 4.0]}
seeds: 3
"""
TRIALS = 18
WRITES = "mlflow.store.tracking.sqlalchemy_store:SqlAlchemyStore.log_batch"  # at least one a trial
ARGUMENTS = ("sweep", "run", "spec.yaml")
_OF_TRIALS = f" JOIN tags t USING (run_uuid) WHERE t.key = '{Tag.TRIAL}' AND r.lifecycle_stage = 'active'"


def place(folder: Path) -> Place:
    folder.mkdir()
    return replace(faults.place(folder, SPEC), cores=1)


def points(here: Place) -> list[tuple[Any, ...]]:
    """(trial, metric, step, value) in the store, without what depends on the clock."""
    found = here.query(
        f"SELECT t.value, m.key, m.step, m.value FROM metrics m JOIN runs r USING (run_uuid){_OF_TRIALS}"
    )
    return sorted(point for point in found if not point[1].startswith(("time/", "perf/", "mem/")))


def test_a_killed_driver_leaves_no_point_twice_and_none_out(tmp_path: Path) -> None:
    undisturbed, here = place(tmp_path / "undisturbed"), place(tmp_path / "killed")
    done = undisturbed.ottt(*ARGUMENTS)
    assert done.returncode == 0, done.stderr
    moments = random.Random(0)
    for _ in range(KILLS):  # so early that trials are left for the next kill
        killed = faults.killed_at(here, f"{WRITES}:{moments.randint(1, TRIALS // KILLS)}").ottt(*ARGUMENTS)
        assert killed.returncode == faults.KILLED, killed.stderr
    assert here.ottt(*ARGUMENTS).returncode == 0
    assert here.query(f"SELECT count(*), count(DISTINCT t.value) FROM runs r{_OF_TRIALS}") == [(TRIALS, TRIALS)]
    assert here.runs() == [("sweep", "FINISHED"), *[("trial", "FINISHED")] * TRIALS]
    assert points(here) == points(undisturbed)
    assert here.doubled() == 0
    assert set(here.statuses().values()) == {Status.FINISHED}
