"""The background writer, with a store that works and one that fails."""

from pathlib import Path

import pytest

from experiments.results.trial_records import TrialRecords
from experiments.tracking.writer import BackgroundWriter, StoreError
from ottt.schema import Status
from tests.experiments.mlflow_sweeps import epochs, plan, points, record, rows, sweep_runs

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)


def test_the_local_store_can_be_read_while_it_is_written(folder: Path) -> None:
    assert rows(folder, "PRAGMA journal_mode") == [("wal",)]


def test_a_store_that_cannot_be_opened_is_reported_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").mkdir()
    writer = BackgroundWriter(sweep_runs(plan([2.0]), tmp_path), TrialRecords(tmp_path / "trials"))
    writer.start()
    with pytest.raises(StoreError, match="the tracking store cannot be opened: "):
        writer.begin()
    assert writer.close(Status.FINISHED) is None


def test_what_a_failing_store_lacks_is_reported_and_written_the_next_time(folder: Path) -> None:
    planned = plan([2.0])
    first = planned.trials[0]
    records = TrialRecords(folder / "trials")
    records.begin(record(first))
    records.append(first.trial, epochs(1)[0])
    records.end(first.trial, Status.FINISHED)
    writer = BackgroundWriter(sweep_runs(planned, folder), records)
    writer.start()
    writer.begin()  # connected: MLflow has checked for missing tables, which it would create
    rows(folder, "ALTER TABLE metrics RENAME TO away")
    writer.update(first.trial)
    problem = writer.close(Status.FINISHED, say=pytest.fail)  # no wait for a store that answers
    assert problem is not None
    assert problem.startswith("the tracking store lacks 1 trials: ")
    assert "\n" not in problem
    rows(folder, "ALTER TABLE away RENAME TO metrics")
    writer = BackgroundWriter(sweep_runs(planned, folder), records)
    writer.start()
    writer.begin()
    writer.update(first.trial)
    assert writer.close(Status.FINISHED) is None
    assert len(points(folder)) == 2
    assert {status for (status,) in rows(folder, "SELECT status FROM runs")} == {"FINISHED"}
