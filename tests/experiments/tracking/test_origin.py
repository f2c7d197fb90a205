"""Who ran a sweep with which command, in MLflow's own tags."""

import sys
from pathlib import Path

import pytest

from experiments.tracking.page.origin import COMMIT, SOURCE, SOURCE_TYPE, USER, process_tags
from ottt.schema import Status
from tests.experiments.mlflow_sweeps import Opened, epochs, plan, record, rows, tags

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)
HOME = "/home/me/lab"


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
    monkeypatch.setenv("LOGNAME", "ada")
    monkeypatch.setattr(sys, "argv", [f"{HOME}/.venv/bin/ottt", "sweep", "run", f"{HOME}/s.yaml"])


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["bin/ottt", "sweep", "run", "studies/s.yaml", "T=4"], "ottt sweep run studies/s.yaml T=4"),
        ([f"{HOME}/experiments/cli/__main__.py", "sweep", "resume", "s"], "ottt sweep resume s"),
        (["ottt", f"data.root={HOME}/data/", "--results", HOME], "ottt data.root=data --results lab"),
        (["ottt", f"plugins=[{HOME}/a.py,~/b.py,~ada/c.py]"], "ottt plugins=[a.py,b.py,c.py]"),
        (["ottt", "sync", "--to", f"sqlite:///{HOME}/m.db"], "ottt sync --to sqlite:///m.db"),
        (["ottt", "--to", "http://host/a", "optim.lr=1/3"], "ottt --to http://host/a optim.lr=1/3"),
        ([f"{HOME}/study.py"], "study.py"),
    ],
)  # fmt: skip
def test_the_command_names_no_folder_of_this_machine(
    words: list[str], shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", words)
    assert process_tags() == {USER: "ada", SOURCE: shown, SOURCE_TYPE: "LOCAL"}


def test_the_user_of_a_server_is_named_and_an_unnamed_one_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def unnamed() -> str:
        raise OSError("No username set in the environment")

    monkeypatch.setattr("getpass.getuser", unnamed)
    assert process_tags()[USER] == "unknown"
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    assert process_tags()[USER] == "admin"


def test_parent_and_trials_have_the_tags_without_secrets(
    opened: Opened, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_TOKEN", "canary-17")
    monkeypatch.setattr(sys, "argv", ["ottt", "sweep", "run", "s.yaml", "data.root=canary-17"])
    planned = plan([2.0])
    first = planned.trials[0]
    opened(planned).reconcile(first, record(first, Status.FINISHED, commit="c0ffee"), epochs(1))
    held = tags(folder, first)
    assert (held[USER], held[SOURCE], held[COMMIT]) == ("ada", "ottt sweep run s.yaml data.root=***", "c0ffee")
    sources = rows(folder, f"SELECT value FROM tags WHERE key = '{SOURCE}'")
    assert sources == [("ottt sweep run s.yaml data.root=***",)] * 2


def test_who_writes_again_is_not_who_ran_it(opened: Opened, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan([2.0])
    first = planned.trials[0]
    opened(planned).reconcile(first, record(first, Status.RUNNING), epochs(1))
    monkeypatch.setenv("LOGNAME", "bob")
    opened(planned).reconcile(first, record(first, Status.FINISHED), epochs(2))
    assert tags(folder, first)[USER] == "ada"


def test_a_commit_that_is_not_known_has_no_tag(opened: Opened, folder: Path) -> None:
    planned = plan([2.0])
    first = planned.trials[0]
    opened(planned).reconcile(first, record(first, Status.FINISHED, commit=None), epochs(1))
    assert COMMIT not in tags(folder, first)
