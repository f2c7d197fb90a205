"""The code and the machine that produced a result."""

import hashlib
import platform
import socket
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from experiments.results.trial_records import Record

DISTRIBUTION = "ottt-lab"
ROOT = Path(__file__).resolve().parents[2]  # folder of the packages
_CODE = ("ottt", "experiments")  # packages that determine results
_PACKAGES = ("torch", "torchvision", "numpy", "ray", "mlflow")


@dataclass(frozen=True)
class Provenance:
    """Origin of a result.

    Attributes:
        commit: commit of the work tree that the code runs from; None outside one.
        dirty: whether files of the work tree differ from the commit.
        versions: "ottt-lab 0.1.0, python 3.11.7, torch 2.11.0, ...".
        host: name of the machine that ran the sweep.
        diff: hash of the files' difference from the commit; None without one.
        code: hash of the packages' sources, see `code_hash`.
    """

    commit: str | None
    dirty: bool
    versions: str
    host: str
    diff: str | None = None
    code: str | None = None

    @classmethod
    def current(cls) -> "Provenance":
        """Provenance of what this process computes."""
        commit = _git("rev-parse", "HEAD") if is_work_tree() else None
        difference = source_diff() if commit is not None else None
        diff = hashlib.sha256(difference.encode()).hexdigest()[:16] if difference else None
        packages = [f"{name} {version(name)}" for name in _PACKAGES]
        versions = [f"{DISTRIBUTION} {own_version()}", f"python {platform.python_version()}", *packages]
        return cls(commit, diff is not None, ", ".join(versions), socket.gethostname(), diff, code_hash())

    def same_code(self, record: Record) -> bool:
        """Whether exactly this code, with these versions of packages, wrote `record`: its trial can be resumed."""
        return record.code is not None and (self.code, self.versions) == (record.code, record.versions)


@cache
def code_hash() -> str:
    """16 hex digits over the sources of the packages that determine results, as they lie on disk.

    It needs no git and changes with every change of a source file, committed or not.
    """
    found = hashlib.sha256()
    for package in _CODE:
        for path in sorted((ROOT / package).rglob("*.py")):
            found.update(f"{path.relative_to(ROOT).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


def code_on_host() -> tuple[str, str]:
    """Name of this machine, and the hash of its sources."""
    return socket.gethostname(), code_hash()


def own_version() -> str:
    """Version of this distribution; "unknown" where its packages are used without being installed."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"


def is_work_tree() -> bool:
    """Whether the packages lie in a git work tree of their own, and git answers.

    An installed copy can lie inside an unrelated work tree, whose commit says nothing about it.
    """
    return _git("rev-parse", "--show-toplevel") == str(ROOT)


def git_problem() -> str | None:
    """Why the commit of the work tree is not known, in one line; None if it is, or if there is no work tree."""
    if not (ROOT / ".git").exists() or is_work_tree():
        return None
    try:
        done = subprocess.run(["git", "rev-parse", "--show-toplevel"], cwd=ROOT, capture_output=True, text=True)
    except OSError as error:
        return f"git cannot be run: {error.strerror}"
    return (done.stderr.strip().splitlines() or ["git names another work tree"])[0]


def source_diff() -> str | None:
    """Difference of the source tree from the commit, untracked Python files included; None without git."""
    tracked = _git("diff", "HEAD", "--binary")
    untracked = _git("ls-files", "--others", "--exclude-standard", "--", "*.py")
    if tracked is None or untracked is None:
        return None
    added = (f"diff --git a/{name} b/{name}\nnew file\n{_read(ROOT / name)}" for name in untracked.splitlines())
    return "\n".join(filter(None, [tracked, *added]))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _git(*arguments: str) -> str | None:
    """Output of a git command in the source tree; None if it fails or git is missing."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", errors="replace", check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
