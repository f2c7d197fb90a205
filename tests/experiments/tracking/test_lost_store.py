"""A store that is locked, or deleted while a sweep is written: in the end it holds all that the records hold."""

import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import TextClause
from sqlalchemy import text as clause

from experiments.planning.plan import SweepPlan
from experiments.results.trial_records import TrialRecords
from experiments.tracking import writer as writers
from experiments.tracking.sweep_runs import SweepRuns
from experiments.tracking.writer import BackgroundWriter, StoreError
from ottt.schema import Status
from tests.experiments.mlflow_sweeps import HERE, children, epochs, plan, points, record

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)


@pytest.fixture(autouse=True)
def short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "PERIOD_S", 0.05)


def finished(records: TrialRecords, planned: SweepPlan, number: int) -> str:
    trial = planned.trials[number]
    records.begin(record(trial))
    for epoch in epochs(2):
        records.append(trial.trial, epoch)
    records.end(trial.trial, Status.FINISHED)
    return trial.trial


def writer_of(planned: SweepPlan, folder: Path, *, timeout: float = 20.0) -> BackgroundWriter:
    store = f"sqlite:///{folder / 'mlflow.db'}?timeout={timeout}"
    sweep_runs = SweepRuns(planned, "name: sweep\n", HERE, store=store, artifacts=folder / "artifacts")
    writer = BackgroundWriter(sweep_runs, TrialRecords(folder / "trials"))
    writer.start()
    return writer


def written(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """A function that waits until so many trials were written."""
    done = threading.Semaphore(0)
    reconcile = SweepRuns.reconcile

    def counted(self: SweepRuns, *given: object) -> None:
        reconcile(self, *given)  # type: ignore[arg-type]
        done.release()

    monkeypatch.setattr(SweepRuns, "reconcile", counted)

    def wait(count: int) -> None:
        for _ in range(count):
            assert done.acquire(timeout=900)

    return wait


@pytest.mark.parametrize("replaced", [False, True])
def test_a_store_deleted_while_it_is_written_is_filled_again(
    folder: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch, *, replaced: bool
) -> None:
    wait, said = written(monkeypatch), []
    planned, records = plan([2.0, 4.0]), TrialRecords(folder / "trials")
    earlier = finished(records, planned, 3)  # of another sweep: nobody says that it has changed
    writer = writer_of(planned, folder)
    writer.begin(say=said.append)
    writer.update(finished(records, planned, 0))
    wait(1)
    for path in folder.glob("mlflow.db*"):
        path.unlink()
    if replaced:
        shutil.copyfile(empty_store, folder / "mlflow.db.copy")
        (folder / "mlflow.db.copy").replace(folder / "mlflow.db")
    writer.update(finished(records, planned, 1))
    assert writer.close(Status.FINISHED) is None
    assert said == ["note: the tracking store was deleted or replaced: it is filled again from the records"]
    expected = {planned.trials[number].trial for number in (0, 1)} | {earlier}
    assert {trial for _, _, trial in children(folder)} == expected
    assert {status for status, _, _ in children(folder)} == {"FINISHED"}
    assert len(points(folder)) == 3 * 2 * 2


def test_a_log_that_outlived_its_store_is_not_merged_into_the_new_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = written(monkeypatch)
    planned, records = plan([2.0]), TrialRecords(folder / "trials")
    writer = writer_of(planned, folder)
    writer.begin()
    writer.update(finished(records, planned, 0))
    wait(1)
    assert (folder / "mlflow.db-wal").stat().st_size > 0  # the negative control: there is one
    (folder / "mlflow.db").unlink()
    wait(1)
    assert writer.close(Status.FINISHED) is None
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert len(children(folder)) == 1


def test_results_deleted_as_a_whole_are_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wait = written(monkeypatch)
    planned, records = plan([2.0]), TrialRecords(folder / "trials")
    writer = writer_of(planned, folder)
    writer.begin()
    trial = finished(records, planned, 0)
    writer.update(trial)
    wait(1)
    shutil.rmtree(folder)
    writer.update(trial)
    problem = writer.close(Status.FINISHED)
    expected = f"{folder / 'trials'}: must stay while the sweep runs, but it was deleted"
    assert problem == f"the tracking store lacks 1 trials: {expected}"
    assert not folder.exists()


def test_a_trial_without_a_record_holds_back_none_of_the_others(folder: Path) -> None:
    planned, records = plan([2.0]), TrialRecords(folder / "trials")
    writer = writer_of(planned, folder)
    writer.begin()
    gone, kept = finished(records, planned, 0), finished(records, planned, 1)
    shutil.rmtree(records.folder / gone)
    writer.update(gone)
    writer.update(kept)
    problem = writer.close(Status.FINISHED)
    assert problem is not None
    assert problem.startswith(f"the tracking store lacks 1 trials: {records.folder / gone}: must stay while")
    assert [trial for _, _, trial in children(folder)] == [kept]


def test_a_locked_store_is_waited_for_and_nothing_is_lost(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held until the writer has met the lock, then let go: what it could not write is written in a later round."""
    monkeypatch.setattr("mlflow.store.db.utils.sql.text", _impatient)
    planned, records = plan([2.0]), TrialRecords(folder / "trials")
    writer = writer_of(planned, folder)
    writer.begin()
    with closing(sqlite3.connect(folder / "mlflow.db", isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        met = threading.Event()
        monkeypatch.setattr(writers, "is_away", lambda error: (met.set(), True)[1])
        writer.update(finished(records, planned, 0))
        said: list[str] = []
        closing_ = threading.Thread(target=lambda: said.append(str(writer.close(Status.FINISHED, say=said.append))))
        closing_.start()
        assert met.wait(120)
        holder.execute("COMMIT")
        closing_.join(120)
    waited = "the tracking store: the database is locked by another process: end that process, or try again when it is"
    assert said[0].startswith(waited)
    assert said[1:] == ["None"]
    assert len(points(folder)) == 4
    assert "Traceback" not in capfd.readouterr().err


def _impatient(text: str) -> TextClause:
    return clause(text.replace("busy_timeout = 20000", "busy_timeout = 100"))


def test_a_store_that_stays_locked_is_one_line_before_anything_is_trained(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "mlflow.db", isolation_level=None)) as holder:
        holder.execute("PRAGMA journal_mode=DELETE")
        holder.execute("BEGIN EXCLUSIVE")
        writer = writer_of(plan([2.0]), folder, timeout=0.3)
        with pytest.raises(StoreError) as caught:
            writer.begin()
    assert str(caught.value) == (
        "the tracking store cannot be opened: the database is locked by another process:"
        " end that process, or try again when it is done"
    )
