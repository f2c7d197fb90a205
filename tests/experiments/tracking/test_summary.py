"""Report and comparison as artifacts of the parent run."""

import csv
from io import StringIO
from pathlib import Path

import pytest

from analysis import load
from experiments.results.folder import Results
from experiments.tracking.page import summary
from experiments.tracking.sweep_runs import NoSummaryWarning
from experiments.tracking.sync import sync
from ottt.errors import UserError
from ottt.schema import Status
from tests.experiments.mlflow_sweeps import Opened, epochs, finish, plan, record

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)


def written(folder: Path) -> dict[str, str]:
    """The artifacts of the summary by their name."""
    names = {summary.REPORT, *summary.TABLES}
    found = [path for path in (folder / "artifacts").rglob("*") if path.name in names]
    return {path.name: path.read_text(encoding="utf-8") for path in found}


def done(text: str) -> list[str]:
    """The counts of finished trials in the comparison."""
    return [row["finished"] for row in csv.DictReader(StringIO(text))]


def test_report_and_tables_follow_the_trials(opened: Opened, folder: Path) -> None:
    planned = plan([2.0, 4.0])
    store = opened(planned)
    store.summarize()
    assert written(folder) == {}  # no trial has begun
    for count, trial in enumerate(planned.trials[:2], start=1):
        store.reconcile(trial, record(trial, Status.FINISHED), epochs(2))
        store.summarize()
        files = written(folder)
        assert done(files["comparison.csv"]) == [str(count), "0"]
        assert f"| {count}/2 |" in files["comparison.md"]
        assert f"{count} of 4 trials finished" in files["report.html"]


def test_it_is_made_once_for_the_same_trials(opened: Opened, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan([2.0])
    first = planned.trials[0]
    store = opened(planned)
    store.reconcile(first, record(first, Status.FINISHED), epochs(2))
    store.summarize()
    made: list[str] = []
    monkeypatch.setattr(summary, "files", lambda sweep, *, store: made.append(sweep) or {})
    store.summarize()
    again = opened(planned)
    again.reconcile(first, record(first, Status.FINISHED), epochs(2))
    again.summarize()
    assert made == []
    second = planned.trials[1]
    again.reconcile(second, record(second, Status.FINISHED), epochs(2))
    again.summarize()
    assert made == ["sweep"]


def test_a_failure_is_a_line_and_sync_mends_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    results = Results(folder)
    finish(plan([2.0]), results)

    def fail(sweep: str, *, store: str) -> "load.pd.DataFrame":
        raise UserError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(load, "history", fail)
        with pytest.warns(NoSummaryWarning, match="lacks the report of sweep: no room"):
            assert sync("sweep", results=results).status is Status.FINISHED
    assert written(folder) == {}
    assert len(load.runs("sweep", store=results.store)) == 2
    sync("sweep", results=results)
    assert written(folder).keys() == {"report.html", "comparison.md", "comparison.csv"}
