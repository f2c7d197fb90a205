"""The cache of `history`: results are the same with it, and only runs that have changed are read again."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from analysis import load
from analysis.store.base import StoredRun
from analysis.store.mlflow_client import ClientStore
from analysis.store.points import Points
from analysis.store.sql import SqlStore
from ottt.errors import UserError
from tests.analysis.synthetic import SyntheticSweep, write

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)

RUNS = [f"{1:016x}{index:016x}" for index in range(4)]


@pytest.fixture
def read_runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the runs whose points were read from a store; tests clear it."""
    found: list[str] = []

    for kind in (SqlStore, ClientStore):
        points = kind.points

        def noted(self: SqlStore | ClientStore, runs: Sequence[StoredRun], points=points) -> Points:
            found.extend(run.id for run in runs)
            return points(self, runs)

        monkeypatch.setattr(kind, "points", noted)
    return found


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with four trials, of which the last is running."""
    folder = tmp_path_factory.mktemp("store")
    ends = {(1, 1): ("running", None, 2)}
    write(SyntheticSweep("tau", {"neuron.tau": [1.25, 2.0]}, seeds=2, epochs=3, ends=ends), folder)
    return folder / "mlflow.db"


@pytest.fixture
def store(written: Path, tmp_path: Path) -> str:
    """A copy that the test can change."""
    return f"sqlite:///{copy(written, tmp_path / 'mlflow.db')}"


@pytest.fixture
def folder(tmp_path: Path, store: str) -> Path:
    """The folder of a cache that has been filled."""
    load.history("tau", store=store, cache=tmp_path / "cache")
    return tmp_path / "cache"


def copy(database: Path, to: Path) -> Path:
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)
    return to


def entry(folder: Path, suffix: str) -> Path:
    [file] = folder.glob(f"*.{suffix}")
    return file


def check(store: str, folder: Path, read_runs: list[str], expected: Sequence[str]) -> pd.DataFrame:
    """Check that reading with the cache gives the same as without, twice, and first reads the `expected` runs only."""
    plain = load.history("tau", store=store)
    read_runs.clear()
    pd.testing.assert_frame_equal(load.history("tau", store=store, cache=folder), plain)
    assert sorted(read_runs) == sorted(expected)
    read_runs.clear()
    pd.testing.assert_frame_equal(load.history("tau", store=store, cache=folder), plain)
    assert read_runs == []
    return plain


def test_what_has_not_changed_is_not_read_again(store: str, folder: Path, read_runs: list[str]) -> None:
    assert len(check(store, folder, read_runs, [])) == (3 * 3 + 2) * 14
    assert sorted(file.suffix for file in folder.iterdir()) == [".marks", ".parquet"]


@pytest.mark.parametrize(
    "point",
    [
        ("train/loss", 0.1, 99, 4),
        ("test/top1", 0.1, 2**42, 1),
        ("train/top1", 0.1, 5, 1),
        ("val/loss", float("nan"), 5, 2),
    ],
    ids=["grown", "written again", "another metric", "not a number, early"],
)
def test_a_run_with_another_point_is_read_again(
    store: str, folder: Path, read_runs: list[str], point: tuple[str, float, int, int]
) -> None:
    before = load.history("tau", store=store)
    key, value, timestamp, step = point
    MlflowClient(store).log_metric(RUNS[1], key, value, timestamp=timestamp, step=step)
    after = check(store, folder, read_runs, [RUNS[1]])
    assert not after.equals(before)


def test_deleted_and_returned_runs(store: str, folder: Path, read_runs: list[str]) -> None:
    client = MlflowClient(store)
    client.delete_run(RUNS[0])
    assert check(store, folder, read_runs, [])["trial"].nunique() == 3
    client.restore_run(RUNS[0])
    assert check(store, folder, read_runs, [RUNS[0]])["trial"].nunique() == 4


@pytest.mark.parametrize("suffix", ["parquet", "marks"])
@pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 1.0])
def test_a_damaged_file_counts_as_nothing(
    store: str, folder: Path, read_runs: list[str], suffix: str, place: float
) -> None:
    file = entry(folder, suffix)
    content = bytearray(file.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    file.write_bytes(content)
    check(store, folder, read_runs, RUNS)


@pytest.mark.parametrize("suffix", ["parquet", "marks"])
def test_a_file_that_is_cut_short_or_of_another_entry_counts_as_nothing(
    store: str, folder: Path, read_runs: list[str], suffix: str
) -> None:
    file = entry(folder, suffix)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    check(store, folder, read_runs, RUNS)
    MlflowClient(store).log_metric(RUNS[2], "train/loss", 0.1, step=4)
    check(store, folder, read_runs, [RUNS[2]])
    file.write_bytes(whole)  # the earlier file, beside the current other one
    check(store, folder, read_runs, RUNS)


def test_a_client_s_run_that_has_not_ended_is_read_every_time(
    store: str, tmp_path: Path, read_runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "open_store", ClientStore)
    plain = load.history("tau", store=store)
    client = MlflowClient(store)
    for expected in (RUNS, RUNS[3:], RUNS[3:]):
        read_runs.clear()
        pd.testing.assert_frame_equal(load.history("tau", store=store, cache=tmp_path / "cache"), plain)
        assert sorted(read_runs) == expected
    client.log_metric(RUNS[0], "train/loss", 0.1, step=4)
    client.log_metric(RUNS[3], "train/loss", 0.1, timestamp=2**42, step=1)
    read_runs.clear()
    changed = load.history("tau", store=store, cache=tmp_path / "cache")
    assert sorted(read_runs) == [RUNS[0], RUNS[3]]
    pd.testing.assert_frame_equal(changed, load.history("tau", store=store))


def test_stores_do_not_meet_in_a_folder(
    written: Path, store: str, folder: Path, tmp_path: Path, read_runs: list[str]
) -> None:
    other = f"sqlite:///{copy(written, tmp_path / 'other.db')}"
    MlflowClient(other).log_metric(RUNS[0], "train/loss", 0.1, step=4)
    check(other, folder, read_runs, RUNS)
    check(store, folder, read_runs, [])
    assert len(list(folder.iterdir())) == 4


def test_a_folder_that_cannot_be_is_the_user_s_to_mend(store: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cache must be a folder that can be written, got .*/file: "):
        load.history("tau", store=store, cache=tmp_path / "file")
