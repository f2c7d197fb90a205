"""Version, unknown commands, and the list of sweeps."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.cli import main
from experiments.cli.shell.suggestions import suggested
from experiments.cli.shell.version import version_line
from experiments.results import provenance
from experiments.results.folder import Results
from experiments.sweep import Sweep
from experiments.sweep_spec.studies import studies

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ottt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in a folder of its own: exit status, output, errors."""
    monkeypatch.delenv("OTTT_RESULTS", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ottt", *arguments])
        status = main()
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_the_version_has_the_commit_of_the_work_tree(ottt: Run) -> None:
    status, out, _ = ottt("--version")
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=provenance.ROOT, capture_output=True, text=True)
    expected = (
        rf"ottt [\d.]+, commit {commit.stdout[:12]}( with changes)?\n" if commit.returncode == 0 else r"ottt .*\n"
    )
    assert status == 0
    assert re.fullmatch(expected, out)


def test_an_installed_version_has_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    assert re.fullmatch(r"ottt [\d.]+|ottt unknown", version_line())


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (("run", "quickstart", "seeds=2"), "sweep run quickstart seeds=2"),
        (("plan", "quickstart"), "sweep plan quickstart"),
        (("list",), "sweep list"),
        (("sweep", "compare", "quickstart"), "compare quickstart"),
        (("sweep", "stat", "quickstart"), "sweep status quickstart"),
        (("trian", "digits"), "train digits"),
        (("datasets", "downlaod", "cifar10"), "datasets download cifar10"),
    ],
)
def test_an_unknown_command_is_answered_with_the_one_that_is_meant(
    ottt: Run, given: tuple[str, ...], meant: str
) -> None:
    status, out, err = ottt(*given)
    assert (status, out) == (2, "")
    assert f"ottt {meant}`?)" in err.replace("-m experiments.cli", "ottt")
    assert len(err.splitlines()) == 1


def test_a_command_like_no_other_is_answered_with_the_help(ottt: Run) -> None:
    status, _, err = ottt("xyzzy")
    assert status == 2
    assert "did you mean" not in err
    assert "--help`, got 'xyzzy'" in err


def test_a_known_command_is_not_replaced(ottt: Run) -> None:
    """`ottt runs` is a command, although `sweep run` is spelt like it; its first word may be a filter."""
    assert "did you mean" not in ottt("runs", "xyzzy")[2]


def test_commands_of_the_same_name_come_before_similar_ones() -> None:
    known = [("sweep",), ("sweep", "status"), ("cluster", "status"), ("stats",)]
    assert suggested(("status",), known) == [("sweep", "status"), ("cluster", "status")]
    assert suggested(("sweep", "statsu"), known) == [("sweep", "status")]
    assert suggested(("swep",), known) == [("sweep",)]
    assert suggested(("zzz",), known) == []


@pytest.fixture
def planned(tmp_path: Path) -> None:
    """Plans of the sweeps tau and other, of which nothing ran."""
    for name in ("tau", "other"):
        sweep = Sweep.of({"name": name, "base": "digits", "axes": {"neuron.tau": [1.5, 2.0]}, "seeds": 2})
        Results.at(tmp_path / "results").write_plan(sweep.plan(), sweep.spec.to_yaml())


@pytest.mark.usefixtures("planned")
def test_the_list_has_ones_own_sweeps_and_says_how_to_see_the_studies(ottt: Run) -> None:
    status, out, err = ottt("sweep", "list")
    assert (status, err) == (0, "")
    own, hint = out.split("\n\n")
    assert [line.split()[:2] for line in own.splitlines()] == [["sweep", "trials"], ["other", "4"], ["tau", "4"]]
    assert hint.startswith("studies that ship with OTTT Lab: ")
    assert hint.endswith("sweep list --studies\n")
    assert json.loads(ottt("sweep", "list", "--json")[1]).keys() == {"sweeps"}


@pytest.mark.usefixtures("planned")
def test_studies_follow_on_request(ottt: Run) -> None:
    _, out, err = ottt("sweep", "list", "--studies")
    own, shipped = out.split("\n\nstudies, to be run by name:\n")
    assert own.splitlines()[-1].split()[0] == "tau"
    assert [line.split()[0] for line in shipped.splitlines() if not line.startswith(" ")] == list(studies())
    assert err == ""
    found = json.loads(ottt("sweep", "list", "--studies", "--json", "fashion")[1])
    assert found["sweeps"] == []
    assert found["studies"]
    assert all("fashion" in study["name"] for study in found["studies"])


def test_without_sweeps_it_says_so(ottt: Run) -> None:
    status, out, err = ottt("sweep", "list", "zzz")
    assert (status, len(out.splitlines())) == (0, 1)
    assert err.rstrip() == "no sweep with 'zzz' in its name ran in results"


def test_a_reader_that_has_read_enough_is_no_error_of_a_plugin(tmp_path: Path) -> None:
    code = (
        "import os, sys; from experiments.cli import main\n"
        "reading, writing = os.pipe(); os.close(reading); os.dup2(writing, 1)\n"
        "sys.argv = ['ottt', 'sweep', 'list', '--studies']; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(provenance.ROOT), "PATH": "/usr/bin:/bin"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 1
    assert "plugin" not in done.stderr
