"""`ottt cluster fetch`: data sets are copied once, complete and checked."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.cluster.fetch import SUMS, Fetched, fetch
from ottt.errors import UserError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    (folder / "deep").mkdir(parents=True)
    (folder / "one.bin").write_bytes(b"x" * 3_000_000)
    (folder / "deep" / "two.bin").write_bytes(b"y" * 5)
    files = [folder / "one.bin", folder / "deep" / "two.bin"]
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  ./{path.relative_to(folder)}\n" for path in files]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
    return folder


def test_files_are_copied_once(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "own"
    assert fetch(str(source), target) == Fetched(2, 2, 3_000_005)
    assert (target / "deep" / "two.bin").read_bytes() == b"yyyyy"
    assert fetch(str(source), target) == Fetched(2, 0, 0)
    (target / "one.bin").write_bytes(b"damaged")
    assert fetch(f"file://{source}", target) == Fetched(2, 1, 3_000_000)


def test_an_altered_file_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "deep" / "two.bin").write_bytes(b"z" * 5)
    with pytest.raises(UserError, match=r"two\.bin: must have SHA-256 [0-9a-f]{64}, got [0-9a-f]{64}: truncated"):
        fetch(str(source), tmp_path / "own")
    assert sorted(path.name for path in (tmp_path / "own").rglob("*") if path.is_file()) == [".fetch.lock", "one.bin"]


def test_a_list_cannot_name_files_elsewhere(source: Path, tmp_path: Path) -> None:
    (source / SUMS).write_text(f"{'0' * 64}  ../escaped\n", encoding="utf-8")
    with pytest.raises(UserError, match=f"{SUMS}:1: must read SHA-256 and a file below"):
        fetch(str(source), tmp_path / "own")


def test_a_missing_source_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"/nowhere: cannot be fetched to .*/own: ") as caught:
        fetch("/nowhere", tmp_path / "own")
    assert len(caught.value.problems) == 1


def test_concurrent_processes_copy_once(source: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "experiments.cli", "cluster", "fetch", str(source), "--to", str(tmp_path / "own")]
    asking = [subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(process.communicate(timeout=900)[0].split(": ")[1].split(" copied")[0] for process in asking)
    assert said == ["0", "2"]
