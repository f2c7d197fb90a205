"""Whose code made a result: by content, with and without git."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.commands import ROOT

SAY = """\
import json
from dataclasses import asdict
from experiments.results.provenance import Provenance, git_problem, source_diff
print(json.dumps({**asdict(Provenance.current()), "problem": git_problem(), "text": source_diff()}))
"""
SOURCE = Path("ottt") / "training" / "optim.py"

Say = Callable[..., dict[str, Any]]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of its own with one commit."""
    folder = tmp_path / "clone"
    for package in ("ottt", "analysis", "experiments"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "studies"))
    git(folder, "init", "--quiet")
    commit(folder)
    return folder


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "--quiet", "--message", "m")


def say(folder: Path, **variables: str) -> dict[str, Any]:
    """The provenance of a process that runs the clone's code."""
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"} | variables
    done = subprocess.run(
        [sys.executable, "-c", SAY], cwd=folder.parent, env=environment, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_code_is_known_by_its_content(clone: Path) -> None:
    first = say(clone)
    assert (first["dirty"], first["diff"], first["problem"]) == (False, None, None)
    (clone / SOURCE).write_text((clone / SOURCE).read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    changed = say(clone)
    assert (changed["commit"], changed["dirty"]) == (first["commit"], True)
    assert changed["code"] != first["code"]
    commit(clone)
    committed = say(clone)
    assert committed["commit"] != first["commit"]
    assert (committed["code"], committed["dirty"]) == (changed["code"], False)
    (clone / "README.md").write_text("words", encoding="utf-8")
    commit(clone)
    assert say(clone)["code"] == changed["code"]


def test_untracked_code_counts_and_is_in_the_difference(clone: Path) -> None:
    first = say(clone)
    (clone / "ottt" / "new.py").write_text("SECRET_SAUCE = 1\n", encoding="utf-8")
    found = say(clone)
    assert found["dirty"]
    assert found["code"] != first["code"]
    assert "b/ottt/new.py" in found["text"]
    assert "SECRET_SAUCE = 1" in found["text"]


def test_without_git_the_code_is_still_known(clone: Path) -> None:
    first = say(clone)
    missing = say(clone, PATH="/nonexistent")
    assert (missing["commit"], missing["code"]) == (None, first["code"])
    assert missing["problem"].startswith("git cannot be run: ")
    shutil.rmtree(clone / ".git")
    installed = say(clone)
    assert (installed["commit"], installed["problem"], installed["code"]) == (None, None, first["code"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_clone_of_another_user_is_named(clone: Path, tmp_path: Path) -> None:
    first = say(clone)
    for path in (clone, clone / ".git"):
        os.chown(path, 12345, 12345)
    refused = say(clone, HOME=str(tmp_path), GIT_CONFIG_NOSYSTEM="1")
    assert (refused["commit"], refused["code"]) == (None, first["code"])
    assert "dubious ownership" in refused["problem"]
