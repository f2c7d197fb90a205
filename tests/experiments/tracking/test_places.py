"""A folder of results may have any name: what is written is in it, and every reader and MLflow find it there."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from analysis import load
from analysis.report.origin import Origin
from analysis.search import search
from experiments.cli.mlflow import app
from experiments.results.folder import Results
from experiments.tracking import connection
from experiments.tracking.sweep_runs import SweepRuns
from ottt.schema import Status
from tests.analysis.store.test_sqlite import ODD_NAMES
from tests.experiments.mlflow_sweeps import HERE, REPORT, epochs, plan, record

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)
NAMES = (*ODD_NAMES, "$HOME", "..a")


@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_is_written_and_read_in_a_folder_of_this_name(
    tmp_path: Path, empty_store: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    results, planned = Results(tmp_path / name), plan([2.0])
    results.root.mkdir()
    with closing(sqlite3.connect(empty_store)) as source, closing(sqlite3.connect(results.root / "mlflow.db")) as copy:
        source.backup(copy)
    sweep_runs = SweepRuns(planned, "name: sweep\n", HERE, store=results.store, artifacts=results.artifacts)
    sweep_runs.connect()
    sweep_runs.open()
    first = planned.trials[0]
    sweep_runs.reconcile(first, record(first, Status.FINISHED), epochs(2), REPORT)
    sweep_runs.close(Status.FINISHED)
    assert load.runs("sweep", store=results.store)["status"].tolist() == ["finished", "missing"]
    assert len(load.history("sweep", store=results.store)) == 4
    assert Origin.of("sweep", store=results.store).spec == "name: sweep\n"
    assert len(search("tags.`ottt.kind` = 'trial'", store=results.store)) == 1
    [evaluation] = (results.root / "artifacts" / "sweep").rglob("report/evaluation.json")
    assert evaluation.read_text(encoding="utf-8") == REPORT.to_json()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    moved = Results(results.root.rename(tmp_path / f"{name} moved%20?#"))
    assert Origin.of("sweep", store=moved.store).spec == "name: sweep\n"
    again = SweepRuns(planned, "name: other\n", HERE, store=moved.store, artifacts=moved.artifacts)
    again.connect()
    again.open()
    again.close(Status.FINISHED)
    assert Origin.of("sweep", store=moved.store).spec == "name: other\n"
    assert [path.name for path in tmp_path.iterdir()] == [moved.root.name]


def test_a_new_store_is_made_in_the_folder_that_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "a%20b?c"
    SweepRuns(plan([2.0]), "", HERE, store=Results(folder).store, artifacts=None).connect()
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert {path.name for path in folder.iterdir()} >= {"mlflow.db", "mlflow.db.lock"}


@pytest.mark.parametrize("name", ["a b", "a%20b", "a?b#c", "it's $HOME"])
def test_the_printed_command_names_the_folder(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a shell of its own: with `echo` in place of the server."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / name
    folder.mkdir()
    told = CliRunner().invoke(app, ["serve", "--dry-run", "--results", str(folder)], standalone_mode=False).stdout
    code = "import os; print(os.getcwd()); print(os.environ['MLFLOW_BACKEND_STORE_URI'])"
    stub = told.replace(f"exec {sys.executable} -m mlflow server", f'exec {sys.executable} -c "{code}"')
    done = subprocess.run(["sh", "-c", stub], cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [str(folder), Results(folder).store]


def test_the_tables_of_a_new_store_are_made_once_per_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    original, made = connection._make_tables, []

    def make_tables(path: Path) -> None:
        made.append(path)
        original(path)

    monkeypatch.setattr(connection, "_make_tables", make_tables)

    def write_new(name: str) -> list[str]:
        new = SweepRuns(plan([2.0]), "", HERE, store=Results(tmp_path / name).store, artifacts=None)
        new.connect()
        new.open()
        new.close(Status.FINISHED)
        return load.runs("sweep", store=new.store)["status"].tolist()

    assert [write_new("first"), write_new("second")] == 2 * [["missing", "missing"]]
    assert len(made) == 1
    [empty] = (tmp_path / "cache" / "ottt").glob("mlflow-*.db")
    empty.write_bytes(empty.read_bytes()[:5000])
    assert write_new("third") == ["missing", "missing"]
    assert len(made) == 2
