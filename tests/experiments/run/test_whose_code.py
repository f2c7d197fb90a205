"""The command trains with the code that it was started from, whatever lies in the current folder."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from zipfile import ZipFile

import pytest

from experiments.results.trial_records import TrialRecords
from tests.experiments.commands import ROOT

SPEC = """\
name: tiny
base: {T: 1, epochs: 1, batch_size: 256, model.width: 0.1}
axes: {rule.update: [accumulate]}
seeds: 1
"""
OTHER = ("parameters, lr=config.lr, momentum=", "parameters, lr=config.lr * 0.01, momentum=")
PACKAGES = ("ottt", "analysis", "experiments")

Furnish = Callable[[Path], Path]  # puts things into a folder; returns the folder in which to run


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command as an installation has it: a script in a folder of its own, the packages elsewhere on the path."""
    script = tmp_path_factory.mktemp("bin") / "ottt"
    script.write_text(
        f"import sys; sys.path.append({str(ROOT)!r}); from experiments.cli import main; sys.exit(main())\n",
        encoding="utf-8",
    )
    return script


def run(command: Path, folder: Path, results: Path, variables: Mapping[str, str] | None = None, *arguments: str):
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "OTTT_", "RAY", "PYTHON"))}
    (results.parent / "spec.yaml").write_text(SPEC, encoding="utf-8")
    words = [sys.executable, str(command), "sweep", "run", str(results.parent / "spec.yaml"), "--results", str(results)]
    return subprocess.run(
        words, cwd=folder, env=kept | dict(variables or {}), capture_output=True, text=True, timeout=900
    )


def numbers(results: Path) -> dict[str, float]:
    """Metrics of the only trial that do not depend on the machine's speed."""
    records = TrialRecords(results / "trials")
    (trial,) = (path.name for path in records.folder.iterdir())
    (epoch,) = records.epochs(trial)
    return {key: value for key, value in epoch.metrics.items() if key.startswith(("train/", "val/", "test/"))}


@pytest.fixture(scope="module")
def right(command: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    folder = tmp_path_factory.mktemp("plain")
    done = run(command, folder, folder / "results")
    assert done.returncode == 0, done.stderr
    return numbers(folder / "results")


def copy_of_other_code(folder: Path) -> Path:
    """Another release, whose optimizer is another."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "studies"))
    file = folder / "ottt" / "training" / "optim.py"
    text = file.read_text(encoding="utf-8")
    assert text.count(OTHER[0]) == 1
    file.write_text(text.replace(*OTHER), encoding="utf-8")
    return folder


def files_of_the_same_names(folder: Path) -> Path:
    for name in ("ottt", "analysis", "experiments", "torch", "ray", "numpy", "random"):
        (folder / f"{name}.py").write_text("raise RuntimeError('the wrong file')\n", encoding="utf-8")
    return folder


def folders_of_the_same_names(folder: Path) -> Path:
    for name in ("ottt", "analysis", "experiments"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise RuntimeError('the wrong package')\n", encoding="utf-8")
    return folder


def behind_a_link(folder: Path) -> Path:
    (folder / "real").mkdir()
    copy_of_other_code(folder / "real")
    (folder / "link").symlink_to(folder / "real")
    return folder / "link"


@pytest.mark.parametrize(
    "furnish", [copy_of_other_code, files_of_the_same_names, folders_of_the_same_names, behind_a_link]
)
def test_the_numbers_are_those_of_the_command_s_own_code(
    command: Path, right: dict[str, float], tmp_path: Path, furnish: Furnish
) -> None:
    (tmp_path / "here").mkdir()
    done = run(command, furnish(tmp_path / "here"), tmp_path / "results")
    assert done.returncode == 0, done.stderr
    assert numbers(tmp_path / "results") == right


def test_other_code_gives_other_numbers(right: dict[str, float], tmp_path: Path) -> None:
    """The negative control: the copy's own command trains with the copy's code."""
    copy = copy_of_other_code(tmp_path / "copy")
    script = tmp_path / "ottt"
    script.write_text(
        f"import sys; sys.path.append({str(copy)!r}); from experiments.cli import main; sys.exit(main())\n",
        encoding="utf-8",
    )
    done = run(script, tmp_path, tmp_path / "results")
    assert done.returncode == 0, done.stderr
    assert numbers(tmp_path / "results") != right


def zipped(folder: Path) -> Path:
    with ZipFile(folder / "old.zip", "w") as archive:
        archive.write(ROOT / "ottt" / "__init__.py", "ottt/__init__.py")
    return folder / "old.zip"


def one_file(folder: Path) -> Path:
    (folder / "lib").mkdir()
    (folder / "lib" / "analysis.py").write_text("", encoding="utf-8")
    return folder / "lib"


@pytest.mark.parametrize(("furnish", "package"), [(zipped, "ottt"), (one_file, "analysis")])
def test_a_mixture_of_packages_is_refused_in_one_line(
    command: Path, tmp_path: Path, furnish: Furnish, package: str
) -> None:
    path = furnish(tmp_path)
    done = run(command, tmp_path, tmp_path / "results", {"PYTHONPATH": str(path)})
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {package} must be the package in {ROOT}, got {path}")
    assert not (tmp_path / "results").exists()


def test_a_deleted_folder_is_refused_in_one_line(command: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    shell = f"cd {gone} && rmdir {gone} && exec {sys.executable} {command} sweep list"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=900)
    assert done.returncode == 2
    assert (
        done.stderr.splitlines()[-1]
        == "error: the current folder must exist, but it was deleted: change to another one"
    )
