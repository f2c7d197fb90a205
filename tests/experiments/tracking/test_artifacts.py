"""Artifacts and inputs of runs: data sets, reports, checkpoints, environment, cluster."""

import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from experiments.results.trial_records import Epoch
from experiments.tracking import artifacts
from experiments.tracking.sweep_runs import SweepRuns
from ottt.evalreport import EvalReport
from ottt.schema import Status
from tests.experiments.mlflow_sweeps import HERE, REPORT, Opened, children, epochs, plan, record, rows

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)


def test_the_data_set_is_an_input_with_its_digest(opened: Opened, folder: Path) -> None:
    planned = plan([2.0])
    first = planned.trials[0]
    done = record(first, Status.FINISHED, data_digest="d" * 40)
    for started in (10.0, 11.0):
        opened(planned).reconcile(first, replace(done, started=started), epochs(1))
    assert rows(folder, "SELECT name, digest FROM datasets") == [("digits", "d" * 36)]
    assert rows(folder, "SELECT count(*) FROM inputs") == [(1,)]


def test_a_finished_trial_has_its_report(opened: Opened, folder: Path) -> None:
    planned = plan([2.0])
    first = planned.trials[0]
    store = opened(planned)
    store.reconcile(first, record(first), [])
    assert list((folder / "artifacts").rglob("trial.png")) == []
    store.reconcile(first, record(first, Status.FINISHED), [Epoch(1, 11.0, {"val/top1": 0.9})], REPORT)
    [picture] = (folder / "artifacts").rglob("report/trial.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    written = picture.with_name("evaluation.json").read_text(encoding="utf-8")
    assert EvalReport.from_json(written) == REPORT


def test_the_parent_tells_packages_and_differences_of_its_own_process_only(opened: Opened, folder: Path) -> None:
    opened(plan([2.0]))
    [environment] = (folder / "artifacts").rglob("environment.json")
    assert json.loads(environment.read_text(encoding="utf-8"))["packages"]["mlflow"] == version("mlflow")
    environment.unlink()
    store = f"sqlite:///{folder / 'mlflow.db'}"
    replayed = SweepRuns(plan([2.0]), "", HERE, store=store, artifacts=folder / "artifacts", replay=True)
    replayed.connect()
    replayed.open()
    assert list((folder / "artifacts").rglob("environment.json")) == []


def test_a_sweep_that_grows_writes_its_plan_again(opened: Opened, folder: Path) -> None:
    store = opened(plan([2.0]))
    wider = plan([2.0, 4.0])
    store.extend(wider)
    store.reconcile(wider.trials[-1], record(wider.trials[-1]), epochs(1))
    [artifact] = (folder / "artifacts").rglob("plan.json")
    assert json.loads(artifact.read_text(encoding="utf-8")) == wider.to_json()
    assert [child[1] for child in children(folder)] == ["tau=4 s1"]


def test_the_parent_tells_the_cluster(opened: Opened, folder: Path) -> None:
    store = opened(plan([2.0]))
    resources = {"CPU": 16.0, "GPU": 2.0, "memory": 3 * 2**30, "accelerator_type:H200": 1.0, "node:10.0.0.1": 1.0}
    nodes = [
        {"NodeManagerHostname": "one", "Resources": resources},
        {"NodeManagerHostname": "two", "Resources": {"CPU": 8.0}},
    ]
    store.files = artifacts.of_cluster(nodes)
    store.open()
    [file] = (folder / "artifacts").rglob("cluster.json")
    assert json.loads(file.read_text(encoding="utf-8")) == {
        "ray": version("ray"),
        "cpus": 24.0,
        "gpus": 2.0,
        "machines": [
            {"host": "one", "cpus": 16.0, "gpus": 2.0, "memory_gib": 3.0, "accelerators": ["H200"]},
            {"host": "two", "cpus": 8.0, "gpus": 0, "memory_gib": 0.0, "accelerators": []},
        ],
    }


@pytest.mark.parametrize("status", [Status.DIVERGED, Status.STOPPED_EARLY])
def test_a_trial_that_ended_early_has_a_plot(opened: Opened, folder: Path, status: Status) -> None:
    planned = plan([2.0])
    first, second = planned.trials
    store = opened(planned)
    curve = [Epoch(epoch, 10.0 + epoch, {"train/loss": 10.0**epoch, "val/top1": 0.1}) for epoch in (1, 2)]
    store.reconcile(first, record(first, status), curve)
    store.reconcile(second, record(second, status), [])  # in its first epoch
    [picture] = (folder / "artifacts").rglob("report/trial.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in picture.parent.iterdir()] == ["trial.png"]


@pytest.mark.parametrize("asked", [True, False])
def test_the_last_checkpoint_is_an_artifact_on_request(folder: Path, asked: bool) -> None:
    planned = plan([2.0])
    first, second = planned.trials
    state = folder / "checkpoint.pt"
    state.write_bytes(b"state")
    uri, place = f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts"
    store = SweepRuns(planned, "", HERE, store=uri, artifacts=place, states=asked)
    store.connect()
    store.open()
    store.reconcile(first, record(first, Status.FINISHED), epochs(1), REPORT, state)
    store.reconcile(second, record(second, Status.DIVERGED), epochs(1), None, state)
    assert [file.read_bytes() for file in place.rglob("checkpoint/checkpoint.pt")] == [b"state"] * asked
