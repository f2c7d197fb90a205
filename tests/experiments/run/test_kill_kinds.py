"""Sweeps that decide by results, killed at random moments: the same variants, decisions and numbers as uninterrupted.

One worker, since beside each other trials end in an order that is chance. Two kills by default; OTTT_KILLS=5 is the
long series.
"""

import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.commands import Place
from tests.experiments.faults import KILLED, RECORDS, killed_at, place

KILLS = int(os.environ.get("OTTT_KILLS", "2"))

BASE = """\
name: kind
base: {T: 1, epochs: 4, batch_size: 256, model.width: 0.1}
checkpoints: {seconds: 0}
"""
KINDS = {
    "asha": """\
axes: {optim.lr: [0.3, 0.0001, 0.1, 0.001, 0.2, 0.01]}
seeds: 1
scheduler: {name: asha, grace_epochs: 1, reduction: 2}
""",
    "search": """\
seeds: 2
search: {name: optuna, sampler: tpe, trials: 5, space: {optim.lr: "loguniform(0.001, 1)"}}
""",
    "population": """\
axes: {optim.lr: [0.3, 0.0001, 0.1]}
seeds: 1
scheduler: {name: pbt, period_epochs: 1, quantile: 0.34}
""",
}

# What a driver does again and again while it runs, each with how often at least.
POINTS = {f"{RECORDS}.begin": 3, f"{RECORDS}.append": 8, f"{RECORDS}.describe": 3, f"{RECORDS}.end": 3}


def content(here: Place) -> dict[str, Any]:
    """What was decided and measured, less times and the machine's speed."""
    found = {}
    for folder in here.records.folder.iterdir():
        record = here.records.read(folder.name)
        assert record is not None
        epochs = [
            (epoch.epoch, {key: value for key, value in epoch.metrics.items() if key.startswith(("train/", "val/"))})
            for epoch in here.records.epochs(folder.name)
        ]
        found[folder.name] = record.status, record.reason, dict(record.config), epochs
    return found


@pytest.mark.timeout(400 * (KILLS + 2))
@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_driver_changes_no_decision(kind: str, tmp_path: Path, empty_store: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    places = []
    for folder in (whole, broken):
        folder.mkdir()
        places.append(replace(place(folder, BASE + KINDS[kind]), cores=1).take_store(empty_store))
    uninterrupted, interrupted = places
    done = uninterrupted.ottt("sweep", "run", "spec.yaml")
    assert done.returncode == 0, done.stderr

    moments = random.Random(f"{kind} {os.environ.get('OTTT_SEED', 0)}")
    for _ in range(KILLS):
        point = moments.choice(list(POINTS))
        killed = killed_at(interrupted, f"{point}:{moments.randint(1, POINTS[point])}").ottt(
            "sweep", "run", "spec.yaml"
        )
        assert killed.returncode in (KILLED, 0), killed.stderr  # 0: all was done before that point
    done = interrupted.ottt("sweep", "run", "spec.yaml")
    assert done.returncode == 0, done.stderr
    assert content(interrupted) == content(uninterrupted)
    assert len(content(uninterrupted)) >= 5
