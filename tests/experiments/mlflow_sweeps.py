"""Sweeps whose trials never ran, written into MLflow, for tests of the writer."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.planning.plan import SweepPlan, Trial, expand
from experiments.results.folder import Results
from experiments.results.provenance import Provenance
from experiments.results.trial_records import Epoch, Record
from experiments.sweep_spec.read import parse_spec
from experiments.tracking.sweep_runs import SweepRuns
from ottt.config.yaml_reader import Document
from ottt.evalreport import EvalReport
from ottt.schema import Status, Tag

HERE = Provenance("c0ffee", False, "python 3", "host")
Opened = Callable[[SweepPlan], SweepRuns]  # as a new process would open them
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


def plan(taus: Sequence[float], name: str = "sweep") -> SweepPlan:
    values = {"name": name, "axes": {"neuron.tau": taus}, "seeds": [0, 1]}
    return expand(parse_spec(Document("s.yaml", values), folder=Path()))


def sweep_runs(planned: SweepPlan, folder: Path) -> SweepRuns:
    store = f"sqlite:///{folder / 'mlflow.db'}"
    return SweepRuns(planned, "name: sweep\n", HERE, store=store, artifacts=folder / "artifacts")


def record(trial: Trial, status: Status = Status.RUNNING, **fields: Any) -> Record:
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


def tags(folder: Path, trial: Trial) -> dict[str, str]:
    return dict(
        rows(
            folder,
            "SELECT key, value FROM tags WHERE run_uuid IN"
            f" (SELECT run_uuid FROM tags WHERE key = '{Tag.TRIAL}' AND value = '{trial.trial}')",
        )
    )


def finish(planned: SweepPlan, results: Results) -> None:
    """Records of two epochs and an evaluation of every trial, as the runner leaves them."""
    results.write_plan(planned, planned.spec.to_yaml())
    for trial in planned.trials:
        results.records.begin(record(trial))
        for epoch in epochs(2):
            results.records.append(trial.trial, epoch)
        results.records.keep_evaluation(trial.trial, REPORT)
        results.records.end(trial.trial, Status.FINISHED)
