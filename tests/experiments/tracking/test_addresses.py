"""A folder of results that is copied or moved: all that belongs to it lies in it, wherever it is."""

import json
import shutil
import socket
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from analysis.load import runs
from analysis.store.addresses import located
from analysis.store.mlflow_client import ClientStore
from analysis.store.open import open_store
from experiments.cli import main
from experiments.planning.plan import expand
from experiments.results.folder import Results
from experiments.tracking.connection import connect, disconnect
from experiments.tracking.server import Server
from experiments.tracking.sync import sync
from ottt.schema import PLAN_ARTIFACT
from tests.experiments.mlflow_sweeps import rows
from tests.experiments.specs import recorded, spec

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)

Command = Callable[..., str]
WIDE, NARROW = [1.25, 2.0], [2.0]


def write(results: Results, taus: list[float]) -> None:
    """What a sweep of two seeds leaves in the records and, through `sync`, in the store."""
    sweep = spec(axes={"neuron.tau": taus}, seeds=2)
    plan = expand(sweep)
    results.write_plan(plan, sweep.to_yaml())
    for trial in plan.trials:
        if results.records.read(trial.trial) is None:
            recorded(results.records, trial, values=[0.5, 0.75])
    sync("s", results=results)


@pytest.fixture
def original(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    """A folder with the name of a folder in its path that addresses must quote."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    results = Results(folder / "first place")
    results.root.mkdir()
    (folder / "mlflow.db").rename(results.root / "mlflow.db")
    write(results, WIDE)
    return results


@pytest.fixture
def ottt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: str, results: Results) -> str:
        monkeypatch.setattr(sys, "argv", ["ottt", *arguments, "--results", str(results.root)])
        assert main() == 0, capsys.readouterr().err
        return capsys.readouterr().out

    return run


def contents(results: Results) -> dict[str, bytes]:
    """The files of the artifacts and the database, closed."""
    files = [path for path in (results.root / "artifacts").rglob("*") if path.is_file()]
    with closing(sqlite3.connect(results.root / "mlflow.db")) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return {str(path.relative_to(results.root)): path.read_bytes() for path in [*files, results.root / "mlflow.db"]}


def addresses(results: Results) -> set[str]:
    """The folders that the store names."""
    query = "SELECT artifact_location FROM experiments WHERE name = 's' UNION SELECT artifact_uri FROM runs"
    return {address.partition("/artifacts/")[0] for (address,) in rows(results.root, query)}


def trials_of(results: Results, command: Command) -> int:
    table = command("compare", "s", "--metric", "val/top1", "--format", "json", results=results)
    return sum(row["n"] for row in json.loads(table)["rows"])


def test_a_sweep_in_a_copy_leaves_the_original_as_it_was(original: Results, ottt: Command) -> None:
    before = contents(original)
    copy = Results(original.root.with_name("copy"))
    shutil.copytree(original.root, copy.root)
    write(copy, NARROW)
    assert contents(original) == before
    assert (trials_of(original, ottt), trials_of(copy, ottt)) == (4, 2)
    assert addresses(original) == {original.root.as_uri()}
    assert addresses(copy) == {copy.root.as_uri()}


def test_a_copy_of_the_store_alone_gets_its_own_artifacts(original: Results, ottt: Command) -> None:
    before = contents(original)
    copy = Results(original.root.with_name("copy"))
    copy.root.mkdir()
    shutil.copy(original.root / "mlflow.db", copy.root)
    write(copy, NARROW)
    assert contents(original) == before
    assert {path.name for path in (copy.root / "artifacts" / "s").iterdir()} == {
        path.name for path in (original.root / "artifacts" / "s").iterdir()
    }
    assert (trials_of(original, ottt), trials_of(copy, ottt)) == (4, 2)


def test_a_moved_folder_is_read_where_it_is(original: Results, ottt: Command, tmp_path: Path) -> None:
    moved = Results(original.root.rename(tmp_path / "second place"))
    before = contents(moved)
    assert trials_of(moved, ottt) == 4
    assert "4" in ottt("sweep", "status", "s", results=moved)
    ottt("report", "s", "--metric", "val/top1", "--output", str(tmp_path / "report.html"), results=moved)
    assert "neuron.tau" in (tmp_path / "report.html").read_text(encoding="utf-8")
    ottt("sweep", "export", "s", "--to", str(tmp_path / "exported"), results=moved)
    assert (tmp_path / "exported" / "runs.csv").read_text(encoding="utf-8").count("\n") == 5
    assert contents(moved) == before  # reading writes nothing
    assert addresses(moved) == {original.root.as_uri()}
    assert not original.root.exists()


def test_a_moved_folder_is_written_where_it_is(original: Results, ottt: Command, tmp_path: Path) -> None:
    moved = Results(original.root.rename(tmp_path / "second place"))
    write(moved, NARROW)
    assert addresses(moved) == {moved.root.as_uri()}
    assert trials_of(moved, ottt) == 2
    assert not original.root.exists()


def test_a_moved_folder_is_served_where_it_is(original: Results, tmp_path: Path) -> None:
    moved = Results(original.root.rename(tmp_path / "second place"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(moved, port=port)
    server.prepare()
    assert addresses(moved) == {moved.root.as_uri()}
    assert (moved.root / "artifacts").as_uri() in server.command()
    assert not original.root.exists()


@pytest.mark.parametrize("reader", [open_store, ClientStore])
def test_both_readers_find_moved_artifacts(
    reader: Callable[[str], ClientStore], original: Results, tmp_path: Path
) -> None:
    moved = Results(original.root.rename(tmp_path / "second place"))
    source = reader(moved.store)
    [parent] = source.runs("sweep")
    assert parent.artifacts == f"{moved.root.as_uri()}/artifacts/s/{parent.id}/artifacts"
    assert json.loads(source.text(parent, PLAN_ARTIFACT))["name"] == "s"


def test_a_store_elsewhere_keeps_its_artifacts_beside_it(
    original: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where MLFLOW_TRACKING_URI names it: earlier, the folder of results had them, and could not be moved."""
    (tmp_path / "shared").mkdir()
    shutil.copy(original.root / "mlflow.db", tmp_path / "shared" / "lab.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/shared/lab.db")
    assert original.artifacts == tmp_path / "shared" / "artifacts"
    sync("s", results=original)
    moved = (tmp_path / "shared").rename(tmp_path / "moved")
    shutil.rmtree(original.root / "artifacts")
    assert len(runs("s", store=f"sqlite:///{moved}/lab.db")) == 4
    assert not (tmp_path / "shared").exists()


def test_addresses_of_other_programs_stay(folder: Path) -> None:
    store = f"sqlite:///{folder / 'mlflow.db'}"
    client = connect(store)
    place = client.create_experiment("theirs", (folder / "other" / "artifacts" / "theirs").as_uri())
    run = client.create_run(place).info
    disconnect(client)
    disconnect(connect(store))
    assert rows(folder, f"SELECT artifact_uri FROM runs WHERE run_uuid = '{run.run_id}'") == [(run.artifact_uri,)]


def test_the_address_of_a_run_logged_through_a_server_is_found_beside_the_store(tmp_path: Path) -> None:
    made = tmp_path / "artifacts" / "1" / "c0ffee" / "artifacts"
    made.mkdir(parents=True)
    assert located("mlflow-artifacts:/1/c0ffee/artifacts", tmp_path / "artifacts") == made.as_uri()
    assert located("mlflow-artifacts:/2/c0ffee/artifacts", tmp_path / "artifacts").startswith("mlflow-artifacts:")
