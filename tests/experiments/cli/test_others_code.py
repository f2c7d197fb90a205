"""Code of plugins that prints, raises or ends the process, while it is loaded and while a network is built."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PLUGIN = """
import os
import subprocess
import sys
import ottt
from ottt.models.registry import MODELS
def say(what):
    print(what)
    os.write(1, f"{what}\\n".encode())
    subprocess.run(["echo", what])
def loud(config, data, generator):
    say("building")
    return MODELS["small"].build(config, data, generator)
def leaves(config, data, generator):
    sys.exit(0)
def raises(config, data, generator):
    raise LookupError("no network\\nfor you")
def dies(config, data, generator):
    os._exit(7)
for build in (loud, leaves, raises, dies):
    ottt.register_model(build.__name__, build, summary="")
ottt.register_metric("loud", lambda report: say("measuring") or 1.0, better=None)
say("loading")
"""
SPEC = """
name: s
base: {plugins: [own.py], epochs: 1, T: 1, model.width: 0.2, device: cpu}
axes: {model.name: [loud, raises, leaves, dies]}
seeds: 1
"""
WAITS = """
import time
from pathlib import Path
Path("loading").touch()
time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(PLUGIN, encoding="utf-8")
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    return tmp_path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "experiments.cli", *arguments]


def ottt(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=900)


@pytest.mark.usefixtures("folder")
def test_the_plan_as_json_is_json_and_names_what_cannot_be_measured() -> None:
    done = ottt("sweep", "plan", "spec.yaml", "--json")
    assert done.returncode == 0, done.stderr
    estimate = json.loads(done.stdout)["estimate"]
    assert (estimate["trials"], estimate["measured"]) == (4, 1)
    assert estimate["problems"] == [
        "model.name=raises: LookupError: no network",
        "model.name=leaves: must not end the process, but called sys.exit(0)",
        "model.name=dies: measuring it ended the process with status 7",
    ]
    assert set(done.stderr.split()) == {"loading", "building"}


@pytest.mark.usefixtures("folder")
def test_a_report_as_json_is_json() -> None:
    settings = ("model.name=loud", "epochs=1", "T=1", "model.width=0.2", "device=cpu")
    done = ottt("train", "digits", *settings, "--plugin", "own.py", "--json", "--checkpoints", "kept")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["config"]["model.name"] == "loud"
    assert "measuring" in done.stderr
    done = ottt("evaluate", "kept", "--json")
    assert json.loads(done.stdout)["config"]["model.name"] == "loud"
    assert "building" in done.stderr


@pytest.mark.usefixtures("folder")
def test_a_network_that_ends_the_process_is_a_failure() -> None:
    done = ottt("train", "digits", "model.name=leaves", "--plugin", "own.py")
    assert (done.returncode, done.stdout) == (1, "")
    last = done.stderr.splitlines()[-1]
    assert last == "error: the code of a plugin or a library must not end the process, but called sys.exit(0)"


@pytest.mark.parametrize("how", ["sys.exit(0)", "raise SystemExit"])
def test_a_plugin_that_ends_the_process_is_a_mistake(how: str, folder: Path) -> None:
    (folder / "leaves.py").write_text(f"import sys\n{how}\n", encoding="utf-8")
    for arguments in (("sweep", "plan", "quickstart", "--no-estimate"), ("train", "digits"), ("models",)):
        done = ottt(*arguments, "--plugin", "leaves.py")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1
        assert "plugin leaves.py: must not end the process, but called sys.exit(" in done.stderr


def test_an_interruption_while_a_plugin_is_loaded_ends_the_command(folder: Path) -> None:
    (folder / "waits.py").write_text(WAITS, encoding="utf-8")
    arguments = ("sweep", "plan", "quickstart", "--no-estimate", "--plugin", "waits.py")
    with subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while not (folder / "loading").exists():
            assert process.poll() is None
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
