"""The writer and `ottt sweep sync` against a real PostgreSQL server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis import load
from experiments.planning.plan import SweepPlan, expand
from experiments.results.provenance import Provenance
from experiments.results.trial_records import Epoch, Record
from experiments.sweep_spec.read import parse_spec
from experiments.tracking.sweep_runs import SweepRuns
from ottt.config.yaml_reader import Document
from ottt.schema import Status
from tests.postgres import postgres

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres() as uri:
        yield uri


def opened(plan: SweepPlan, store: str, folder: Path) -> SweepRuns:
    """Open the store as a new process does."""
    sweep_runs = SweepRuns(plan, "", Provenance("c0ffee", False, "", ""), store=store, artifacts=folder, replay=True)
    sweep_runs.connect()
    sweep_runs.open()
    return sweep_runs


def test_a_sweep_is_written_in_pieces_and_read_back_once(database: str, tmp_path: Path) -> None:
    values = {"name": "pieces", "axes": {"neuron.tau": [2.0, 4.0]}, "seeds": [0, 1]}
    plan = expand(parse_spec(Document("s.yaml", values), folder=Path()))
    epochs = [Epoch(epoch, 10.0 + epoch, {"train/loss": 1 / epoch, "val/top1": float("nan")}) for epoch in (1, 2, 3)]
    for written in (0, 2, 3, 3):
        sweep_runs = opened(plan, database, tmp_path)
        for trial in plan.trials:
            status = Status.FINISHED if written == 3 else Status.RUNNING
            ended = 20.0 if written == 3 else None
            record = Record(trial.trial, trial.config.flat(), "pieces", status, started=10.0, ended=ended)
            sweep_runs.reconcile(trial, record, epochs[:written])
    sweep_runs.close(Status.FINISHED)
    runs = load.runs("pieces", store=database)
    assert runs["status"].tolist() == ["finished"] * 4
    assert runs["neuron.tau"].tolist() == [2.0, 2.0, 4.0, 4.0]
    assert runs["duration_s"].tolist() == [10.0] * 4
    history = load.history("pieces", store=database)
    loss = history[history["metric"] == "train/loss"]
    assert loss["value"].tolist() == [1.0, 0.5, 1 / 3] * 4
    assert history[history["metric"] == "val/top1"]["value"].isna().tolist() == [True] * 12
