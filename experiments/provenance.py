"""Which code, on which machine, made a result."""

import platform
import socket
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = ("torch", "torchvision", "numpy", "ray", "mlflow")


@dataclass(frozen=True)
class Provenance:
    """Origin of a result.

    Attributes:
        commit: of the work tree that the code runs from; None outside one.
        dirty: whether tracked files differ from it.
        versions: "python 3.11.7, torch 2.11.0, ...".
        host: name of the machine that ran the sweep.
    """

    commit: str | None
    dirty: bool
    versions: str
    host: str

    @classmethod
    def current(cls) -> "Provenance":
        """Of this process."""
        # An installed copy may lie inside somebody else's work tree, whose commit says nothing about it.
        ours = _git("rev-parse", "--show-toplevel") == str(_ROOT)
        commit = _git("rev-parse", "HEAD") if ours else None
        dirty = commit is not None and _git("status", "--porcelain", "--untracked-files=no") != ""
        versions = [f"python {platform.python_version()}", *(f"{name} {version(name)}" for name in _PACKAGES)]
        return cls(commit, dirty, ", ".join(versions), socket.gethostname())


def _git(*arguments: str) -> str | None:
    """Output of a git command in the source tree; None where it fails or git is missing."""
    try:
        done = subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
