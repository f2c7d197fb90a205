"""Every file of a folder of results, damaged in every way: the commands say so, and the next run has all results.

Workers are not started: what they would report is said by the test. OTTT_FUZZ=2000 is the long series.
"""

import json
import os
import random
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from experiments.cli import main
from experiments.results.folder import Results
from experiments.sweep_spec.read import read_spec
from experiments.tracking.sync import sync
from ottt.schema import Status
from tests.experiments.desks import make_desk

CASES = int(os.environ.get("OTTT_FUZZ", "30"))

SPEC = """\
name: fuzzed
base: {T: 2, epochs: 3}
axes: {optim.lr: [0.1, 0.2]}
seeds: 2
"""
TRIALS = 4
COMPARE = ("compare", "fuzzed", "--metric", "val/top1", "--format", "json")
READING = (
    ("sweep", "status", "fuzzed"),
    ("sweep", "list", "fuzzed"),
    ("sweep", "plan", "spec.yaml", "--no-estimate"),
    COMPARE,
)
OF_A_TRACEBACK = re.compile(r"Traceback|\b[A-Z]\w*(Error|Exception|Warning)\b| object at 0x")

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
    ),
    pytest.mark.filterwarnings("ignore::experiments.tracking.connection.DamagedStoreWarning"),
]


def some_json(draw: random.Random) -> object:
    """Values, and keys that the files have."""
    keys = ["trial", "status", "config", "schema", "epoch", "metrics", "trials", "name", "told", "x"]
    return draw.choice(
        [None, True, -1, 1e308, "text", [], [[1]], {}, {key: draw.choice([None, 1, "a", {}, []]) for key in keys}]
    )


DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "empty": lambda text, draw: b"",
    "cut": lambda text, draw: text[: draw.randrange(len(text))],
    "flip": lambda text, draw: flipped(text, draw.randrange(len(text)), 1 << draw.randrange(8)),
    "nul-tail": lambda text, draw: text[: draw.randrange(len(text))].ljust(len(text), b"\0"),
    "nuls": lambda text, draw: bytes(len(text)),
    "json": lambda text, draw: json.dumps(some_json(draw)).encode(),
}


def flipped(text: bytes, place: int, bit: int) -> bytes:
    return text[:place] + bytes([text[place] ^ bit]) + text[place + 1 :]


@dataclass
class Fuzzed:
    """A sweep with results, and the commands on it."""

    folder: Path
    ottt: Callable[..., tuple[int, str, str]]

    @property
    def results(self) -> Results:
        return Results(self.folder / "results")

    def run(self) -> None:
        """Train what is missing, and bring the store up to date."""
        desk = make_desk(self.results.root, read_spec(self.folder / "spec.yaml"))
        desk.driver.effects.results.write_plan(desk.driver.state.plan, desk.driver.effects.spec.to_yaml())
        while (task := desk.next()) is not None:
            desk.driver.started(task.trial)
            desk.epochs(task.trial, *range(desk.driver.state[task.trial].epochs + 1, 4), end=Status.FINISHED)
        desk.driver.effects.locks.close()
        sync("fuzzed", results=self.results)

    def numbers(self) -> dict[str, list[float]]:
        """By trial with a result."""
        plan = self.results.read_plan("fuzzed")
        records = self.results.records
        finished = [one.trial for one in plan.trials if (found := records.read(one.trial)) and found.settled]
        return {trial: [epoch.metrics["val/top1"] for epoch in records.epochs(trial)] for trial in finished}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sweep that is done."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "spec.yaml").write_text(SPEC, encoding="utf-8")
    Fuzzed(folder, lambda: (0, "", "")).run()
    return folder


@pytest.fixture
def fuzzed(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[int], Fuzzed]:
    """Makes copies of the sweep that is done."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def ottt(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ottt", *arguments])
        status = main()
        return status, *capsys.readouterr()

    def make(number: int) -> Fuzzed:
        folder = tmp_path / str(number)
        shutil.copytree(whole, folder)
        monkeypatch.chdir(folder)
        monkeypatch.setenv("OTTT_RESULTS", str(folder / "results"))
        return Fuzzed(folder, ottt)

    return make


def timeless(table: str) -> list[dict[str, object]]:
    """The rows of a comparison without the time that the trials took."""
    return [{key: value for key, value in row.items() if key != "hours"} for row in json.loads(table)["rows"]]


def files(folder: Path) -> list[Path]:
    """A file of each kind that holds something, in an order that does not depend on the ids of runs."""
    found = sorted(path for path in (folder / "results").rglob("*") if path.is_file() and path.stat().st_size)
    kinds = {path.name: path for path in found}
    return [kinds[name] for name in sorted(kinds)]


def test_whatever_is_damaged_is_said_and_made_good(fuzzed: Callable[[int], Fuzzed]) -> None:
    draw = random.Random(int(os.environ.get("OTTT_SEED", "0")))
    named: dict[str, int] = {}
    for number in range(CASES):
        here = fuzzed(number)
        expected, table = here.numbers(), here.ottt(*COMPARE)[1]
        assert len(expected) == TRIALS
        kinds = files(here.folder)
        path = kinds[number % len(kinds)]
        how = draw.choice(list(DAMAGES))
        before = path.read_bytes()
        path.write_bytes(DAMAGES[how](before, draw))
        case = f"case {number}: {path.relative_to(here.folder)}: {how}"

        printed = []
        for command in READING:
            status, out, err = here.ottt(*command)
            assert status in {0, 2}, f"{case}: {command}: {err}"
            assert not OF_A_TRACEBACK.search(err), f"{case}: {command}: {err}"
            assert all(len(line) < 500 for line in err.splitlines()), f"{case}: {command}: {err}"
            printed.append(err)
        if path.suffix in (".json", ".jsonl") and "trials" in path.parts and path.read_bytes() != before:
            assert any(path.name in err for err in printed), f"{case}: {printed}"
            named[path.name] = named.get(path.name, 0) + 1

        here.run()
        assert here.numbers() == expected, case
        status, out, err = here.ottt(*COMPARE)
        assert status == 0, f"{case}: {err}"
        assert timeless(out) == timeless(table), case
        shutil.rmtree(here.folder)
    assert CASES < 30 or len(named) == 3, named  # every file of a trial was damaged, and was named
