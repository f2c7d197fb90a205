"""Who ran what from where, in MLflow's own tags: the columns `Source`, `Created by` and `Version` of its page."""

import getpass
import os
import re
import sys
from pathlib import Path

USER = "mlflow.user"
SOURCE, SOURCE_TYPE = "mlflow.source.name", "mlflow.source.type"
COMMIT = "mlflow.source.git.commit"

_PATH = re.compile(r"""(?:^|(?<=[\s=,'"\[(])|(?<=sqlite:///))(?:~[^/\s]*)?/[^\s,'"\])]*""")  # absolute


def process_tags() -> dict[str, str]:
    """The tags of what this process runs: the user's name, and the command without folders of this machine.

    The store may be read by others: where a folder lies on this machine is of no use to them.
    """
    return {USER: _user(), SOURCE: _command(sys.argv), SOURCE_TYPE: "LOCAL"}


def commit_tag(commit: str | None) -> dict[str, str]:
    """The tag of the commit, if it is known."""
    return {} if commit is None else {COMMIT: commit}


def _user() -> str:
    """As MLflow finds it: the user of a server that asks for a name, else that of this machine."""
    try:
        return os.environ.get("MLFLOW_TRACKING_USERNAME") or getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return "unknown"


def _command(words: list[str]) -> str:
    program = Path(words[0])
    is_ours = program.parts[-3:] == ("experiments", "cli", "__main__.py")
    return " ".join(["ottt" if is_ours else program.name, *(_PATH.sub(_last_part, word) for word in words[1:])])


def _last_part(path: re.Match[str]) -> str:
    return Path(path[0]).name
