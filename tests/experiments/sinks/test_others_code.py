"""Sinks that raise, end the process, print or hang: the sweep has its exit status, its MLflow and its output."""

import json
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

from experiments.planning.plan import expand
from experiments.sweep_spec.read import read_spec
from tests.experiments.commands import Place
from tests.experiments.specs import recorded

SPEC = """\
name: s
axes: {neuron.tau: [1.5, 2.0]}
seeds: 1
sinks: [wandb, {name: raises, plugin: own.py}, {name: leaves, plugin: own.py}, {name: prints, plugin: own.py}]
"""
HANGS = SPEC.replace("name: s\n", "name: hung\n").replace("[wandb, ", "[{name: hangs, plugin: own.py}, ")
OWN = """\
import os, sys, threading
import ottt

class Prints:
    def __init__(self, trial):
        print("opened")
    def log(self, epoch, metrics):
        os.write(1, b"an epoch\\n")
    def close(self, status):
        print("closed")

class Raises(Prints):
    def log(self, epoch, metrics):
        raise OSError(28, "No space left on device")

ottt.register_sink("prints", Prints)
ottt.register_sink("raises", Raises)
ottt.register_sink("leaves", lambda trial: sys.exit(5))
ottt.register_sink("hangs", lambda trial: threading.Event().wait())
"""


def place(folder: Path, spec: str, store: Path) -> Place:
    """All trials are recorded; without Ray the sweep has but to publish them."""
    (folder / "spec.yaml").write_text(spec, encoding="utf-8")
    (folder / "own.py").write_text(OWN, encoding="utf-8")
    here = Place(folder, variables={"HOME": str(folder)}).take_store(store)
    plain = "\n".join(line for line in spec.splitlines() if not line.startswith("sinks"))
    (folder / "plain.yaml").write_text(plain, encoding="utf-8")
    for trial in expand(read_spec(folder / "plain.yaml")).trials:
        recorded(here.records, trial, values=[0.5, 0.75], metric="test/top1", sweep=trial.label)
    return here


def notes(stderr: str) -> dict[str, str]:
    """What is said of each sink; one line each."""
    lines = [line.removeprefix("note: sink ") for line in stderr.splitlines() if line.startswith("note: sink ")]
    found = dict(line.split(": ", 1) for line in lines)
    assert len(found) == len(lines)
    return {name: text.partition("; the records have everything")[0] for name, text in found.items()}


def test_errors_of_sinks_change_neither_output_nor_exit_status(tmp_path: Path, empty_store: Path) -> None:
    here = place(tmp_path, SPEC, empty_store)
    here = replace(here, variables={**here.variables, "WANDB_MODE": "online"})
    done = here.ottt("sweep", "run", "spec.yaml", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["finished"] == 2
    first = expand(read_spec(tmp_path / "plain.yaml")).trials[0].trial[:8]
    assert notes(done.stderr) == {
        "wandb": f"trial {first}: no key for Weights & Biases was found: run `wandb login`, or set WANDB_MODE=offline",
        "raises": f"trial {first}: OSError: [Errno 28] No space left on device",
        "leaves": f"trial {first}: must not end the process, but called sys.exit(5)",
    }
    assert (done.stderr.count("an epoch"), done.stderr.count("opened")) == (4, 4)
    assert here.runs() == [("sweep", "FINISHED"), *[("trial", "FINISHED")] * 2]
    synced = here.ottt("sweep", "sync", "s")
    assert synced.returncode == 1
    assert synced.stdout.splitlines()[1:] == ["sink prints: has them all"]
    assert [line.split(": ")[:2] for line in synced.stderr.splitlines() if "error" in line] == [
        ["error", f"sink {name}"] for name in ("wandb", "raises", "leaves")
    ]


def test_a_sink_that_hangs_does_not_outlive_the_second_wish_to_end(tmp_path: Path, empty_store: Path) -> None:
    here = place(tmp_path, HANGS, empty_store)
    with subprocess.Popen(
        here.command("sweep", "run", "spec.yaml", "--json"),
        cwd=tmp_path,
        env=here.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = ""
        while "for sinks: hangs; Ctrl-C ends the wait" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        os.kill(process.pid, signal.SIGINT)
        out, rest = process.communicate(timeout=900)
    assert process.returncode == 0, rest
    assert json.loads(out)["finished"] == 2
    assert notes(said + rest)["hangs"] == "is not done after 5 s"
    assert here.runs() == [("sweep", "FINISHED"), *[("trial", "FINISHED")] * 2]
