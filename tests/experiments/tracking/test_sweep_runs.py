"""The runs of a sweep in MLflow, after writers that were interrupted or repeated their writes."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from experiments.tracking.run import MAX_METRICS
from ottt.schema import Status, Tag
from tests.experiments.mlflow_sweeps import Opened, children, epochs, plan, points, record, rows, tags

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)


def _runs(client: MlflowClient) -> list[Run]:
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments))


def test_a_trial_becomes_a_child_run(opened: Opened, folder: Path) -> None:
    planned = plan([2.0])
    first = planned.trials[0]
    store = opened(planned)
    store.reconcile(first, record(first), epochs(1))
    store.reconcile(first, record(first, Status.FINISHED, device="cpu: x", data_digest="d"), epochs(2))
    store.close(Status.FINISHED)
    assert children(folder) == [("FINISHED", "tau=2 s0", first.trial)]
    assert points(folder) == [
        ("time/epoch_s", 1, 1.5),
        ("time/epoch_s", 2, 2.5),
        ("train/loss", 1, 0.5),
        ("train/loss", 2, 0.25),
    ]
    held = tags(folder, first)
    assert held[Tag.STATUS] == "finished"
    assert (held[Tag.SEED], held[Tag.LABEL], held[Tag.DEVICE]) == ("0", "neuron.tau=2.0", "cpu: x")
    params = dict(rows(folder, "SELECT key, value FROM params"))
    assert params == {key: str(value) for key, value in first.config.flat().items()}
    assert rows(folder, "SELECT start_time, end_time FROM runs WHERE name LIKE 'tau%'") == [(10_000, 20_000)]


def test_no_secret_is_a_param(opened: Opened, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_TOKEN", "canary-17")
    planned = plan([1.25])
    trial = planned.trials[0]
    told = record(trial)
    settings = told.config | {"data.root": "s3://me:passw0rd@host/data", "plugins": ["canary-17.py"]}
    writer = opened(planned)
    writer.reconcile(trial, replace(told, config=settings), [])
    params = dict(rows(folder, "SELECT key, value FROM params"))
    assert params["data.root"] == "s3://***@host/data"
    assert params["plugins"] == "['***.py']"
    assert params["neuron.tau"] == "1.25"


def test_the_parent_holds_spec_and_plan_and_is_found_again(opened: Opened, folder: Path) -> None:
    opened(plan([2.0])).close(Status.INTERRUPTED)
    assert rows(folder, "SELECT status, name FROM runs") == [("KILLED", "sweep")]
    wider = plan([2.0, 4.0])
    opened(wider).close(Status.FINISHED)
    assert rows(folder, "SELECT status, name FROM runs") == [("FINISHED", "sweep")]
    [artifact] = (folder / "artifacts").rglob("plan.json")
    assert json.loads(artifact.read_text(encoding="utf-8")) == wider.to_json()
    assert artifact.with_name("spec.yaml").read_text(encoding="utf-8") == "name: sweep\n"


@pytest.mark.parametrize("written", [0, 1, 2])
def test_a_new_process_continues_the_same_run(opened: Opened, folder: Path, written: int) -> None:
    planned = plan([2.0])
    first = planned.trials[0]
    opened(planned).reconcile(first, record(first), epochs(written))
    again = opened(planned)
    again.reconcile(first, record(first), epochs(2))
    again.reconcile(first, record(first, Status.FINISHED), epochs(3))
    assert len(children(folder)) == 1
    assert [point[:2] for point in points(folder)] == [
        (key, step) for key in ("time/epoch_s", "train/loss") for step in (1, 2, 3)
    ]


def test_the_same_numbers_of_a_new_attempt_are_not_doubled(opened: Opened, folder: Path) -> None:
    planned = plan([2.0])
    first = planned.trials[0]
    opened(planned).reconcile(first, record(first, Status.INTERRUPTED), epochs(2))
    later = [
        replace(epoch, time=epoch.time + 100, metrics={**epoch.metrics, "time/epoch_s": 9.0}) for epoch in epochs(3)
    ]
    opened(planned).reconcile(first, record(first, Status.FINISHED, started=110.0, ended=120.0), later)
    assert children(folder) == [("FINISHED", "tau=2 s0", first.trial)]
    assert [point for point in points(folder) if point[0] == "time/epoch_s"] == [
        ("time/epoch_s", 1, 1.5),
        ("time/epoch_s", 2, 2.5),
        ("time/epoch_s", 3, 9.0),
    ]
    assert len(points(folder)) == 6


def test_other_numbers_of_a_new_attempt_replace_the_run(opened: Opened, folder: Path) -> None:
    planned = plan([2.0])
    first = planned.trials[0]
    opened(planned).reconcile(first, record(first, Status.FAILED, reason="ValueError: x"), epochs(3))
    opened(planned).reconcile(first, record(first, Status.FINISHED, ended=30.0), epochs(2, loss=0.75))
    assert len(children(folder)) == 1
    assert [point for point in points(folder) if point[0] == "train/loss"] == [
        ("train/loss", 1, 0.75),
        ("train/loss", 2, 0.375),
    ]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_numbers_that_are_not_finite_stay_the_same(opened: Opened, folder: Path, value: float) -> None:
    """MLflow stores the largest float in place of infinity, and gives that back."""
    planned = plan([2.0])
    first = planned.trials[0]
    opened(planned).reconcile(first, record(first, Status.DIVERGED), epochs(2, loss=value))
    before = rows(folder, "SELECT run_uuid, lifecycle_stage FROM runs ORDER BY run_uuid")
    opened(planned).reconcile(first, record(first, Status.DIVERGED, ended=30.0), epochs(2, loss=value))
    assert rows(folder, "SELECT run_uuid, lifecycle_stage FROM runs ORDER BY run_uuid") == before
    assert len(points(folder)) == 4


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 0.5])
def test_numbers_that_differ_from_those_that_are_not_finite_replace_the_run(
    opened: Opened, folder: Path, value: float
) -> None:
    planned = plan([2.0])
    first = planned.trials[0]
    opened(planned).reconcile(first, record(first, Status.DIVERGED), epochs(1, loss=value))
    other = math.nan if value == math.inf else math.inf
    opened(planned).reconcile(first, record(first, Status.DIVERGED, ended=30.0), epochs(1, loss=other))
    assert rows(folder, "SELECT count(*) FROM runs WHERE lifecycle_stage = 'deleted'") == [(1,)]


def test_a_failed_trial_that_then_finishes_loses_its_reason(opened: Opened, folder: Path) -> None:
    planned = plan([2.0])
    first = planned.trials[0]
    store = opened(planned)
    store.reconcile(first, record(first, Status.FAILED, reason="ValueError: x"), epochs(1))
    assert tags(folder, first)[Tag.REASON] == "ValueError: x"
    assert children(folder)[0][0] == "FAILED"
    store.reconcile(first, record(first, Status.RUNNING), epochs(1))
    assert children(folder)[0][0] == "RUNNING"
    store.reconcile(first, record(first, Status.FINISHED), epochs(2))
    assert Tag.REASON not in tags(folder, first)
    assert children(folder)[0][0] == "FINISHED"


def test_no_child_stays_running_after_the_sweep(opened: Opened, folder: Path) -> None:
    wide, narrow = plan([2.0, 4.0]), plan([2.0])
    dropped = wide.trials[-1]
    opened(wide).reconcile(dropped, record(dropped), epochs(1))
    opened(narrow).close(Status.FINISHED)
    assert [child[0] for child in children(folder)] == ["KILLED"]
    assert tags(folder, dropped)[Tag.STATUS] == "interrupted"


def test_more_metrics_than_fit_one_request(opened: Opened, folder: Path) -> None:
    planned = plan([2.0])
    first = planned.trials[0]
    opened(planned).reconcile(first, record(first, Status.FINISHED), epochs(MAX_METRICS))
    assert len(points(folder)) == 2 * MAX_METRICS


def test_another_sweep_gets_its_own_child_of_a_shared_trial(opened: Opened, folder: Path) -> None:
    for name in ("sweep", "other"):
        planned = plan([2.0], name)
        first = planned.trials[0]
        opened(planned).reconcile(first, record(first, Status.FINISHED), epochs(1))
    assert len(children(folder)) == 2
    assert len({child[2] for child in children(folder)}) == 1


def test_a_run_made_twice_by_a_repeated_request_stays_once(opened: Opened, folder: Path) -> None:
    planned = plan([2.0])
    first = planned.trials[0]
    store = opened(planned)
    store.reconcile(first, record(first, Status.FINISHED), epochs(2))
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    for run in _runs(client):  # as a repeated request would
        client.create_run(run.info.experiment_id, tags=run.data.tags | {Tag.STATUS: "running"})
    opened(planned).close(Status.FINISHED)
    assert children(folder) == [("FINISHED", "tau=2 s0", first.trial)]
    assert rows(folder, "SELECT count(*) FROM runs WHERE lifecycle_stage = 'active'") == [(2,)]
