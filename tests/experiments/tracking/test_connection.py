"""A new store is made once, even if several processes connect at once or one is killed."""

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

OPEN = """
import sys, time
from experiments.tracking.connection import connect
time.sleep(max(0.0, float(sys.argv[2]) - time.time()))  # all at once
print(len(connect(sys.argv[1]).search_experiments()))
"""


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No tables that MLflow made before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_processes_that_open_a_new_store_together_all_succeed(tmp_path: Path) -> None:
    store = tmp_path / "mlflow.db"
    begin = str(time.time() + 8)
    opening = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, f"sqlite:///{store}", begin], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    said = [process.communicate(timeout=900) for process in opening]
    assert [process.returncode for process in opening] == [0, 0, 0], said
    assert [out.strip() for out, _ in said] == [b"1", b"1", b"1"]
    with closing(sqlite3.connect(store)) as connection:
        assert connection.execute("SELECT count(*) FROM experiments").fetchall() == [(1,)]


def test_a_process_that_is_killed_while_it_makes_a_store_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    store = tmp_path / "mlflow.db"
    command = [sys.executable, "-c", OPEN, f"sqlite:///{store}", "0"]
    making = tmp_path / "making"
    making.mkdir()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "TMPDIR": str(making)}
    )
    while not any(half.stat().st_size for half in making.glob("*/mlflow.db")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not store.exists()
    assert list((tmp_path / "cache" / "ottt").glob("mlflow*")) == []
    again = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert (again.returncode, again.stdout.strip()) == (0, "1"), again.stderr
