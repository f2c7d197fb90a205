"""Sinks by name: built in, registered by a plugin, unknown, and without their package."""

import subprocess
import sys
from pathlib import Path

import pytest

import ottt
from ottt.errors import UserError
from ottt.sinks.registry import SINKS, find_sink

PLUGIN = "import ottt\nottt.register_sink('{name}', lambda trial: None)\n"


@pytest.fixture(autouse=True)
def _own_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ottt.sinks.registry.SINKS", dict(SINKS))


def test_a_plugin_registers_a_sink_which_is_then_known(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN.format(name="mine"), encoding="utf-8")
    assert find_sink("mine", plugin="mine.py").name == "mine"
    assert find_sink("mine").needs is None


@pytest.mark.parametrize(
    ("name", "plugin", "problem"),
    [
        (
            "tensorbord",
            None,
            "must be one of tensorboard, wandb (did you mean tensorboard?), or have a plugin that registers it:"
            " {name: ..., plugin: ...}, got 'tensorbord'",
        ),
        (
            "oter",
            "other.py",
            "must be one of tensorboard, wandb, other (did you mean other?), or have other.py to register it,"
            " got 'oter'",
        ),
    ],
)
def test_an_unknown_name_is_answered_with_those_that_there_are(
    name: str, plugin: str | None, problem: str, tmp_path: Path
) -> None:
    (tmp_path / "other.py").write_text(PLUGIN.format(name="other"), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        find_sink(name, plugin=plugin)
    assert caught.value.problems == (problem,)


@pytest.mark.parametrize("name", ["tensorboard", "trials", "a/b", "two words", "x" * 41, ""])
def test_a_name_that_is_taken_or_names_no_folder_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="sink"):
        ottt.register_sink(name, lambda trial: trial)  # type: ignore[arg-type, return-value]


# W&B writes into a folder of its name, which Python takes for a package where the package is not installed.
WITHOUT = """
import sys
sys.path = [path for path in sys.path if "site-packages" not in path]
from ottt.sinks.registry import find_sink
from ottt.errors import UserError
for name in ("wandb", "tensorboard"):
    try:
        find_sink(name)
    except UserError as error:
        print(error)
"""


def test_a_package_that_is_missing_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    (tmp_path / "wandb").mkdir()
    root = Path(ottt.__file__).parents[1]
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(root)!r}]\n{WITHOUT}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=900)
    assert done.stdout.splitlines() == [
        "needs the package wandb: pip install 'ottt-lab[wandb]', got 'wandb'",
        "needs the package tensorboard: pip install 'ottt-lab[tensorboard]', got 'tensorboard'",
    ], done.stderr
