"""The cache of prepared arrays: several processes, killed processes, damaged files."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ottt.data.cache import cached
from ottt.errors import UserError

# Records each run of the build in a file, and is slow enough for processes to overlap.
BUILD = """
import sys, time
from pathlib import Path
import numpy as np
from ottt.data.cache import cached
root = Path(sys.argv[1])
def build(folder):
    with (root / "builds").open("a") as file:
        file.write("x")
    np.save(folder / "inputs.npy", np.arange(12.0))
    (root / "writing").touch()
    time.sleep(float(sys.argv[2]))
    np.save(folder / "labels.npy", np.arange(3))
    return 2
data = cached(root, "made", {"a": 1}, build)
print(data.inputs.sum(), data.train, data.digest)
"""


def start(root: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BUILD, str(root), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def build(folder: Path) -> int:
    np.save(folder / "inputs.npy", np.arange(12.0))
    np.save(folder / "labels.npy", np.arange(3))
    return 2


def entries(root: Path) -> list[Path]:
    return [path for path in (root / "cache").iterdir() if path.is_dir()]


def test_concurrent_processes_share_one_build(tmp_path: Path) -> None:
    processes = [start(tmp_path, 0.5) for _ in range(3)]
    printed = {process.communicate(timeout=900)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(printed) == 1
    assert printed.pop().startswith("66.0 2 ")
    assert (tmp_path / "builds").read_text() == "x"
    assert len(entries(tmp_path)) == 1


def test_a_killed_writer_leaves_no_entry_for_readers(tmp_path: Path) -> None:
    process = start(tmp_path, 60)
    deadline = time.monotonic() + 60
    while not (tmp_path / "writing").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert [entry.suffix for entry in entries(tmp_path)] == [".partial"]
    data = cached(tmp_path, "made", {"a": 1}, build)
    assert data.inputs.tolist() == list(range(12))
    assert [entry.suffix for entry in entries(tmp_path)] == [""]


def test_changes_to_a_map_do_not_reach_the_file(tmp_path: Path) -> None:
    first = cached(tmp_path, "made", {}, build)
    first.inputs[0] = 99
    again = cached(tmp_path, "made", {}, build)
    assert again.inputs[0] == 0
    assert isinstance(again.inputs, np.memmap)


def test_the_key_depends_on_all_facts(tmp_path: Path) -> None:
    for facts in ({"T": 1}, {"T": 2}, {"T": 1}, {"T": 1, "size": None}):
        cached(tmp_path, "made", facts, build)
    assert len(entries(tmp_path)) == 3


@pytest.mark.parametrize("name", ["inputs.npy", "labels.npy", "meta.json"])
def test_a_damaged_entry_is_named(name: str, tmp_path: Path) -> None:
    cached(tmp_path, "made", {}, build)
    (entry,) = entries(tmp_path)
    content = (entry / name).read_bytes()
    (entry / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="damaged, delete it to have it made again") as error:
        cached(tmp_path, "made", {}, build)
    assert str(entry) in str(error.value)


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def failing(folder: Path) -> int:
        build(folder)
        raise UserError("no")

    with pytest.raises(UserError, match="no"):
        cached(tmp_path, "made", {}, failing)
    assert entries(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written: File exists"):
        cached(tmp_path, "made", {}, build)
