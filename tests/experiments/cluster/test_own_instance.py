"""An instance of Ray of our own: its folder, its token, and what is left of it."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.cluster.own_instance import LONGEST_SOCKET, PREFIX, own_folder, own_token
from ottt.errors import UserError
from tests.experiments.commands import ROOT, Place, kill
from tests.experiments.run.test_kill import place, until, watched

SPEC = "name: s\nbase: {T: 2, epochs: 1, batch_size: 256, model.width: 0.25}\nseeds: 1\n"
NOBODY = 65534
# May read what the tests may read (the interpreter can be in root's home), and write as anybody.
AS_NOBODY = [
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
]


@pytest.fixture
def short() -> Iterator[Path]:
    """A temporary folder with a short path."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def here(tmp_path: Path, empty_store: Path) -> Place:
    (tmp_path / "s.yaml").write_text(SPEC, encoding="utf-8")
    return Place(tmp_path, cores=1).take_store(empty_store)


def can_be_nobody() -> bool:
    return shutil.which("setpriv") is not None and subprocess.run([*AS_NOBODY, "true"], check=False).returncode == 0


def test_ray_gets_a_folder_for_itself(short: Path) -> None:
    environment = {"TMPDIR": str(short)}
    with own_folder(environment) as first, own_folder({"TMPDIR": str(short)}) as second:
        assert first.parent == second.parent == short
        assert first != second
        assert environment["RAY_TMPDIR"] == str(first)
        assert first.is_dir()  # a second instance takes it for one in use
    assert list(short.iterdir()) == []
    assert environment == {"TMPDIR": str(short)}


def test_what_a_killed_process_left_is_removed_and_nothing_else(short: Path) -> None:
    for name in (f"{PREFIX}left", f"{PREFIX}unlocked", "session"):
        (short / name).mkdir()
    (short / f"{PREFIX}left" / "ray.lock").touch()
    with own_folder({"TMPDIR": str(short)}):
        assert not (short / f"{PREFIX}left").exists()
    assert sorted(path.name for path in short.iterdir()) == [f"{PREFIX}unlocked", "session"]


def test_the_longest_folder_that_is_taken_has_room_for_sockets(short: Path) -> None:
    taken = []
    for length in range(1, LONGEST_SOCKET):
        folder = short / ("x" * length)
        folder.mkdir()
        with own_folder({"TMPDIR": str(folder)}) as made:
            if made.parent == folder:
                taken.append(made)
    sockets = [one / "session_2026-11-26_16-59-31_123456_4194304" / "sockets" / "plasma_store" for one in taken]
    assert max(len(os.fsencode(path)) for path in sockets) == LONGEST_SOCKET


def test_no_folder_at_all_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("experiments.cluster.own_instance._USUAL", (str(tmp_path / "absent"),))
    monkeypatch.setattr("experiments.cluster.own_instance.LONGEST_SOCKET", 300)
    (tmp_path / "file").touch()
    with pytest.raises(UserError) as caught, own_folder({"TMPDIR": str(tmp_path / "file")}):
        pass
    [line] = caught.value.problems
    assert line == (
        f"TMPDIR must name a folder that Ray can write to, got {tmp_path}/file: Not a directory;"
        f" {tmp_path}/absent: No such file or directory"
    )


def test_a_token_of_the_user_stays() -> None:
    environment: dict[str, str] = {}
    with own_token(environment):
        assert len(environment["RAY_AUTH_TOKEN"]) == 64
        environment["RAY_AUTH_MODE"] = "token"  # as Ray does
        token = environment["RAY_AUTH_TOKEN"]
    assert environment == {"RAY_AUTH_TOKEN": token}  # for the next instance of this process
    for given in ({"RAY_AUTH_TOKEN": "mine"}, {"RAY_AUTH_TOKEN_PATH": "/a", "RAY_AUTH_MODE": "disabled"}):
        environment = dict(given)
        with own_token(environment):
            assert environment == given
        assert environment == given


AFTERWARDS = """\
import logging, ray
from experiments.cluster.nodes import connected, resources

with connected():
    first = resources()["CPU"]
ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.CRITICAL)
print(first, ray.is_initialized())
ray.shutdown()
"""


def test_after_a_sweep_the_process_can_start_ray_by_itself(here: Place) -> None:
    command = [*here.command()[:4], "-c", AFTERWARDS]  # python, on one core
    done = subprocess.run(command, cwd=here.folder, env=here.environment(), capture_output=True, text=True, timeout=900)
    assert (done.returncode, done.stdout.split()) == (0, ["1.0", "True"]), done.stderr


def test_a_temporary_folder_with_a_long_path(here: Place, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    there = replace(here, variables={"TMPDIR": str(long)})
    done = there.ottt("sweep", "run", "s.yaml")
    assert done.returncode == 0, done.stderr
    [ray] = [check for check in json.loads(there.ottt("doctor", "s.yaml", "--json").stdout) if check["name"] == "ray"]
    assert ray["fix"] is None
    assert not list(long.glob(f"{PREFIX}*"))


def test_ray_leaves_nothing_behind(short: Path, tmp_path: Path) -> None:
    here, gate = place(tmp_path), tmp_path / "gate"
    (tmp_path / "killed.yaml").write_text(SPEC.replace("epochs: 1", "epochs: 2"), encoding="utf-8")
    gate.touch()
    here = replace(here, variables={**here.variables, "OTTT_GATE": str(gate), "TMPDIR": str(short)})
    driver = here.start("sweep", "run", "killed.yaml")
    assert until(lambda: len(watched(here)) == 2, seconds=900)
    assert len(list(short.glob(f"{PREFIX}*/session_*"))) == 2  # one, and Ray's link to the latest
    kill(driver.pid)
    driver.communicate(timeout=900)
    assert len(list(short.glob(f"{PREFIX}*"))) == 1
    gate.unlink()
    done = here.ottt("sweep", "run", "killed.yaml")
    assert done.returncode == 0, done.stderr
    assert not list(short.glob(f"{PREFIX}*"))


@pytest.mark.skipif(not can_be_nobody(), reason="becoming another user takes setpriv and root")
@pytest.mark.parametrize("home", ["/", "/nonexistent", None])
def test_another_user_without_a_home(here: Place, tmp_path: Path, home: str | None) -> None:
    work = tmp_path / "work"
    work.mkdir()
    os.chown(work, NOBODY, NOBODY)
    (work / "s.yaml").write_text(SPEC, encoding="utf-8")
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    user = AS_NOBODY if home is not None else [word.replace(f"--reuid={NOBODY}", "--reuid=54321") for word in AS_NOBODY]
    if home is None:  # nor an entry in the list of users
        os.chown(work, 54321, NOBODY)
    done = subprocess.run(
        [*user, *here.command("sweep", "run", "s.yaml", "--json")],
        cwd=work,
        env=variables if home is None else {**variables, "HOME": home},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["finished"] == 1
    assert not (Path("/") / ".ray").exists()
