"""Runs the tutorial, then the cookbook on its results, block by block in an empty folder, as a reader would."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, Block, blocks
from tests.experiments.commands import Place

RUNS = ("console", "python", "yaml")


def follow(page: str, place: Place) -> None:
    """Write the files and run the commands and snippets of the page."""
    found = list(blocks(ROOT / "docs" / page))
    assert {block.language for block in found} <= set(RUNS)
    snippets = [block.text for block in found if block.language == "python" and not block.file]
    for block in found:
        if block.file:
            (place.folder / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            run_all(block, place)
    if snippets:
        script = place.folder / "snippets.py"
        script.write_text("\n".join(snippets), encoding="utf-8")
        environment = place.environment(place.folder)
        done = subprocess.run(
            [sys.executable, str(script)],
            cwd=place.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stderr


def run_all(block: Block, place: Place) -> None:
    assert len(block.commands) == len(block.text.splitlines()), "a line that is not run"
    for command in block.commands:
        done = place.ottt(*shlex.split(command)[1:])
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert done.stdout, command


@pytest.mark.timeout(3000)
def test_tutorial_then_cookbook(tmp_path: Path) -> None:
    place = Place(tmp_path, cores=1)
    follow("tutorial.md", place)
    assert {path.name for path in (tmp_path / "results" / "sweeps").iterdir()} == {"threshold", "bars"}
    assert (tmp_path / "threshold.html").stat().st_size > 10_000
    assert len(place.statuses()) == 2 * 3 + 2 * 2
    follow("cookbook.md", place)
    assert (tmp_path / "threshold-results" / "runs.csv").is_file()
