"""Whatever a spec and its overrides hold: a plan, or lines that say what is wrong."""

import re
import sys
import time
import warnings
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.cli import main
from ottt.config.load import PRESETS, load_config
from ottt.errors import UserError
from tests.experiments.sweep_spec import mutations

CASES = settings(
    max_examples=150,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
LONGEST_S = 5.0  # of the processor, which other processes do not lengthen; a case takes some hundredths
OF_A_TRACEBACK = re.compile(r"Traceback|\b[A-Z]\w*(Error|Exception|Warning)\b| object at 0x")

any_draw = st.randoms(use_true_random=False)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTTT_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)  # which the command sets


def planned(text: str, *overrides: str) -> tuple[int, str]:
    """Exit status and stderr of `ottt sweep plan` for a spec with this text."""
    Path("spec.yaml").write_text(text, encoding="utf-8", newline="")
    out, err, before = StringIO(), StringIO(), sys.argv
    sys.argv = ["ottt", "sweep", "plan", "--no-estimate", "spec.yaml", *overrides]
    began = time.process_time()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            status = main()
    finally:
        sys.argv = before
    assert time.process_time() - began < LONGEST_S
    assert bool(out.getvalue()) == (status == 0)
    return status, err.getvalue()


def assert_lines(status: int, printed: str) -> None:
    assert status in {0, 2}, printed
    lines = printed.splitlines()
    assert all(line.startswith(("error: ", "note: ")) for line in lines), printed
    assert any(line.startswith("error: ") for line in lines) == (status == 2), printed
    assert not OF_A_TRACEBACK.search(printed), printed
    assert all(line.isprintable() for line in lines), printed


@pytest.mark.parametrize("number", range(len(mutations.valid_texts())))
def test_the_specs_to_be_changed_are_valid(number: int) -> None:
    status, printed = planned(mutations.valid_texts()[number])
    assert (status, [line for line in printed.splitlines() if not line.startswith("note: ")]) == (0, [])


@CASES
@given(any_draw)
def test_a_changed_spec_is_planned_or_its_mistakes_are_named(draw: Random) -> None:
    assert_lines(*planned(mutations.mutated(draw.choice(mutations.valid_texts()), draw)))


@CASES
@given(any_draw)
def test_so_are_overrides(draw: Random) -> None:
    texts = [mutations.override(draw) for _ in range(draw.randint(1, 3))]
    texts = [text for text in texts if not text.startswith("-") and "\0" not in text]  # options; argv has no NUL
    assert_lines(*planned(draw.choice(mutations.valid_texts()), *texts))


@CASES
@given(any_draw)
def test_so_are_configurations_of_trials(draw: Random) -> None:
    texts = [path.read_text(encoding="utf-8") for path in sorted(PRESETS.glob("*.yaml"))]
    Path("trial.yaml").write_text(mutations.mutated(draw.choice(texts), draw), encoding="utf-8", newline="")
    with suppress(UserError):
        load_config("trial.yaml")
