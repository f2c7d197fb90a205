"""Time to read many runs from MLflow: `analysis.load`, with and without its cache, against one request per run and
metric, and against `mlflow.search_runs`.

    python -m benchmarks.tracking                  # SQLite, and the same store behind a server on loopback
    python -m benchmarks.tracking --no-server      # SQLite alone

Every reading runs in its own process; times are medians over the rounds, without imports. The naive readers, which take
minutes, run in the first round only.
Writes benchmarks/results/DATE-tracking.json.
"""

import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import typer

RESULTS = Path(__file__).parent / "results"
SWEEP = "many"
PARAMS = 43  # per trial
START_S = 120.0

OURS = "from analysis import load; read = lambda store: len(load.{what}('many', store=store))"
CACHED = """\
import sys
from analysis import load
read = lambda store: len(load.history('many', store=store, cache=sys.argv[2]))
"""
NAIVE = """\
from mlflow.tracking import MlflowClient
def read(store):
    client = MlflowClient(store)
    runs = client.search_runs([client.get_experiment_by_name("many").experiment_id], "tags.`ottt.kind` = 'trial'")
    return sum(len(client.get_metric_history(run.info.run_id, key)) for run in runs for key in run.data.metrics)
"""
SEARCH = """\
import mlflow
def read(store):
    mlflow.set_tracking_uri(store)
    return len(mlflow.search_runs(experiment_names=["many"], max_results=50_000))
"""
TIMED = """
import os, sys, time
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
import mlflow.store.tracking.sqlalchemy_store, mlflow.tracking, pandas, pyarrow.parquet
start = time.perf_counter()
count = read(sys.argv[1])
print(time.perf_counter() - start, count)
"""


@dataclass(frozen=True)
class Case:
    """A store, what is read from it, and the naive reader to compare with."""

    what: str
    runs: int
    epochs: int
    metrics: int
    naive: str
    limits: dict[str, float]  # s, by kind of store


CASES = (
    Case("history", 1_000, 100, 6, NAIVE, {"sqlite": 2.0, "http": 15.0}),
    Case("runs", 10_000, 1, 10, SEARCH, {"sqlite": 10.0}),
)


def main(
    rounds: Annotated[int, typer.Option(help="Timed readings for each of our readers.")] = 3,
    server: Annotated[bool, typer.Option(help="Also read through a server on loopback.")] = True,
) -> None:
    """Measure and write a dated result file."""
    rows = []
    for case in CASES:
        with TemporaryDirectory() as folder:
            uri = write(case, Path(folder))
            rows.append(measure(case, "sqlite", uri, rounds, Path(folder)))
            if server and "http" in case.limits:
                with serving(Path(folder)) as address:
                    rows.append(measure(case, "http", address, rounds, Path(folder)))
    file = RESULTS / f"{date.today()}-tracking.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"machine": machine(), "rounds": rounds, "rows": rows}, indent=1) + "\n")
    print(f"wrote {file.relative_to(Path.cwd())}")


def measure(case: Case, kind: str, uri: str, rounds: int, folder: Path) -> dict[str, Any]:
    """Seconds of the readers, which take turns; "cached" is ours with a filled cache."""
    readers = {"ours": OURS.format(what=case.what), "naive": case.naive}
    if case.what == "history":
        readers["cached"] = CACHED
        _timed(CACHED, uri, folder, expected=_expected(case, "cached"))
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    for turn in range(rounds):
        for name, code in readers.items():
            if name == "naive" and turn > 0:
                continue
            seconds[name].append(_timed(code, uri, folder, expected=_expected(case, name)))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    row = asdict(case) | {"store": kind, "seconds": medians, "all_seconds": seconds}
    limit = case.limits[kind]
    print(
        f"{case.what:<8} {case.runs:>6,} runs x {case.epochs} epochs x {case.metrics} metrics, {kind:<6}"
        f"  ours {medians['ours']:.2f} s (<= {limit:g})  naive {medians['naive']:.2f} s"
        f"  {medians['naive'] / medians['ours']:.1f}x"
        + (f"  cached {medians['cached']:.2f} s" if "cached" in medians else ""),
        flush=True,
    )
    return row


def write(case: Case, folder: Path) -> str:
    """Write a store with one sweep row by row, which would take hours through MLflow, and return its URI."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow.tracking import MlflowClient

    path = folder / "mlflow.db"
    client = MlflowClient(f"sqlite:///{path}")
    experiment = client.create_experiment(SWEEP, artifact_location=(folder / "artifacts").as_uri())
    parent = client.create_run(experiment, tags={"ottt.kind": "sweep", "ottt.sweep": SWEEP}).info.run_id
    trials = [
        {"trial": f"t{index}", "variant": f"v{index // 5}", "label": f"v={index // 5}", "seed": index % 5}
        | {"settings": {"p0": index // 5}}
        for index in range(case.runs)
    ]
    plan = {"name": SWEEP, "metric": "m0", "axes": ["p0"], "baseline": None, "trials": trials}
    client.log_dict(parent, plan, "plan.json")
    with closing(sqlite3.connect(path)) as connection, connection:
        for index, trial in enumerate(trials):
            _write_run(connection, experiment, parent, case, index, trial)
    return f"sqlite:///{path}"


def _write_run(
    connection: sqlite3.Connection, experiment: str, parent: str, case: Case, index: int, trial: dict[str, Any]
) -> None:
    run = f"{index:032x}"
    connection.execute(
        "INSERT INTO runs (run_uuid, name, source_type, entry_point_name, user_id, status, start_time, end_time,"
        " lifecycle_stage, artifact_uri, experiment_id) VALUES (?, ?, 'UNKNOWN', '', '', 'FINISHED', ?, ?,"
        " 'active', '', ?)",
        (run, trial["trial"], index, index + 1000, int(experiment)),
    )
    tags = {"ottt.kind": "trial", "ottt.status": "finished", "mlflow.parentRunId": parent, "ottt.sweep": SWEEP}
    tags |= {f"ottt.{key}": str(trial[key]) for key in ("trial", "variant", "label", "seed")}
    tags |= {f"ottt.more_{number}": "x" * 40 for number in range(6)}
    connection.executemany("INSERT INTO tags VALUES (?, ?, ?)", [(key, value, run) for key, value in tags.items()])
    params = [(f"p{number}", str(index // 5 if number == 0 else number), run) for number in range(PARAMS)]
    connection.executemany("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", params)
    values = np.random.default_rng(index).random((case.metrics, case.epochs))
    points = [
        (f"m{metric}", float(values[metric, epoch]), 1_000 * epoch + index, run, epoch + 1, 0)
        for metric in range(case.metrics)
        for epoch in range(case.epochs)
    ]
    places = "(key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, ?)"
    connection.executemany(f"INSERT INTO metrics {places}", points)
    last = [point for point in points if point[4] == case.epochs]
    connection.executemany(f"INSERT INTO latest_metrics {places}", last)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Address of a server for the store in `folder`."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "experiments.cli", "mlflow", "serve", "--results", str(folder)]
    with subprocess.Popen(
        [*command, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as made:
        try:
            _wait(f"{address}/health")
            yield address
        finally:
            made.terminate()


def _wait(address: str) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            with urlopen(address, timeout=5):
                return
        except (URLError, ConnectionError):
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def _timed(code: str, uri: str, folder: Path, *, expected: int) -> float:
    words = [sys.executable, "-c", code + TIMED, uri, str(folder / "cache")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seconds, count = done.stdout.split()[-2:]
    assert int(count) == expected, f"{count} of {expected} read"
    return float(seconds)


def _expected(case: Case, reader: str) -> int:
    """Number of rows, so that no reader is fast by omitting some; `search_runs` also returns the parent."""
    if case.what == "history":
        return case.runs * case.epochs * case.metrics
    return case.runs + (reader == "naive")


def machine() -> dict[str, Any]:
    """The machine and versions that the numbers depend on."""
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    packages = {name: version(name) for name in ("mlflow", "sqlalchemy", "pandas", "numpy")}
    return {"cpu": names[0], "cpus": os.cpu_count(), "python": platform.python_version(), **packages}


if __name__ == "__main__":
    typer.run(main)
