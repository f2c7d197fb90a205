"""The code and the machine that produced a result."""

import hashlib
import platform
import socket
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from experiments.results.trial_records import Record

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("torch", "torchvision", "numpy", "ray", "mlflow")


@dataclass(frozen=True)
class Provenance:
    """Origin of a result.

    Attributes:
        commit: commit of the work tree that the code runs from; None outside one.
        dirty: whether tracked files differ from the commit.
        versions: "python 3.11.7, torch 2.11.0, ...".
        host: name of the machine that ran the sweep.
        diff: hash of the tracked files' difference from the commit; None without one.
    """

    commit: str | None
    dirty: bool
    versions: str
    host: str
    diff: str | None = None

    @classmethod
    def current(cls) -> "Provenance":
        """Provenance of what this process computes."""
        # An installed copy can lie inside an unrelated work tree, whose commit says nothing about it.
        ours = _git("rev-parse", "--show-toplevel") == str(_ROOT)
        commit = _git("rev-parse", "HEAD") if ours else None
        difference = source_diff() if ours else None
        diff = hashlib.sha256(difference.encode()).hexdigest()[:16] if difference else None
        versions = [f"python {platform.python_version()}", *(f"{name} {version(name)}" for name in _PACKAGES)]
        return cls(commit, diff is not None, ", ".join(versions), socket.gethostname(), diff)

    def same_code(self, record: Record) -> bool:
        """Whether exactly this code wrote `record`, so that an unfinished trial can resume."""
        mine = (self.commit, self.diff, self.versions)
        return mine == (record.commit, record.diff, record.versions)


def source_diff() -> str | None:
    """Difference of the tracked source files from the commit; empty without one, None without git."""
    return _git("diff", "HEAD", "--binary")


def _git(*arguments: str) -> str | None:
    """Output of a git command in the source tree; None if it fails or git is missing."""
    try:
        done = subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
