"""Sweeps that stop trials early, that search, that share trials with another one; from the command and from Python."""

import io
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from experiments import Sweep
from experiments.results.trial_records import Record
from ottt.config.load import load_config
from ottt.schema import Status
from ottt.training.trainer import train
from tests.experiments.commands import Place, kill

BASE = "{T: 1, epochs: 4, batch_size: 128, model.width: 0.25}"

ASHA = f"""\
name: asha
base: {BASE}
axes: {{optim.lr: [0.2, 0.1, 0.0001, 0.00001]}}
seeds: 2
metric: val/loss
scheduler: {{name: asha, grace_epochs: 1, reduction: 2}}
"""
SEARCH = f"""\
name: search
base: {BASE}
search: {{name: optuna, trials: 3, space: {{optim.lr: "loguniform(0.001, 0.5)", rule.update: [accumulate, online]}}}}
seeds: 2
"""
SHARED = f"name: NAME\nbase: {BASE}\naxes: {{neuron.tau: [1.25, 2.0, 4.0]}}\nseeds: 2\n"


PBT = """\
name: pbt
base: {T: 2, epochs: 7, batch_size: 128, model.width: 0.25}
axes: {optim.lr: [0.2, 0.1, 0.001, 0.0001]}
seeds: 2
metric: val/loss
checkpoints: {keep: true}
scheduler: {name: pbt, period_epochs: 2, change: [optim.lr, optim.momentum]}
"""


def records(here: Place) -> list[Record]:
    found = (here.records.read(path.name) for path in here.records.folder.iterdir())
    return [record for record in found if record is not None]


def test_asha_stops_bad_trials_and_the_table_tells_them_apart(tmp_path: Path, empty_store: Path) -> None:
    (tmp_path / "asha.yaml").write_text(ASHA, encoding="utf-8")
    here = Place(tmp_path).take_store(empty_store)
    done = here.ottt("sweep", "run", "asha.yaml", "--json")
    assert done.returncode == 0, done.stderr
    found = records(here)
    stopped = [record for record in found if record.status is Status.STOPPED_EARLY]
    assert {record.status for record in found} == {Status.FINISHED, Status.STOPPED_EARLY}
    assert any(record.config["optim.lr"] < 0.01 for record in stopped)
    for record in stopped:
        epochs = len(here.records.epochs(record.trial))
        assert epochs < 4
        assert record.reason == f"stopped after epoch {epochs}"
    rows = json.loads(done.stdout)["comparison"]["rows"]
    assert sum(row["finished"] for row in rows) == len(found) - len(stopped)
    statuses = here.query("SELECT value, count(*) FROM tags WHERE key = 'ottt.status' GROUP BY value ORDER BY value")
    assert dict(statuses)["stopped-early"] == len(stopped)
    again = here.ottt("sweep", "run", "asha.yaml", "--json")
    assert json.loads(again.stdout)["ran"] == 0


def test_a_population_survives_its_driver_and_gives_what_its_schedules_give_alone(
    tmp_path: Path, empty_store: Path
) -> None:
    places = []
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pbt.yaml").write_text(PBT, encoding="utf-8")
        places.append(Place(tmp_path / name).take_store(empty_store))
    whole, killed = places
    done = whole.ottt("sweep", "run", "pbt.yaml", "--json")
    assert done.returncode == 0, done.stderr
    driver = killed.start("sweep", "run", "pbt.yaml")
    until(lambda: killed.epochs() > 8 * 3 or driver.poll() is not None)  # a copy may be under way
    kill(driver.pid)
    driver.communicate(timeout=900)
    resumed = killed.ottt("sweep", "resume", "pbt")
    assert resumed.returncode == 0, resumed.stderr
    assert numbers(killed) == numbers(whole)
    found = records(whole)
    assert Counter(record.status for record in found) == {Status.FINISHED: 8, Status.STOPPED_EARLY: 6}
    copies = [record for record in found if record.config["schedule.changes"]]
    assert len(copies) == 6
    statuses = whole.query("SELECT value, count(*) FROM tags WHERE key = 'ottt.status' GROUP BY value")
    assert dict(statuses) == {"finished": 8 + 1, "stopped-early": 6}
    assert whole.doubled() == killed.doubled() == 0
    assert json.loads(whole.ottt("sweep", "run", "pbt.yaml", "--json").stdout)["ran"] == 0
    last = max(copies, key=lambda record: record.started)
    alone = train(load_config(last.config))
    assert alone.metrics["test/loss"] == whole.records.epochs(last.trial)[-1].metrics["test/loss"]


def numbers(here: Place) -> dict[str, list[float]]:
    return {
        record.trial: [epoch.metrics["test/loss"] for epoch in here.records.epochs(record.trial)]
        for record in records(here)
    }


def until(condition: Callable[[], bool], *, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def test_a_search_runs_its_trials_and_can_be_made_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    (tmp_path / "search.yaml").write_text(SEARCH, encoding="utf-8")
    here = Place(tmp_path).take_store(empty_store)
    done = here.ottt("sweep", "run", "search.yaml", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ran"] == 6
    assert len(json.loads(done.stdout)["comparison"]["rows"]) == 3
    longer = here.ottt("sweep", "run", "search.yaml", "search.trials=4", "--json")
    assert json.loads(longer.stdout)["ran"] == 2
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    sweep = Sweep.named("search", results=tmp_path / "results")
    assert sweep.status().done == len(sweep.plan().trials) == len(sweep.results()) == 8


def test_two_sweeps_at_once_train_what_they_share_once(tmp_path: Path, empty_store: Path) -> None:
    here = Place(tmp_path).take_store(empty_store)
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(SHARED.replace("NAME", name), encoding="utf-8")
    began = time.time()
    drivers = [here.start("sweep", "run", f"{name}.yaml") for name in ("one", "two")]
    said = [driver.communicate(timeout=900)[1] for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], said
    found = records(here)
    assert len(found) == 6
    assert all(record.started > began and record.status is Status.FINISHED for record in found)
    assert {len(here.records.epochs(record.trial)) for record in found} == {4}
    ran = [json.loads(here.ottt("sweep", "status", name, "--json").stdout)["done"] for name in ("one", "two")]
    assert ran == [6, 6]
    assert here.doubled() == 0


def test_python_runs_and_reads_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    spec = tmp_path / "s.yaml"
    spec.write_text(SHARED.replace("NAME", "s"), encoding="utf-8")
    overrides = ["axes.neuron.tau=[2.0]", "epochs=1"]
    sweep = Sweep.from_file(spec, overrides=overrides, results=tmp_path / "results")
    assert [trial.seed for trial in sweep.plan().trials] == [0, 1]
    said = io.StringIO()
    outcome = sweep.run(console=Console(file=said))
    assert (outcome.ran, outcome.finished, outcome.exit_status) == (2, 2, 0)
    assert list(sweep.results()["status"]) == ["finished", "finished"]
    assert len(sweep.comparison("val/top1").table) == 1
    assert Sweep.named("s", results=tmp_path / "results").plan() == sweep.plan()
