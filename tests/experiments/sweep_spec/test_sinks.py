"""The sinks of a spec: in short and in full, on the command line, and wrong ones."""

from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from experiments.planning.plan import expand
from experiments.sweep_spec.json_schema import spec_schema
from experiments.sweep_spec.read import read_spec
from ottt.sinks.registry import SINKS

SPEC = "name: a\nseeds: 1\n"
PLUGIN = "import ottt\nottt.register_sink('mine', lambda trial: None)\n"


@pytest.fixture(autouse=True)
def _own_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ottt.sinks.registry.SINKS", dict(SINKS))
    monkeypatch.setattr("ottt.plugins._loaded", {})
    (tmp_path / "mine.py").write_text(PLUGIN, encoding="utf-8")


def test_a_spec_with_sinks_reads_back(write_spec: Callable[[str], Path]) -> None:
    spec = read_spec(write_spec(f"{SPEC}sinks: [tensorboard, {{name: mine, plugin: mine.py}}]\n"))
    assert [(sink.name, sink.plugin) for sink in spec.sinks] == [("tensorboard", None), ("mine", "mine.py")]
    text = spec.to_yaml()
    assert "sinks:\n- tensorboard\n- name: mine\n  plugin: mine.py\n" in text
    assert read_spec(write_spec(text)) == spec


@pytest.mark.parametrize("override", ["sinks=tensorboard,wandb", "sinks=[tensorboard,wandb]"])
def test_an_override_needs_no_brackets(write_spec: Callable[[str], Path], override: str) -> None:
    spec = read_spec(write_spec(SPEC), [override])
    assert [sink.name for sink in spec.sinks] == ["tensorboard", "wandb"]


def test_sinks_are_no_part_of_a_trial(write_spec: Callable[[str], Path]) -> None:
    plans = [
        expand(read_spec(write_spec(SPEC + more)))
        for more in ("", "sinks: [wandb]\n", "sinks: [{name: mine, plugin: mine.py}]\n")
    ]
    assert len({trial.trial for plan in plans for trial in plan.trials}) == 1


@pytest.mark.parametrize(
    ("sinks", "problem"),
    [
        ("[wandbb]", "sinks.0 must be one of tensorboard, wandb (did you mean wandb?), or have a plugin that"),
        (
            "[wandb, nobody]",
            "sinks.1 must be one of tensorboard, wandb, or have a plugin that registers it: {name: ...",
        ),
        ("[{name: mien, plugin: mine.py}]", "sinks.0 must be one of tensorboard, wandb, mine (did you mean mine?), or"),
        ("[{name: a, plugin: nowhere.py}]", "sinks.0 plugin nowhere.py: no such file in "),
        ("[{name: a, plugin: 1/0}]", "sinks.0 plugin '1/0' must be a module (mylab.networks) or a file that ends in"),
        ("[wandb, wandb]", "sinks must be different, got 'wandb' twice"),
        ("[{name: wandb, project: mine}]", "sinks.0.project is not a known key, got 'mine'"),
        ("[{plugin: mine.py}]", "sinks.0.name is required"),
        ("[3]", "sinks.0 must be a group of settings, got 3"),
        ("3", "sinks must be a list, got 3"),
    ],
)
def test_mistakes_are_one_line_each(problems: Callable[..., list[str]], sinks: str, problem: str) -> None:
    [line] = problems(f"{SPEC}sinks: {sinks}\n")
    assert line.startswith(f"spec.yaml:3: {problem}")


@pytest.mark.parametrize(
    ("sinks", "is_valid"),
    [
        (["tensorboard", {"name": "mine", "plugin": "mine.py"}], True),
        ("tensorboard", True),
        ([{"plugin": "mine.py"}], False),
        ([{"name": "wandb", "project": "mine"}], False),
        ([3], False),
    ],
)
def test_editors_know_the_form(sinks: object, is_valid: bool) -> None:
    check = jsonschema.Draft202012Validator(spec_schema())
    assert check.is_valid({"name": "a", "seeds": 1, "sinks": sinks}) == is_valid
