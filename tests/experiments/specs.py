"""Specs from plain values, and records of trials that never ran, for tests."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiments.planning.plan import Trial
from experiments.results.provenance import Provenance
from experiments.results.trial_records import Epoch, Record, TrialRecords
from experiments.sweep_spec.read import parse_spec
from experiments.sweep_spec.spec import SweepSpec
from ottt.config.yaml_reader import Document
from ottt.schema import Status

HERE = Provenance("c0ffee" * 6, False, "python 3", "host", code="c0de" * 4)


def spec(**values: Any) -> SweepSpec:
    return parse_spec(Document("s.yaml", {"name": "s", "seeds": 1} | values), folder=Path())


def recorded(
    records: TrialRecords,
    trial: Trial,
    status: Status = Status.FINISHED,
    *,
    values: Iterable[float] = (),
    metric: str = "val/top1",
    sweep: str = "s",
    commit: str | None = HERE.commit,
    code: str | None = HERE.code,
) -> None:
    """A trial with the metric's value after each epoch, as the runner leaves it."""
    records.begin(Record(trial.trial, trial.config.flat(), sweep, commit=commit, code=code, versions=HERE.versions))
    for number, value in enumerate(values, start=1):
        records.append(trial.trial, Epoch(number, 10.0 * number, {metric: value}))
    if status is not Status.RUNNING:
        records.end(trial.trial, status, reason="why" if status is Status.FAILED else None)
