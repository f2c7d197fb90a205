"""Commands in poor surroundings: a terminal for ASCII alone, `~` that no shell replaced, a program elsewhere."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest
import typer

from experiments.cli import app
from experiments.cli.arguments import at_home
from experiments.results.folder import Results
from experiments.sweep_spec.read import read_spec
from experiments.sweep_spec.studies import find_spec
from ottt.config.load import load_config
from ottt.config.trial import TrialConfig
from ottt.data.files import SourceFile, locate
from ottt.errors import UserError, command
from ottt.files import user_path
from ottt.plugins import load_plugin
from tests.experiments.commands import ROOT, Place

SPEC = """\
name: s
base: {T: 2, epochs: 1, batch_size: 256, model.width: 0.25}
axes: {neuron.tau: [1.5, 2.0]}
seeds: 2
metric: val/top1
"""
ENCODINGS = {
    "ascii": ({"PYTHONIOENCODING": "ascii"}, b"+/-"),
    "latin-1": ({"PYTHONIOENCODING": "latin-1"}, "±".encode("latin-1")),
    "C": ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, b"+/-"),
    "utf-8": ({"PYTHONIOENCODING": "utf-8"}, "±".encode()),
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Place:
    """A sweep that ran, and a trial whose label is not ASCII."""
    here = Place(tmp_path_factory.mktemp("done"), cores=1).take_store(empty_store)
    (here.folder / "s.yaml").write_text(SPEC, encoding="utf-8")
    ran = here.ottt("sweep", "run", "s.yaml")
    assert ran.returncode == 0, ran.stderr
    return here


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "words",
    [
        ["sweep", "run", "s.yaml"],
        ["compare", "s", "--metric", "val/top1"],
        ["sweep", "status", "s"],
        ["sweep", "plan", "s.yaml"],
        ["sweep", "list"],
        ["sweep", "resume", "s"],
        ["runs"],
        ["report", "s", "--output", "page.html"],
        ["datasets"],
        ["models"],
    ],
    ids=lambda words: "-".join(words[:2]),
)
def test_reading_commands_print_in_any_encoding(done: Place, encoding: str, words: list[str]) -> None:
    variables, sign = ENCODINGS[encoding]
    inherited = {name: value for name, value in done.environment().items() if not name.startswith(("LC_", "PYTHONIO"))}
    shown = subprocess.run(
        done.command(*words), cwd=done.folder, env=inherited | variables, capture_output=True, check=False, timeout=900
    )
    assert shown.returncode == 0, shown.stderr
    assert b"Error" not in shown.stderr
    if words[0] == "compare" or words[1:2] == ["run"]:
        assert sign in shown.stdout
    shown.stdout.decode("utf-8" if encoding == "utf-8" else "latin-1" if encoding == "latin-1" else "ascii")
    if words[0] == "report":
        assert "±" in (done.folder / "page.html").read_text(encoding="utf-8")


ODD = r"""
import sys
from experiments.cli.terminal import prepare
prepare(sys.stdout)
print("a ± b – c → d… é 語 \udcff")
"""


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [
        ("ascii", b"a +/- b - c -> d... e ? \xff\n"),
        ("latin-1", b"a \xb1 b - c -> d... \xe9 ? \xff\n"),
        ("utf-8", "a ± b – c → d… é 語 ".encode() + b"\xff\n"),
    ],
)
def test_what_cannot_be_encoded_stays_readable(encoding: str, printed: bytes) -> None:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding}
    shown = subprocess.run([sys.executable, "-c", ODD], env=variables, capture_output=True, check=True)
    assert shown.stdout == printed


def functions(one: typer.Typer) -> Iterator[Callable[..., object]]:
    """Every function behind a command of `one`, and of those below it."""
    for registered in (one.registered_callback, *one.registered_commands):
        if registered is not None and registered.callback is not None:
            yield registered.callback
    for group in one.registered_groups:
        if group.typer_instance is not None:
            yield from functions(group.typer_instance)


def test_every_path_of_the_command_line_can_begin_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    found = {}
    for function in functions(app):
        for name, hint in get_type_hints(function, include_extras=True).items():
            kind, *described = get_args(hint)[:2] if get_origin(hint) is Annotated else (hint,)
            if kind is Path or Path in get_args(kind):
                found[f"{function.__name__} {name}"] = getattr(described[0], "callback", None)
    assert {"datasets root", "export folder", "evaluate checkpoint", "run results"} <= found.keys()
    assert {name for name, callback in found.items() if callback is not at_home} == set()
    assert at_home(Path("~/a")) == Path("/home/me/a")
    assert at_home(None) is None


def test_paths_of_files_and_variables_can_begin_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text("T: 3\n", encoding="utf-8")
    (tmp_path / "spec.yaml").write_text("name: s\nseeds: 1\nbase: ~/base.yaml\n", encoding="utf-8")
    (tmp_path / "home_plugin.py").write_text("", encoding="utf-8")
    assert read_spec(find_spec("~/spec.yaml")).base.T == 3
    assert load_config("~/base.yaml").T == 3
    assert load_plugin("~/home_plugin.py").digest
    monkeypatch.setenv("OTTT_RESULTS", "~/r")
    assert Results.at(None).root == tmp_path / "r"
    assert Results.at(Path("~/q")).root == tmp_path / "q"
    with pytest.raises(UserError, match="~nobody-of-this-name/x: ~ must be a home folder, found none"):
        user_path("~nobody-of-this-name/x")
    assert not (tmp_path / "~").exists()


def test_data_at_home_are_the_same_trial(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "s.yaml").write_text("{data.name: cifar10, data.root: ~/d}\n", encoding="utf-8")
    done = Place(tmp_path).ottt("train", "s.yaml")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path}/d/cifar-10-python.tar.gz: missing; ")
    given, whole = (TrialConfig().replace({"data.root": root}) for root in ("~/d", f"{tmp_path}/d"))
    assert given.trial_hash == whole.trial_hash


def test_hints_name_the_program_as_it_was_started(done: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran = done.ottt("sweep", "run", "s.yaml")
    page = ran.stdout.splitlines()[-1].removeprefix("MLflow page: ")
    assert page.endswith(" -m experiments.cli mlflow serve")
    hint = shlex.split(page)
    shown = subprocess.run(
        [*hint, "--dry-run"], cwd=done.folder, env=done.environment(), capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    beside = Path(sys.executable).with_name("ottt")
    monkeypatch.setattr(sys, "argv", [str(beside), "compare"])
    monkeypatch.setattr("shutil.which", lambda name: str(beside) if name == "ottt" else None)
    assert command("sweep", "resume", "a b") == "ottt sweep resume 'a b'"
    other = tmp_path / "ottt"
    other.touch()
    monkeypatch.setattr("shutil.which", lambda name: str(other) if name == "ottt" else None)  # another installation
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    assert command("runs") == f"{tmp_path}/bin/python -m experiments.cli runs"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ottt").touch()
    monkeypatch.chdir(tmp_path)
    assert command("runs") == "bin/ottt runs"


def test_a_missing_data_set_names_a_command_that_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["/x/experiments/cli/__main__.py"])
    with pytest.raises(UserError, match=r"-m experiments\.cli datasets download cifar10` gets it from http://a"):
        locate("cifar10", tmp_path, (SourceFile("a", "http://a"),))
