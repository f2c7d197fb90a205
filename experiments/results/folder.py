"""The folder of results: paths of trials, sweeps and the default tracking store; locks on running sweeps."""

import hashlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from analysis.store.addresses import beside
from analysis.store.plan import Plan
from analysis.store.sqlite import sqlite_uri
from analysis.store.uri import is_database
from experiments.results.sealed import seal, unseal
from experiments.results.stop_request import StopRequest
from experiments.results.trial_records import TrialRecords
from ottt.errors import UserError
from ottt.files import is_locked, try_lock, user_path, write_atomic

_SPEC_DIGEST = "spec_sha256"  # key in plan.json


@dataclass(frozen=True)
class Results:
    """A folder of results: `trials/`, `sweeps/`, and the default MLflow store."""

    root: Path

    @classmethod
    def at(cls, option: Path | None) -> "Results":
        """The folder `option`, else OTTT_RESULTS, else `results` in the current folder."""
        return cls(user_path(option or os.environ.get("OTTT_RESULTS") or "results").absolute())

    @property
    def records(self) -> TrialRecords:
        """Records of all trials of all sweeps."""
        return TrialRecords(self.root / "trials")

    def sink_folder(self, sink: str, sweep: str) -> Path:
        """Where a sink can write what it gets of a sweep."""
        return self.root / sink / sweep

    @property
    def is_local(self) -> bool:
        """Whether the tracking store is the SQLite file in this folder: MLFLOW_TRACKING_URI is not set."""
        return not os.environ.get("MLFLOW_TRACKING_URI")

    @property
    def store(self) -> str:
        """Tracking URI."""
        return sqlite_uri(self.root / "mlflow.db") if self.is_local else os.environ["MLFLOW_TRACKING_URI"]

    @property
    def artifacts(self) -> Path | None:
        """Folder of artifacts; None if a tracking server chooses it."""
        return self.artifacts_of(self.store)

    def artifacts_of(self, store: str) -> Path | None:
        """Folder of a store's artifacts: beside a SQLite file, here for other databases; None: a server chooses."""
        return beside(store) or (self.root / "artifacts" if is_database(store) else None)

    def write_plan(self, plan: Plan, spec: str) -> None:
        """Store the plan of a sweep for `read_plan`, and the text of its spec for `spec_of`."""
        path = self._plan(plan.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path.with_name("spec.yaml"), spec)
        write_atomic(path, seal(json.dumps({**plan.to_json(), _SPEC_DIGEST: _digest(spec.encode())}, indent=1)))

    def spec_of(self, sweep: str) -> Path:
        """File of the spec that `sweep` last ran with, base and overrides included.

        Raises:
            UserError: the sweep never ran here, or the file has changed since.
        """
        expected = self._stored_plan(sweep).get(_SPEC_DIGEST)
        path = self._plan(sweep).with_name("spec.yaml")
        found = _digest(path.read_bytes()) if path.is_file() else None
        if found is None or expected not in (None, found):
            raise UserError(
                f"{shown(path)}: must be the spec that {sweep} ran with, got {'none' if found is None else 'another'}:"
                " it was damaged or changed; run the sweep with the spec that you want"
            )
        return path

    def sweeps(self) -> list[str]:
        """Names of the sweeps that ran here."""
        return sorted(path.parent.name for path in (self.root / "sweeps").glob("*/plan.json"))

    def has_plan(self, sweep: str) -> bool:
        """Whether `sweep` ran here."""
        return self._plan(sweep).is_file()

    def read_plan(self, sweep: str) -> Plan:
        """Plan that `sweep` last ran with.

        Raises:
            UserError: the sweep never ran here, or its plan is damaged.
        """
        stored = self._stored_plan(sweep)
        try:
            return Plan.from_json(json.dumps(stored))
        except (AttributeError, KeyError, TypeError, ValueError):
            problem = "is no plan: a key is missing, or its value is of another kind"
            raise self._damaged_plan(sweep, problem) from None

    def _stored_plan(self, sweep: str) -> dict[str, Any]:
        try:
            return unseal(self._plan(sweep).read_bytes())
        except FileNotFoundError:
            known = self.sweeps()
            there = f"one of {', '.join(known)}" if known else "one that was run there (none was)"
            raise UserError(f"{shown(self.root)}: sweep must be {there}, got {sweep!r}") from None
        except ValueError as error:
            raise self._damaged_plan(sweep, str(error)) from None

    def _damaged_plan(self, sweep: str, problem: str) -> UserError:
        path = shown(self._plan(sweep))
        return UserError(f"{path} {problem}: to write it again, run the sweep with its spec; no trial is lost")

    @contextmanager
    def lock(self, sweep: str) -> Iterator[StopRequest]:
        """Lock the sweep in the context, so that two processes never run it at once.

        Yields:
            Request with which other processes can stop this run.

        Raises:
            UserError: another process holds the lock, or the folder is not writable.
        """
        path = self._lock(sweep)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = try_lock(path)
        except OSError as error:
            raise UserError(f"{shown(self.root)}: the folder of results must be writable, got {error}") from error
        if file is None:
            raise UserError(f"{shown(path.parent)}: the sweep {sweep} is running in another process")
        with file:
            run = f"{socket.gethostname()} {os.getpid()} {uuid4().hex}\n"
            file.truncate(0)
            file.write(run)
            file.flush()
            request = self.stop_request(sweep, run)
            try:
                yield request
            finally:
                request.path.unlink(missing_ok=True)

    def is_locked(self, sweep: str) -> bool:
        """Whether the sweep is running."""
        return is_locked(self._lock(sweep))

    def running(self, sweep: str) -> str | None:
        """Id of the present run of the sweep: host, process id and a unique token; None if it is not running."""
        return self._lock(sweep).read_text(encoding="utf-8") if self.is_locked(sweep) else None

    def stop_request(self, sweep: str, run: str) -> StopRequest:
        """Request that the run with this id should end."""
        return StopRequest(self.root / "sweeps" / sweep / "stop", run)

    def _lock(self, sweep: str) -> Path:
        return self.root / "sweeps" / sweep / "lock"

    def _plan(self, sweep: str) -> Path:
        return self.root / "sweeps" / sweep / "plan.json"


def shown(path: Path) -> str:
    """The path to display: relative if it is inside the current folder."""
    current = Path.cwd()
    return str(path.relative_to(current)) if path.is_relative_to(current) else str(path)


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
