"""A sweep whose driver is killed repeatedly leaves the same in MLflow as an undisturbed one.

OTTT_KILLS is the number of kills: 2 by default, 10 in the long test.
"""

import os
import random
import time
from pathlib import Path
from typing import Any

from ottt.schema import Status, Tag
from tests.experiments.commands import Place

KILLS = int(os.environ.get("OTTT_KILLS", "2"))
SPEC = f"""\
name: killed
base: {{T: 2, epochs: {4 * max(1, KILLS // 2)}, batch_size: 128, model.width: 0.25}}
axes: {{rule.update: [accumulate, online], neuron.tau: [1.25, 2.0, 4.0]}}
seeds: 3
"""
TRIALS = 18
ARGUMENTS = ("sweep", "run", "killed.yaml")
_OF_TRIALS = f" JOIN tags t USING (run_uuid) WHERE t.key = '{Tag.TRIAL}' AND r.lifecycle_stage = 'active'"


def place(folder: Path) -> Place:
    folder.mkdir()
    (folder / "killed.yaml").write_text(SPEC, encoding="utf-8")
    return Place(folder)


def points(here: Place) -> list[tuple[Any, ...]]:
    """(trial, metric, step, value) in the store, without what depends on the clock."""
    found = here.query(
        f"SELECT t.value, m.key, m.step, m.value FROM metrics m JOIN runs r USING (run_uuid){_OF_TRIALS}"
    )
    return sorted(point for point in found if not point[1].startswith(("time/", "perf/", "mem/")))


def kill_driver(here: Place, after: float) -> bool:
    """Start the sweep and kill its driver after `after` seconds; returns whether it was still running."""
    process = here.start(*ARGUMENTS)
    end = time.monotonic() + after
    while time.monotonic() < end and process.poll() is None:
        time.sleep(0.05)
    process.kill()
    process.communicate(timeout=60)  # ends with the last of Ray's processes, which see their driver gone
    return process.returncode < 0


def test_a_killed_driver_leaves_no_point_twice_and_none_out(tmp_path: Path) -> None:
    undisturbed, here = place(tmp_path / "undisturbed"), place(tmp_path / "killed")
    began = time.monotonic()
    done = undisturbed.ottt(*ARGUMENTS)
    assert done.returncode == 0, done.stderr
    whole = time.monotonic() - began
    moments = random.Random(0)
    killed = sum(kill_driver(here, moments.uniform(0.3, 0.7) * whole) for _ in range(KILLS))
    assert killed >= min(KILLS, 2) - 1, "the sweep was over before it could be killed"
    assert here.ottt(*ARGUMENTS).returncode == 0
    assert here.query(f"SELECT count(*), count(DISTINCT t.value) FROM runs r{_OF_TRIALS}") == [(TRIALS, TRIALS)]
    assert here.runs() == [("sweep", "FINISHED"), *[("trial", "FINISHED")] * TRIALS]
    assert points(here) == points(undisturbed)
    assert here.doubled() == 0
    assert set(here.statuses().values()) == {Status.FINISHED}
