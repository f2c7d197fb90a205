import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from experiments.mlflow_run import MAX_METRICS
from experiments.mlflow_sink import MlflowSink
from experiments.plan import Plan, PlannedTrial, expand
from experiments.provenance import Provenance
from experiments.records import Epoch, Record, TrialRecords
from experiments.spec import SweepSpec
from experiments.writer import BackgroundWriter, StoreError
from ottt.evalreport import EvalReport
from ottt.schema import Status, Tag
from ottt.yamlfile import Document

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)

HERE = Provenance("c0ffee", False, "python 3", "host")


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables: making them takes seconds."""
    folder = tmp_path_factory.mktemp("empty")
    sink(plan([2.0]), folder).connect()
    return folder / "mlflow.db"


@pytest.fixture
def folder(tmp_path: Path, empty_store: Path) -> Path:
    with closing(sqlite3.connect(empty_store)) as source, closing(sqlite3.connect(tmp_path / "mlflow.db")) as copy:
        source.backup(copy)
    return tmp_path


def plan(taus: Sequence[float], name: str = "sweep") -> Plan:
    values = {"name": name, "axes": {"neuron.tau": taus}, "seeds": [0, 1]}
    return expand(SweepSpec.from_document(Document("s.yaml", values), folder=Path()))


def sink(planned: Plan, folder: Path) -> MlflowSink:
    store = f"sqlite:///{folder / 'mlflow.db'}"
    return MlflowSink(planned, "name: sweep\n", HERE, store=store, artifacts=folder / "artifacts")


@pytest.fixture
def opened(folder: Path) -> Callable[[Plan], MlflowSink]:
    """A sink as a new process would open it."""

    def open_again(planned: Plan) -> MlflowSink:
        made = sink(planned, folder)
        made.connect()
        made.open()
        return made

    return open_again


def record(trial: PlannedTrial, status: Status = Status.RUNNING, **fields: Any) -> Record:
    ended = None if status is Status.RUNNING else 20.0
    config = trial.config.flat()
    return replace(Record(trial.trial, config, "sweep", status=status, started=10.0, ended=ended), **fields)


def epochs(count: int, *, loss: float = 0.5) -> list[Epoch]:
    return [
        Epoch(epoch, 10.0 + epoch, {"train/loss": loss / epoch, "time/epoch_s": loss + epoch})
        for epoch in range(1, count + 1)
    ]


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        return connection.execute(query).fetchall()


def points(folder: Path) -> list[tuple[Any, ...]]:
    return rows(
        folder,
        "SELECT m.key, m.step, m.value FROM metrics m JOIN runs r USING (run_uuid)"
        " WHERE r.lifecycle_stage = 'active' ORDER BY m.key, m.step",
    )


def children(folder: Path) -> list[tuple[Any, ...]]:
    """Status, name and trial of every child run."""
    return rows(
        folder,
        "SELECT r.status, r.name, t.value FROM runs r JOIN tags t USING (run_uuid)"
        f" WHERE t.key = '{Tag.TRIAL}' AND r.lifecycle_stage = 'active' ORDER BY r.name",
    )


def tags(folder: Path, trial: PlannedTrial) -> dict[str, str]:
    return dict(
        rows(
            folder,
            "SELECT key, value FROM tags WHERE run_uuid IN"
            f" (SELECT run_uuid FROM tags WHERE key = '{Tag.TRIAL}' AND value = '{trial.trial}')",
        )
    )


def _runs(client: MlflowClient) -> list[Run]:
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments))


Opened = Callable[[Plan], MlflowSink]
REPORT = EvalReport(
    samples=30,
    time_steps=6,
    loss=0.5,
    top1=0.9,
    top5=1.0,
    top1_at={2: 0.8, 6: 0.9},
    layers=("conv", "linear"),
    rates=(0.1, 0.2),
    total_rate=0.15,
    synops=1000.0,
    macs=10.0,
    energy_nj=1.5,
    confusion=((14, 1), (2, 13)),
)


def test_a_trial_becomes_a_child_run(opened: Opened, folder: Path) -> None:
    planned = plan([2.0])
    first = planned.trials[0]
    store = opened(planned)
    store.reconcile(first, record(first), epochs(1))
    store.reconcile(first, record(first, Status.FINISHED, device="cpu: x", data_digest="d"), epochs(2))
    store.close(Status.FINISHED)
    assert children(folder) == [("FINISHED", "tau=2.0 seed=0", first.trial)]
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
def test_a_new_process_goes_on_in_the_same_run(opened: Opened, folder: Path, written: int) -> None:
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
    assert children(folder) == [("FINISHED", "tau=2.0 seed=0", first.trial)]
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
    for run in _runs(client):  # what a second, unanswered request would have left
        client.create_run(run.info.experiment_id, tags=run.data.tags | {Tag.STATUS: "running"})
    opened(planned).close(Status.FINISHED)
    assert children(folder) == [("FINISHED", "tau=2.0 seed=0", first.trial)]
    assert rows(folder, "SELECT count(*) FROM runs WHERE lifecycle_stage = 'active'") == [(2,)]


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
    first, second = planned.trials
    store = opened(planned)
    store.reconcile(first, record(first), [])
    assert list((folder / "artifacts").rglob("trial.png")) == []
    store.reconcile(first, record(first, Status.FINISHED), [Epoch(1, 11.0, {"val/top1": 0.9})], REPORT)
    store.reconcile(second, record(second, Status.DIVERGED), epochs(1), None)
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
    replayed = MlflowSink(plan([2.0]), "", HERE, store=store, artifacts=folder / "artifacts", replay=True)
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
    assert [child[1] for child in children(folder)] == ["tau=4.0 seed=1"]


def test_the_local_store_can_be_read_while_it_is_written(folder: Path) -> None:
    assert rows(folder, "PRAGMA journal_mode") == [("wal",)]


def test_a_store_that_cannot_be_opened_is_said_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").mkdir()
    writer = BackgroundWriter(sink(plan([2.0]), tmp_path), TrialRecords(tmp_path / "trials"))
    writer.start()
    with pytest.raises(StoreError, match="the tracking store cannot be opened: "):
        writer.begin()
    assert writer.close(Status.FINISHED) is None


def test_what_a_failing_store_lacks_is_said_and_written_the_next_time(folder: Path) -> None:
    planned = plan([2.0])
    first = planned.trials[0]
    records = TrialRecords(folder / "trials")
    records.begin(record(first))
    records.append(first.trial, epochs(1)[0])
    records.end(first.trial, Status.FINISHED)
    writer = BackgroundWriter(sink(planned, folder), records)
    writer.start()
    rows(folder, "ALTER TABLE metrics RENAME TO away")
    writer.begin()
    writer.update(first.trial)
    problem = writer.close(Status.FINISHED)
    assert problem is not None
    assert problem.startswith("the tracking store lacks 1 trials: ")
    assert "\n" not in problem
    rows(folder, "ALTER TABLE away RENAME TO metrics")
    writer = BackgroundWriter(sink(planned, folder), records)
    writer.start()
    writer.begin()
    writer.update(first.trial)
    assert writer.close(Status.FINISHED) is None
    assert len(points(folder)) == 2
    assert {status for (status,) in rows(folder, "SELECT status FROM runs")} == {"FINISHED"}
