"""The notebook of the examples runs, and shows what its committed outputs show."""

import re
from pathlib import Path

import pytest
from nbformat import NotebookNode, read

from tests.examples.notebooks import NOTEBOOK, ROOT, executed

DECIMAL = re.compile(r"-?\d+\.\d+")
SMALL = 100_000  # bytes of the file


def code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def committed() -> NotebookNode:
    return read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def anew(tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    return executed(NOTEBOOK, tmp_path_factory.mktemp("user"))


def kinds(cell: NotebookNode) -> list[tuple[str, list[str]]]:
    """By output its type and formats; a stream, such as a warning on stderr, has the stream's name instead."""
    return [(one.output_type, sorted(one.get("data", [one.get("name")]))) for one in cell.outputs]


def texts(cell: NotebookNode) -> list[str]:
    formats = ("text/plain", "text/html")
    return ["".join(one.data[form]) for one in cell.outputs for form in formats if form in one.get("data", ())]


def test_what_is_committed_was_executed_and_is_small(committed: NotebookNode) -> None:
    assert [cell.execution_count for cell in code(committed)] == list(range(1, len(code(committed)) + 1))
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < SMALL
    assert [place for place in (str(ROOT), str(Path.home()), "/tmp/", "site-packages") if place in text] == []


def test_it_shows_the_same_kinds_of_outputs(committed: NotebookNode, anew: NotebookNode) -> None:
    assert list(map(kinds, code(anew))) == list(map(kinds, code(committed)))
    assert "stream" not in {kind for cell in code(anew) for kind, _ in kinds(cell)}


def test_it_shows_the_same_texts(committed: NotebookNode, anew: NotebookNode) -> None:
    """Numbers may differ by what another processor's rounding does to a short training."""
    compared = 0
    for old, new in zip(code(committed), code(anew), strict=True):
        if "speed" not in old.metadata.get("tags", ()):
            for before, now in zip(texts(old), texts(new), strict=True):
                assert DECIMAL.split(now) == DECIMAL.split(before)
                assert list(map(float, DECIMAL.findall(now))) == pytest.approx(
                    list(map(float, DECIMAL.findall(before))), abs=0.05
                )
                compared += 1
    assert compared >= 6


def test_progress_is_one_output_that_ends_with_the_last_trial(anew: NotebookNode) -> None:
    (cell,) = [cell for cell in code(anew) if "sweep.run()" in cell.source]
    begin, bar, value = (texts(cell)[0], texts(cell)[2], texts(cell)[4])
    assert begin == "threshold: 4 trials, 0 done before, 4 to run\n"
    assert bar.startswith("threshold: 4/4 done, 0 running, 0 failed; best val/top1 0.")
    assert value == "(4, 4, 0)"
    assert '<progress value="1.0000" max="1">' in texts(cell)[3]


def test_the_comparison_is_a_table_with_its_notes(anew: NotebookNode) -> None:
    (cell,) = [cell for cell in code(anew) if "comparison = " in cell.source]
    (shown,) = [text for text in texts(cell) if text.startswith("<table")]
    assert re.findall(r'<th scope="col"[^>]*>([^<]*)</th>', shown)[:3] == [
        "neuron.v_threshold",
        "done",
        "test/top1 ± sd",
    ]
    assert "n too small: with fewer than 6 pairs no difference can reach p &lt;= 0.05." in shown
