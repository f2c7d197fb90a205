"""What is remembered is made once, again if it is damaged, and each time where there is no cache."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ottt.user_cache import cache_folder, remembered


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], str]:
    """The content of a remembered file, which is the number of times that it was made."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made: list[Path] = []

    def make(path: Path) -> None:
        made.append(path)
        path.write_text(str(len(made)), encoding="utf-8")

    def read() -> str:
        with remembered("number", make, is_sound=lambda path: path.read_text(encoding="utf-8").isdecimal()) as path:
            return path.read_text(encoding="utf-8")

    return read


def test_it_is_made_once(read: Callable[[], str], tmp_path: Path) -> None:
    assert [read(), read(), read()] == ["1", "1", "1"]
    assert [path.name for path in (tmp_path / "cache" / "ottt").iterdir()] == ["number"]


def test_a_damaged_or_deleted_file_is_made_again(read: Callable[[], str], tmp_path: Path) -> None:
    read()
    (tmp_path / "cache" / "ottt" / "number").write_bytes(b"\0\0")
    assert [read(), read()] == ["2", "2"]
    (tmp_path / "cache" / "ottt" / "number").unlink()
    assert read() == "3"


def test_without_a_cache_it_is_made_each_time(
    read: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert cache_folder() is None
    assert [read(), read()] == ["1", "2"]


def test_nor_does_a_cache_that_takes_no_file_stand_in_the_way(read: Callable[[], str], tmp_path: Path) -> None:
    (tmp_path / "cache" / "ottt" / "number" / "occupied").mkdir(parents=True)
    assert cache_folder() is not None
    assert [read(), read()] == ["2", "4"]  # each time made for the cache, which refuses it, and then for the context
