"""Reading real MLflow stores, on SQLite and PostgreSQL, written by MLflow's client and not by this project's writer."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from analysis import load
from analysis.store.mlflow_client import ClientStore
from ottt.errors import UserError
from tests.postgres import postgres

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)

SWEEP = "tau"
PARAMS = {
    "neuron.tau": "2.0",
    "neuron.trace_decay": "None",
    "T": "6",
    "optim.lr": "1e-05",
    "compile": "True",
    "rule.name": "ottt",
    "data.name": "007",
    "seed": "0",
    "device": "auto",
}


@dataclass
class Store:
    """A store with one experiment per sweep, filled through the MLflow client."""

    folder: Path
    uri: str = ""
    client: MlflowClient = field(init=False)

    def __post_init__(self) -> None:
        self.uri = self.uri or f"sqlite:///{self.folder / 'mlflow.db'}"
        self.client = MlflowClient(tracking_uri=self.uri)

    def sweep(self, name: str, trials: list[dict]) -> str:
        experiment = self.client.create_experiment(name, artifact_location=(self.folder / name).as_uri())
        self.plan(experiment, name, trials)
        return experiment

    def plan(self, experiment: str, name: str, trials: list[dict]) -> None:
        tags = {"ottt.kind": "sweep", "ottt.sweep": name}
        parent = self.client.create_run(experiment, tags=tags)
        plan = {"name": name, "metric": "val/top1", "axes": ["neuron.tau"], "baseline": {"neuron.tau": 2.0}}
        self.client.log_dict(parent.info.run_id, plan | {"trials": trials}, "plan.json")

    def trial(
        self,
        experiment: str,
        planned: dict,
        points: list[Metric],
        *,
        status: str = "finished",
        started_ms: int = 1_000_000,
        params: dict[str, str] = PARAMS,
        reason: str | None = None,
    ) -> str:
        tags = {"ottt.kind": "trial", "ottt.trial": planned["trial"], "ottt.status": status}
        tags |= {"ottt.git_commit": "abc123", "ottt.device": "cpu: 2 x Test"}
        tags |= {"ottt.reason": reason} if reason else {}
        run = self.client.create_run(experiment, start_time=started_ms, tags=tags).info.run_id
        recorded = params | {"neuron.tau": str(planned["settings"]["neuron.tau"])}
        recorded_params = [Param(key, text) for key, text in recorded.items()]
        self.client.log_batch(run, metrics=points, params=recorded_params)
        if status != "running":
            self.client.set_terminated(run, end_time=started_ms + 2500)
        return run


def planned(tau: float, seed: int) -> dict:
    identity = {"trial": f"t{tau}-{seed}", "variant": f"v{tau}", "label": f"neuron.tau={tau}"}
    return identity | {"seed": seed, "settings": {"neuron.tau": tau}}


PLANNED = [planned(tau, seed) for tau in (2.0, 4.0) for seed in (0, 1, 2)]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request):
    """Tracking URI of an empty database; "" for a SQLite file."""
    if request.param == "sqlite":
        yield ""
        return
    with postgres() as uri:
        yield uri


@pytest.fixture(scope="module")
def store(database, tmp_path_factory):
    """The sweep `tau`: three finished trials, a failed one, a running one, one without a run, one no longer planned."""
    store = Store(tmp_path_factory.mktemp("store"), database)
    experiment = store.sweep(SWEEP, [*PLANNED, planned(9.0, 0)])
    for seed in range(3):
        epochs = [Metric("test/top1", 0.5 + seed / 10 + epoch / 100, 100 + epoch, epoch) for epoch in (1, 2)]
        store.trial(experiment, PLANNED[seed], epochs)
    store.trial(experiment, PLANNED[3], [], status="failed", reason="ValueError: no")
    store.trial(experiment, PLANNED[4], [Metric("train/loss", 2.5, 7, 1)], status="running")
    for _ in range(2):  # two runs of a trial that is not planned: no warning
        store.trial(experiment, planned(9.0, 0), [Metric("test/top1", 0.9, 7, 1)])
    store.plan(experiment, SWEEP, PLANNED)  # tau = 9 has been removed from the spec
    return store


def test_plan(store):
    found = load.plan(SWEEP, store=store.uri)
    assert (found.name, found.metric, found.axes) == (SWEEP, "val/top1", ("neuron.tau",))
    assert found.baseline == {"neuron.tau": 2.0}
    assert [trial.trial for trial in found.trials] == [trial["trial"] for trial in PLANNED]
    assert found.trials[0].settings == {"neuron.tau": 2.0}


def test_runs_has_a_row_per_planned_trial(store):
    runs = load.runs(SWEEP, store=store.uri)
    assert runs["trial"].tolist() == [trial["trial"] for trial in PLANNED]
    assert runs["status"].tolist() == ["finished"] * 3 + ["failed", "running", "missing"]
    assert runs["test/top1"].tolist() == pytest.approx([0.52, 0.62, 0.72] + [math.nan] * 3, nan_ok=True)
    assert runs["epochs_done"].tolist() == [2, 2, 2, 0, 1, 0]
    assert tuple(runs.columns[: len(load.COLUMNS)]) == load.COLUMNS


def test_runs_carries_provenance_and_times(store):
    runs = load.runs(SWEEP, store=store.uri)
    assert runs["reason"].tolist() == [None, None, None, "ValueError: no", None, None]
    assert runs["commit"].tolist() == ["abc123"] * 5 + [None]
    assert runs["duration_s"].tolist() == pytest.approx([2.5] * 4 + [math.nan] * 2, nan_ok=True)
    assert runs["started"][0] == pd.Timestamp(1_000, unit="s", tz="UTC")
    assert runs["started"].isna().tolist() == [False] * 5 + [True]
    assert runs["run_id"].notna().tolist() == [True] * 5 + [False]


def test_params_are_typed(store):
    runs = load.runs(SWEEP, store=store.uri)
    first = {key: runs[key].tolist()[0] for key in PARAMS if key not in load.COLUMNS}
    expected = {
        "neuron.tau": 2.0,
        "neuron.trace_decay": None,
        "T": 6,
        "optim.lr": 1e-05,
        "compile": True,
        "rule.name": "ottt",
        "data.name": "007",
    }
    assert first == expected
    assert [type(value) for value in first.values()] == [type(value) for value in expected.values()]
    assert runs["device"][0] == "cpu: 2 x Test"  # the tag, not the setting "auto"
    assert runs["neuron.tau"].tolist() == [2.0] * 3 + [4.0] * 3  # the trial without a run has it from the plan
    assert runs["T"].tolist()[5] is None


def test_plan_travels_with_the_runs(store):
    attrs = load.runs(SWEEP, store=store.uri).attrs
    assert attrs == {"sweep": SWEEP, "axes": ["neuron.tau"], "baseline": {"neuron.tau": 2.0}}
    assert json.loads(json.dumps(attrs)) == attrs


def test_history_is_long_sorted_and_only_of_the_plan(store):
    history = load.history(SWEEP, store=store.uri)
    assert tuple(history.columns) == load.HISTORY_COLUMNS
    assert history[["trial", "epoch", "metric"]].to_numpy().tolist() == [
        *([f"t2.0-{seed}", epoch, "test/top1"] for seed in range(3) for epoch in (1, 2)),
        ["t4.0-1", 1, "train/loss"],
    ]
    assert history["value"].tolist() == pytest.approx([0.51, 0.52, 0.61, 0.62, 0.71, 0.72, 2.5])
    assert history["variant"].tolist() == ["v2.0"] * 6 + ["v4.0"]
    assert history["seed"].tolist() == [0, 0, 1, 1, 2, 2, 1]


def test_history_through_a_cache_is_the_same(store, tmp_path):
    plain = load.history(SWEEP, store=store.uri)
    for _ in range(2):
        pd.testing.assert_frame_equal(load.history(SWEEP, store=store.uri, cache=tmp_path), plain)


def test_history_of_a_point_written_twice_is_the_last_one_written(store):
    experiment = store.sweep("twice", PLANNED[:1])
    points = [(0.2, 50, 1), (0.1, 60, 1), (0.4, 80, 2), (0.3, 70, 2)]
    store.trial(experiment, PLANNED[0], [Metric("test/top1", *point) for point in points])
    history = load.history("twice", store=store.uri)
    assert history[["epoch", "value"]].to_numpy().tolist() == [[1, 0.1], [2, 0.4]]
    assert load.runs("twice", store=store.uri)["test/top1"].tolist() == [0.4]


def test_values_that_sql_cannot_hold_come_back(store):
    experiment = store.sweep("infinite", PLANNED[:2])
    values = [math.inf, -math.inf, math.nan]
    points = [Metric("train/loss", value, 10 + epoch, epoch) for epoch, value in enumerate(values, start=1)]
    store.trial(experiment, PLANNED[0], points, status="diverged")
    store.trial(experiment, PLANNED[1], points[:1], status="diverged")
    history = load.history("infinite", store=store.uri)
    assert history["value"].tolist() == pytest.approx([math.inf, -math.inf, math.nan, math.inf], nan_ok=True)
    last = load.runs("infinite", store=store.uri)["train/loss"].tolist()
    assert last == pytest.approx([math.nan, math.inf], nan_ok=True)


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_through_the_client_everything_is_the_same_whatever_the_page(store, page, monkeypatch):
    by_sql = load.runs(SWEEP, store=store.uri), load.history(SWEEP, store=store.uri)
    monkeypatch.setattr(load, "open_store", lambda uri: ClientStore(uri, page=page))
    through_client = load.runs(SWEEP, store=store.uri), load.history(SWEEP, store=store.uri)
    for one, other in zip(by_sql, through_client, strict=True):
        pd.testing.assert_frame_equal(one, other, check_like=True)


def test_of_two_runs_of_a_trial_the_settled_one_counts_and_it_is_said(store):
    experiment = store.sweep("double", PLANNED[:1])
    point = [Metric("test/top1", 0.1, 10, 1)]
    store.trial(experiment, PLANNED[0], point, started_ms=1000)
    latest = store.trial(experiment, PLANNED[0], point, started_ms=2000)
    store.trial(experiment, PLANNED[0], point, started_ms=3000, status="interrupted")
    with pytest.warns(UserWarning, match=rf"trial t2.0-0 has 3 runs; run {latest} \(finished\) counts"):
        runs = load.runs("double", store=store.uri)
    assert runs["run_id"].tolist() == [latest]


def test_a_sweep_without_any_run_yet(store):
    store.sweep("planned-only", PLANNED)
    runs = load.runs("planned-only", store=store.uri)
    assert runs["status"].tolist() == ["missing"] * 6
    assert runs["started"].isna().all()
    history = load.history("planned-only", store=store.uri)
    assert history.empty
    assert tuple(history.columns) == load.HISTORY_COLUMNS


def test_an_unknown_sweep_names_those_there_are(store):
    store.client.create_experiment("no-sweep-of-ours")
    for name in ("tua", "no-sweep-of-ours"):
        with pytest.raises(UserError, match=rf"sweep must be one of .*\btau\b.*; got '{name}'") as caught:
            load.runs(name, store=store.uri)
        assert "no-sweep-of-ours," not in str(caught.value)


def test_an_empty_store_says_so(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(UserError, match="the store holds none yet"):
        load.plan("tau", store=store.uri)


def test_a_store_that_does_not_exist_is_not_made(tmp_path):
    missing = tmp_path / "mlflow.db"
    with pytest.raises(UserError, match="no such file"):
        load.runs(SWEEP, store=f"sqlite:///{missing}")
    assert not missing.exists()
