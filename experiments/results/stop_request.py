"""The file with which any process that sees the folder of results asks a running sweep to end."""

from dataclasses import dataclass
from pathlib import Path

from ottt.files import write_atomic


@dataclass(frozen=True)
class StopRequest:
    """A request that one run of a sweep should end; later runs ignore it.

    Attributes:
        path: file of the request.
        run: id of the run, see `experiments.results.folder.Results.lock`.
    """

    path: Path
    run: str

    @property
    def is_made(self) -> bool:
        """Whether a process made the request."""
        try:
            return self.path.read_text(encoding="utf-8") == self.run
        except FileNotFoundError:
            return False

    def make(self) -> None:
        """Make the request."""
        write_atomic(self.path, self.run)
