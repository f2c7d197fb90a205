"""Trials that end their worker, or hang, in real workers: each has its own reason, and the others finish."""

import re
from pathlib import Path

import pytest

from ottt.schema import WITHOUT_RESULT, Status
from tests.experiments.commands import Place

SPEC = """\
name: deaths
base: {T: 1, epochs: 1, batch_size: 256, model.width: 0.1, plugins: [deadly.py]}
axes: {rule.name: [ottt, exits, leaves, crashes, killed, hangs]}
seeds: 1
retries: 0
limits: {hours: 0.01}
"""

PLUGIN = """\
import ctypes, os, signal, sys
import ottt
from ottt.names import RuleTraits

class Deadly:
    def __init__(self, end):
        self.end = end

    def train_batch(self, *args, **named):
        self.end()

def register(name, end):
    ottt.register_rule(name, lambda settings, config: Deadly(end), traits=RuleTraits(reads_trace=True))

register("exits", lambda: os._exit(3))
register("leaves", lambda: sys.exit(0))
register("crashes", lambda: ctypes.string_at(0))
register("killed", lambda: os.kill(os.getpid(), signal.SIGKILL))
register("hangs", lambda: ctypes.PyDLL(None).pause())
"""

# By rule: how the trial ended, and the reason that the record has.
ENDS = {
    "ottt": (Status.FINISHED, None),
    "exits": (Status.FAILED, r"the worker died: os\._exit\(3\) \(deadly\.py:15\)"),
    "leaves": (Status.FAILED, r"SystemExit: 0 \(deadly\.py:16\)"),
    "crashes": (Status.FAILED, r"the worker died: Fatal Python error: Segmentation fault \(__init__\.py:\d+\)"),
    "killed": (Status.FAILED, r"the worker was killed \(SIGKILL\), .*"),
    "hangs": (Status.TIMED_OUT, r"longer than limits\.hours: Timeout \(.*\) \(deadly\.py:19\)"),
}


@pytest.fixture(scope="module")
def dead(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Place:
    folder = tmp_path_factory.mktemp("deaths")
    (folder / "spec.yaml").write_text(SPEC, encoding="utf-8")
    (folder / "deadly.py").write_text(PLUGIN, encoding="utf-8")
    here = Place(folder).take_store(empty_store)
    done = here.ottt("sweep", "run", "spec.yaml")
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("failed: ") == 5
    return here


def test_every_death_has_its_reason(dead: Place) -> None:
    found = {}
    for folder in dead.records.folder.iterdir():
        record = dead.records.read(folder.name)
        assert record is not None
        found[record.config["rule.name"]] = record.status, record.reason
        assert not (folder / "crash.txt").exists()
    assert {rule: status for rule, (status, _) in found.items()} == {rule: end for rule, (end, _) in ENDS.items()}
    for rule, (_, pattern) in ENDS.items():
        assert re.fullmatch(pattern or "None", str(found[rule][1])), found[rule]


def test_the_error_of_a_hanging_trial_says_where_it_hung(dead: Place) -> None:
    [folder] = [path for path in dead.records.folder.iterdir() if dead.statuses()[path.name] is Status.TIMED_OUT]
    assert re.search(r'deadly\.py", line 19 in <lambda>', (folder / "error.txt").read_text(encoding="utf-8"))


def test_a_trial_that_took_too_long_counts_as_one_without_a_result(dead: Place) -> None:
    assert Status.TIMED_OUT in WITHOUT_RESULT
    assert dead.runs().count(("trial", "FAILED")) == 5
    shown = dead.ottt("sweep", "status", "deaths")
    assert "deaths: 1 of 6 trials done" in shown.stdout
