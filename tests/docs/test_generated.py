"""Generated pages, and versions, hooks and targets that must agree."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import ottt
from docs import messages
from docs.generate import pages
from ottt.config.trial import TrialConfig
from tests.docs.markdown import ROOT


def yaml(path: str) -> dict:
    return YAML(typ="safe").load(ROOT / path)


@pytest.mark.parametrize(("name", "text"), pages().items())
def test_the_page_is_what_the_code_says(name: str, text: str) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text, "run `make docs`"


def test_every_setting_is_on_the_page() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert [key for key in TrialConfig().flat() if f"| `{key}` |" not in page] == []
    assert "| `neuron.tau` | number, ≥ 1 | `2.0` | membrane time constant, time steps;" in page


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## (\d\S*)$", changes, re.MULTILINE)
    assert project["version"] == ottt.__version__ == yaml("CITATION.cff")["version"] == released[0]
    assert project["license"] == yaml("CITATION.cff")["license"]


def test_the_forge_runs_what_ci_runs() -> None:
    steps = yaml(".github/workflows/ci.yml")["jobs"]["test"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1] == "exec make test"


def test_hooks_are_checks_of_make_test_and_download_nothing() -> None:
    (repository,) = yaml(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    tested = Path(ROOT / "Makefile").read_text(encoding="utf-8").partition("\ntest:")[2].partition("\n\n")[0]
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        tool = hook["entry"].split(" ")[0].removeprefix(".venv/bin/")
        assert f"$(BIN)/{tool}" in tested


def test_make_help_names_every_target() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert targets is not None
    assert {line.split()[0] for line in shown.splitlines()} == set(targets[1].split())


MODULE = """\
class Lost(UserError): ...
def use(given, problems):
    raise Lost(f"{given!r}: must be a folder, got {'a file' if given else 'none'}")
    raise UserError(*(f"{one}: must be shared by all machines" for one in problems)) from None
    warnings.warn("the store was damaged" + given, Note, stacklevel=2)
    raise KeyError("no message to users, this one")
    raise UserError(text)
"""


def test_messages_are_found_however_they_are_made() -> None:
    tree = ast.parse(MODULE)
    errors = messages._errors([tree])
    assert errors == {"UserError", "Lost"}
    assert list(messages._messages(tree, errors | {"warn"})) == [
        "…: must be a folder, got …",
        "…: must be shared by all machines",
        "the store was damaged",
    ]
