"""The tables under docs/results come from the exported sweeps beside them, by the commands on the page."""

import shlex
import sys
from pathlib import Path

import pytest

from analysis.store.exported import is_export
from experiments.cli import main
from tests.docs.markdown import ROOT, blocks

RESULTS = ROOT / "docs" / "results"
PAGE = RESULTS / "README.md"


def commands() -> list[str]:
    """Those that read an export and write a file here."""
    lines = [line for block in blocks(PAGE) for line in block.commands]
    return [line for line in lines if line.startswith("ottt compare docs/results/")]


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_page_gives_the_committed_table(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words, target = line.split(" > ")
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", shlex.split(words))
    assert main() == 0
    assert capsys.readouterr().out == (ROOT / target).read_text(encoding="utf-8")


def test_every_export_has_a_table_and_is_on_the_page() -> None:
    exports = {folder.name for folder in RESULTS.iterdir() if is_export(folder)}
    assert exports
    assert exports == {Path(line.split()[2]).name for line in commands()}


def test_another_number_in_an_export_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first test would see if a table did not belong to its export."""
    from analysis import load, render, tables

    name = "digits_dvs-rule-lr"
    for file in (RESULTS / name).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    before = render.markdown(tables.compare(load.runs(name, store=str(tmp_path)), metric="val/loss"))
    runs = (tmp_path / "runs.csv").read_text(encoding="utf-8")
    (tmp_path / "runs.csv").write_text(runs.replace(",finished,", ",failed,", 1), encoding="utf-8")
    assert render.markdown(tables.compare(load.runs(name, store=str(tmp_path)), metric="val/loss")) != before
