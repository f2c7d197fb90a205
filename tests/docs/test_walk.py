"""Runs the commands and snippets of the other pages in order, in one folder, on small trials.

Other tests run the commands in ELSEWHERE.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.sweep_spec.read import parse_spec
from ottt.config.yaml_reader import read_yaml
from tests.docs.markdown import PAGES, ROOT, Block, blocks
from tests.experiments.commands import Place

WALK = (
    "README.md",
    "docs/sweeps.md",
    "docs/tables.md",
    "docs/mlflow.md",
    "docs/data.md",
    "docs/neighbours.md",
    "docs/cluster.md",
    "docs/commands.md",
    "docs/contributing.md",
    "examples/README.md",
)
FOLLOWED = (
    *("docs/tutorial.md", "docs/cookbook.md"),  # by test_tutorial.py
    "docs/sinks.md",  # by tests/experiments/sinks/test_sweep.py
)
RECORDS = ("docs/results/README.md",)  # hours of training
ELSEWHERE = {
    "git clone": "Makefile",
    "make": "Makefile",
    ". .venv": "Makefile",
    "export MLFLOW": "tests/experiments/servers.py",
    "ottt mlflow serve": "tests/experiments/tracking/test_server.py",
    "ottt sweep stop": "tests/experiments/run/test_stop.py",
    "ottt sweep retry-failed": "tests/experiments/run/test_sweep.py",
    "ottt sweep sync": "tests/experiments/tracking/test_password.py",
    "ottt datasets download": "tests/experiments/cli/test_datasets.py",
    "ottt cluster check": "tests/experiments/cluster/test_check.py",
    "ottt cluster submit": "tests/experiments/cluster/onprem.py",
    "ottt cluster status": "tests/experiments/cluster/onprem.py",
    "ottt cluster logs": "tests/experiments/cluster/test_hosts.py",
    "ottt cluster stop": "tests/experiments/cluster/test_hosts.py",
    "ottt cluster fetch": "tests/experiments/cluster/test_fetch.py",
    "ray": "tests/experiments/cluster/onprem.py",
    "ottt train data.name=tonic:NMNIST": "tests/ottt/data/test_tonic.py",
    "python -m tests.fake_data": "tests/experiments/cli/test_studies.py",
    "ottt sweep run cifar10_dvs-rule --plugin tests": "tests/experiments/cli/test_studies.py",
    "ottt train data.name=gratings": "tests/examples/test_gratings.py",
    "ottt sweep run examples/gratings.yaml": "tests/examples/test_gratings.py",
    "ottt compare gratings": "tests/examples/test_gratings.py",
}
TOOLS = ("ottt", "git", "clone", ".", "export", "python")
SMALL = "epochs=1 T=2 model.width=0.1"
SHORTER = {
    "ottt sweep run": f"seeds=1 {SMALL}",
    "ottt sweep plan": "--no-estimate",
    "ottt train": SMALL,
}
IN_SNIPPETS = {
    '"T=4"]': '"T=2", "epochs=1", "model.width=0.1"]',
    '["epochs=4"]': '["seeds=1", "epochs=1", "T=2", "model.width=0.1"]',
}


def lines(block: Block) -> list[str]:
    """The commands of a shell block, without comments."""
    if block.language not in ("", "console") or not re.match(r"(ottt|python|make|git|ray|\.|export) ", block.text):
        return []
    return [line.partition("  #")[0].strip() for line in block.text.splitlines() if line]


def place_of(line: str) -> str | None:
    """The test or script that runs such a line; None if it is run here."""
    return next(
        (file for start, file in ELSEWHERE.items() if f"{line} ".startswith((f"{start} ", f"{start}_", f"{start}/"))),
        None,
    )


@pytest.mark.parametrize(("start", "file"), ELSEWHERE.items())
def test_other_files_run_these_commands(start: str, file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    words = [word for word in re.split(r"[ =/]", start) if word not in TOOLS]
    assert [word for word in words if word not in text] == []


def test_every_page_with_commands_is_listed() -> None:
    with_commands = {str(page.relative_to(ROOT)) for page in PAGES if any(lines(block) for block in blocks(page))}
    assert with_commands == {*WALK, *FOLLOWED, *RECORDS}


@pytest.mark.timeout(3000)
def test_walk(tmp_path: Path) -> None:
    place = Place(tmp_path, variables={"HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}, cores=1)
    done: set[str] = set()
    for page in WALK:
        for block in blocks(ROOT / page):
            if block.language == "yaml":
                check_spec(block, tmp_path)
            elif (
                block.language == "python" and "runs:/RUN" not in block.text
            ):  # see tests/experiments/tracking/test_model.py
                run(place, [sys.executable, "-c", in_place(block.text, place)])
            for line in lines(block):
                if place_of(line) is None and line not in done:
                    done.add(line)
                    run(place, ["bash", "-c", shell(place) + in_place(shorter(line), place)])
    assert len(done) > 30


def check_spec(block: Block, folder: Path) -> None:
    """Check a spec or a part of one; write a whole one for the commands that follow."""
    whole = re.match("name: (.*)\n", block.text)
    file = folder / f"{whole[1] if whole else 'part'}.yaml"
    file.write_text(block.text if whole else f"name: part\nbase: digits\nseeds: 1\n{block.text}", encoding="utf-8")
    parse_spec(read_yaml(file), folder=folder)


def shell(place: Place) -> str:
    """The command as a function of the shell."""
    return f'ottt() {{ {shlex.join(place.command())} "$@"; }}\n'


def shorter(line: str) -> str:
    return next((f"{line} {more}" for start, more in SHORTER.items() if line.startswith(start)), line)


def in_place(text: str, place: Place) -> str:
    """The line or snippet with existing names and small trials."""
    folder = f"{place.folder}/results"
    names = {"SWEEP": "quickstart", "/abs/results": folder, "/path/to/results": folder}
    trials = sorted(
        place.records.folder.glob("*/record.json"), key=lambda file: file.stat().st_mtime
    )  # the latest last
    if len(trials) > 1:
        names |= {"3f9c12ab": trials[-1].parent.name[:12], "77e0d1c4": trials[-2].parent.name[:12]}
    for written, here in (names | IN_SNIPPETS).items():
        text = text.replace(written, here)
    return text


def run(place: Place, command: list[str]) -> None:
    done = subprocess.run(
        command, cwd=place.folder, env=place.environment(), capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}{done.stderr}"
