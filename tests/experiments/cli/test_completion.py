"""Completion as a shell asks for it: by variables of the environment of `ottt`."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.experiments.commands import Place

HEAVY = {"torch", "ray", "mlflow", "pandas", "numpy", "scipy"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec and plans of two sweeps."""
    made = tmp_path_factory.mktemp("user")
    (made / "quick.yaml").touch()
    (made / "notes.txt").touch()
    (made / "specs").mkdir()
    (made / "specs" / "deep.yml").touch()
    for name in ("mine-1", "mine-2"):
        plan = made / "results" / "sweeps" / name / "plan.json"
        plan.parent.mkdir(parents=True)
        plan.write_text("{}", encoding="utf-8")
    return made


def completed(folder: Path, line: str, **variables: str) -> list[str]:
    """What `ottt` offers for the last word of the line, which may be empty; as bash splits it, `=` is a word."""
    words = line.replace("=", " = ").rstrip() if "=" in line else line.rstrip()
    count = len(words.split()) - (not line.endswith((" ", "=")) or line.endswith("="))
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(count), "_OTTT_COMPLETE": "complete_bash"}
    place = Place(folder, variables=asked | variables)
    done = place.ottt()
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("ottt sw", ["sweep"]),
        ("ottt sweep st", ["status", "stop"]),
        ("ottt sweep run qui", ["quickstart", "quick.yaml"]),
        ("ottt sweep plan fashion_mnist-in", ["fashion_mnist-inference-steps"]),
        ("ottt sweep run specs/", ["specs/deep.yml"]),
        ("ottt sweep status ", ["mine-1", "mine-2"]),
        ("ottt compare mine-2", ["mine-2"]),
        ("ottt report qu", ["quick.yaml"]),
        ("ottt compare mine-1 --metric rate/t", ["rate/total"]),
        ("ottt sweep run quickstart neuron.ta", ["neuron.tau=", "neuron.tau=2.0"]),
        ("ottt sweep run quickstart rule.up", ["rule.update=", "rule.update=accumulate", "rule.update=online"]),
        ("ottt sweep run quickstart rule.update=", ["accumulate", "online"]),
        ("ottt sweep run quickstart rule.update=on", ["online"]),
        ("ottt sweep run quickstart seeds=2 axes.rule.u", ["axes.rule.update=", "axes.rule.update=accumulate,online"]),
        ("ottt sweep run quickstart checkpoints.keep=f", ["false"]),
        ("ottt train digits_", ["digits_dvs"]),
        ("ottt train digits neuron.surrogate.a", ["neuron.surrogate.alpha=", "neuron.surrogate.alpha=4.0"]),
        ("ottt train digits dig", []),
    ],
)  # fmt: skip
def test_what_is_offered(folder: Path, line: str, offered: list[str]) -> None:
    assert completed(folder, line) == offered


def test_a_sweep_is_looked_up_in_the_named_folder(folder: Path, tmp_path: Path) -> None:
    assert completed(tmp_path, "ottt sweep resume ") == []
    assert completed(tmp_path, f"ottt sweep status --results {folder / 'results'} mine") == ["mine-1", "mine-2"]
    assert completed(tmp_path, "ottt sweep resume ", OTTT_RESULTS=str(folder / "results")) == ["mine-1", "mine-2"]


def test_every_setting_is_offered(folder: Path) -> None:
    from ottt.config import TrialConfig

    offered = completed(folder, "ottt train digits ")
    assert offered == [f"{key}=" for key in TrialConfig().flat()]


def test_it_imports_nothing_heavy(folder: Path) -> None:
    code = (
        "import atexit, json, sys; from experiments.cli import main;"
        f"atexit.register(lambda: print(json.dumps(sorted({HEAVY!r} & sys.modules.keys())), file=sys.stderr)); main()"
    )
    asked = {"COMP_WORDS": "ottt sweep run quickstart rule.up", "COMP_CWORD": "4", "_OTTT_COMPLETE": "complete_bash"}
    environment = Place(folder, variables=asked).environment()
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    assert "rule.update=online" in done.stdout
    assert json.loads(done.stderr) == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash is installed")
def test_bash_completes_with_the_script_that_is_shown(folder: Path, tmp_path: Path) -> None:
    """`--show-completion` names the script's own shell; it is bash that runs the command here."""
    program = tmp_path / "ottt"
    program.write_text(f'#!/bin/sh\nexec {" ".join(Place(folder).command())} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    script = (
        'eval "$(ottt --show-completion)"\n'
        "COMP_WORDS=(ottt sweep run quickstart seeds = 2 neuron.ta); COMP_CWORD=7\n"
        "_ottt_completion ottt; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    environment = Place(folder, variables={"PATH": f"{tmp_path}:{os.environ['PATH']}"}).environment()
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True)
    assert (done.stdout.split(), done.stderr) == (["neuron.tau=", "neuron.tau=2.0"], "")
