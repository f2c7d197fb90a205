"""The `ottt` command with real processes, for the tests of sweeps."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from experiments.results.trial_records import TrialRecords
from ottt.schema import Status, Tag

ROOT = Path(__file__).parents[2]
# What hints of a `Place`'s processes call the program.
PROGRAM = f"{'python' if shutil.which('python') == sys.executable else sys.executable} -m experiments.cli"


@dataclass(frozen=True)
class Place:
    """A folder with a spec and the results of its sweeps.

    Attributes:
        modules: a folder of Python modules that every process sees first.
        variables: of the environment of every process.
        cores: how many its processes may use, and so how many trials train beside each other; None: all. With one, a
            sweep starts one worker, which takes half the time where it is not about several.
    """

    folder: Path
    modules: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    cores: int | None = None

    def take_store(self, made: Path) -> Self:
        """Begin with a copy of a tracking store that has its tables."""
        results = self.folder / "results"
        results.mkdir(exist_ok=True)
        with closing(sqlite3.connect(made)) as source, closing(sqlite3.connect(results / "mlflow.db")) as copy:
            source.backup(copy)
        return self

    def command(self, *arguments: str) -> list[str]:
        few = [] if self.cores is None else ["taskset", "--cpu-list", ",".join(map(str, _cores(self.cores)))]
        return [*few, sys.executable, "-m", "experiments.cli", *arguments]

    def environment(self, *paths: Path) -> dict[str, str]:
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "OTTT", "RAY", "WANDB"))
        }
        own = [] if self.modules is None else [self.modules]
        # By itself Ray lets its workers wait for all other processes, and tests run beside each other.
        inherited["RAY_worker_niceness"] = "0"
        return inherited | self.variables | {"PYTHONPATH": os.pathsep.join(map(str, (*paths, *own, ROOT)))}

    def ottt(self, *arguments: str, paths: tuple[Path, ...] = ()) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(*paths),
            capture_output=True,
            text=True,
            timeout=900,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The command in a session of its own."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @property
    def records(self) -> TrialRecords:
        return TrialRecords(self.folder / "results" / "trials")

    def statuses(self) -> dict[str, Status]:
        read = ((path.name, self.records.read(path.name)) for path in self.records.folder.glob("*"))
        return {trial: record.status for trial, record in read if record is not None}

    def epochs(self) -> int:
        """Epochs of all trials that are recorded."""
        return sum(len(self.records.epochs(path.name)) for path in self.records.folder.glob("*"))

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / "results" / "mlflow.db")) as connection:
            return connection.execute(sql).fetchall()

    def runs(self) -> list[tuple[str, str]]:
        """Kind and MLflow's status of every run that is not deleted."""
        return sorted(
            self.query(
                "SELECT t.value, r.status FROM runs r JOIN tags t USING (run_uuid)"
                f" WHERE t.key = '{Tag.KIND}' AND r.lifecycle_stage = 'active'"
            )
        )

    def doubled(self) -> int:
        """Points of the store that are there more than once."""
        doubled = self.query("SELECT 1 FROM metrics GROUP BY run_uuid, key, step HAVING count(*) > 1")
        return len(doubled)


def _cores(count: int) -> list[int]:
    """As many cores, others for each process that tests."""
    usable = sorted(os.sched_getaffinity(0))
    first = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return [usable[(first + more) % len(usable)] for more in range(count)]


def descendants(pid: int) -> dict[int, str]:
    """Names of the processes below `pid`."""
    processes = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text(encoding="utf-8")
        except OSError:
            continue
        name, _, rest = text.partition("(")[2].rpartition(")")
        processes[int(stat.parent.name)] = (int(rest.split()[1]), name)
    return dict(_below(pid, processes))


def _below(pid: int, processes: dict[int, tuple[int, str]]) -> Iterator[tuple[int, str]]:
    for child, (parent, name) in processes.items():
        if parent == pid:
            yield child, name
            yield from _below(child, processes)


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that nobody has asked for its status does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
