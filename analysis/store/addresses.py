"""Where artifacts lie: a store that is a SQLite file has them in the folder `artifacts` beside it, wherever that is.

MLflow keeps absolute addresses, `file:///FOLDER/artifacts/SWEEP/RUN/artifacts`. They name another folder once the
folder of results was copied or moved; `experiments.tracking.addresses` corrects them when the store is next written.
"""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from analysis.store.sqlite import sqlite_file
from ottt.errors import UserError, first_line

ARTIFACTS = "artifacts"  # folder beside the store, and the last part of a run's address


def beside(store: str) -> Path | None:
    """Folder of the artifacts of the store at a tracking URI; None if it is no SQLite file."""
    file = sqlite_file(store)
    return None if file is None else file.parent / ARTIFACTS


def located(address: str, folder: Path | None) -> str:
    """Address of a run's artifacts: in `folder` if they are there, else `address`.

    Args:
        address: as MLflow keeps it; that of a run logged through a server begins with `mlflow-artifacts:/`.
        folder: what `beside` gives.
    """
    if folder is None or address.startswith(f"{folder.as_uri()}/"):
        return address
    moved = folder.joinpath(*unquote(urlsplit(address).path).split("/")[-3:])
    try:
        return moved.as_uri() if moved.is_dir() else address
    except OSError:  # a folder that this user may not look into: whoever reads the artifact is told
        return address


def local_path(address: str) -> Path | None:
    """Folder at an address; None if the address is not one of this machine's file system."""
    parts = urlsplit(address)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None


def artifact_text(file: Path) -> str:
    """The content of a text artifact.

    Raises:
        UserError: the file cannot be read, or is no text.
    """
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or first_line(error)
        raise UserError(f"{file}: must be an artifact that can be read: {problem}") from error
