"""`ottt sweep sync` with the records of a driver that was killed."""

import json
from pathlib import Path

import pytest

from experiments.planning.plan import SweepPlan, expand
from experiments.results.folder import Results
from experiments.sweep_spec.spec import SweepSpec
from experiments.tracking.sweep_runs import SweepRuns
from experiments.tracking.sync import sync
from ottt.schema import Status
from tests.experiments.mlflow_sweeps import HERE, children, rows
from tests.experiments.specs import recorded, spec

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)

SEARCH = {"name": "optuna", "trials": 9, "space": {"optim.lr": "loguniform(0.001, 1)"}}


@pytest.fixture
def results(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Results(folder)


def begun(results: Results, sweep: SweepSpec, plan: SweepPlan) -> None:
    """Leave what a driver leaves that is killed after it opened the store."""
    sweep_runs = SweepRuns(plan, sweep.to_yaml(), HERE, store=results.store, artifacts=results.artifacts)
    sweep_runs.connect()
    sweep_runs.open()
    results.write_plan(plan, sweep.to_yaml())


def test_a_sweep_that_was_killed_before_its_first_trial_is_closed(results: Results) -> None:
    sweep = spec(axes={"neuron.tau": [1.25, 2.0]})
    begun(results, sweep, expand(sweep))
    assert rows(results.root, "SELECT status FROM runs") == [("RUNNING",)]
    synced = sync("s", results=results)
    assert synced.text == "s: 0 of 2 trials recorded (none)"
    assert rows(results.root, "SELECT status FROM runs") == [("KILLED",)]


def test_a_search_that_was_killed_keeps_what_was_suggested(results: Results) -> None:
    sweep = spec(search=SEARCH)
    plan = expand(sweep, [{"optim.lr": 0.1}, {"optim.lr": 0.02}])
    begun(results, sweep, plan)
    recorded(results.records, plan.trials[0], values=[0.5])
    recorded(results.records, plan.trials[1], Status.RUNNING, values=[0.4])
    assert sync("s", results=results).text == "s: 2 of 2 trials recorded (1 finished, 1 interrupted)"
    assert [(status, name) for status, name, _ in children(results.root)] == [
        ("KILLED", "lr=0.02 s0"),
        ("FINISHED", "lr=0.1 s0"),
    ]
    [stored] = (results.root / "artifacts").rglob("plan.json")
    assert [trial["settings"] for trial in json.loads(stored.read_text(encoding="utf-8"))["trials"]] == [
        {"optim.lr": 0.1},
        {"optim.lr": 0.02},
    ]


def test_a_search_without_a_suggestion_is_not_finished(results: Results) -> None:
    sweep = spec(search=SEARCH)
    begun(results, sweep, expand(sweep))
    assert sync("s", results=results).status is Status.INTERRUPTED
    assert rows(results.root, "SELECT status FROM runs") == [("KILLED",)]
