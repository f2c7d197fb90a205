"""Where results lie, and where a sweep's spec is found."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from uuid import uuid4

from analysis.address import is_database
from experiments.records import TrialRecords
from experiments.stop import StopRequest
from ottt.errors import UserError

STUDIES = Path(__file__).parent / "studies"


@dataclass(frozen=True)
class Results:
    """A folder of results: `trials/`, `sweeps/`, and the default MLflow store."""

    root: Path

    @classmethod
    def at(cls, option: Path | None) -> "Results":
        """The folder in `option`, else in OTTT_RESULTS, else `results` in the current folder."""
        return cls((option or Path(os.environ.get("OTTT_RESULTS") or "results")).absolute())

    @property
    def records(self) -> TrialRecords:
        """Of all trials, whichever sweep ran them."""
        return TrialRecords(self.root / "trials")

    @property
    def is_local(self) -> bool:
        """Whether the tracking store is the SQLite file in this folder: MLFLOW_TRACKING_URI names no other."""
        return not os.environ.get("MLFLOW_TRACKING_URI")

    @property
    def store(self) -> str:
        """Tracking URI."""
        return f"sqlite:///{self.root / 'mlflow.db'}" if self.is_local else os.environ["MLFLOW_TRACKING_URI"]

    @property
    def artifacts(self) -> Path | None:
        """Folder of artifacts; None where a tracking server decides."""
        return self.root / "artifacts" if is_database(self.store) else None

    def write_plan(self, sweep: str, plan: Mapping[str, Any], spec: str) -> None:
        """Keep the plan of `sweep` for `read_plan`, and the text of its spec for `spec_of`."""
        path = self._plan(sweep)
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, json.dumps(plan, indent=1))
        _replace(path.with_name("spec.yaml"), spec)

    def spec_of(self, sweep: str) -> Path:
        """The file of the spec that `sweep` last ran with, its base and overrides included.

        Raises:
            UserError: it never ran here.
        """
        self.read_plan(sweep)
        return self._plan(sweep).with_name("spec.yaml")

    def sweeps(self) -> list[str]:
        """Names of the sweeps that ran here."""
        return sorted(path.parent.name for path in (self.root / "sweeps").glob("*/plan.json"))

    def has_plan(self, sweep: str) -> bool:
        """Whether `sweep` ran here."""
        return self._plan(sweep).is_file()

    def read_plan(self, sweep: str) -> dict[str, Any]:
        """The plan that `sweep` last ran with.

        Raises:
            UserError: it never ran here.
        """
        try:
            stored: dict[str, Any] = json.loads(self._plan(sweep).read_text(encoding="utf-8"))
        except FileNotFoundError:
            known = self.sweeps()
            there = f"one of {', '.join(known)}" if known else "one that was run there (none was)"
            raise UserError(f"{shown(self.root)}: sweep must be {there}, got {sweep!r}") from None
        return stored

    @contextmanager
    def lock(self, sweep: str) -> Iterator[StopRequest]:
        """Hold the sweep, so that two processes never run it at once; a killed process holds nothing.

        Returns:
            The request by which others ask this run to end.

        Raises:
            UserError: another process holds it, or nothing can be written here.
        """
        run = f"{socket.gethostname()} {os.getpid()} {uuid4().hex}\n"
        with self._held(self._lock(sweep), run):
            request = self.stop_request(sweep, run)
            try:
                yield request
            finally:
                request.path.unlink(missing_ok=True)

    @contextmanager
    def _held(self, path: Path, run: str) -> Iterator[None]:
        """Hold the lock file at `path`, with `run` in it."""
        with ExitStack() as stack:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(path.open("a+"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.truncate(0)
                file.write(run)
                file.flush()
            except BlockingIOError:
                sweep = path.parent
                raise UserError(f"{shown(sweep)}: the sweep {sweep.name} is running in another process") from None
            except OSError as error:
                raise UserError(f"{shown(self.root)}: the folder of results must be writable, got {error}") from error
            yield

    def is_locked(self, sweep: str) -> bool:
        """Whether a process runs the sweep now."""
        path = self._lock(sweep)
        if not path.is_file():
            return False
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def running(self, sweep: str) -> str | None:
        """Which run of the sweep is under way: machine, process and a word of its own; None: it is not running."""
        return self._lock(sweep).read_text(encoding="utf-8") if self.is_locked(sweep) else None

    def stop_request(self, sweep: str, run: str) -> StopRequest:
        """The request that the run of that name should end."""
        return StopRequest(self.root / "sweeps" / sweep / "stop", run)

    def _lock(self, sweep: str) -> Path:
        return self.root / "sweeps" / sweep / "lock"

    def _plan(self, sweep: str) -> Path:
        return self.root / "sweeps" / sweep / "plan.json"


def _replace(path: Path, text: str) -> None:
    """Write `text` to `path` in one step."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def find_spec(given: str) -> Path:
    """The file `given`, or the study of that name.

    Raises:
        UserError: neither exists.
    """
    path, study = Path(given), STUDIES / f"{given}.yaml"
    if path.is_file():
        return path
    if study.is_file():
        return study
    near = get_close_matches(given, [file.stem for file in STUDIES.glob("*.yaml")], n=3)
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    raise UserError(f"{given}: must be a spec file or a study of `ottt sweep list`{hint}; found neither")


def shown(path: Path) -> str:
    """The path as short as it can be typed here: relative inside the current folder."""
    current = Path.cwd()
    return str(path.relative_to(current)) if path.is_relative_to(current) else str(path)
