"""CPU time that each component of a cluster spends per trial. Other work on the machine hardly changes it.

    python -m benchmarks.cluster_cost                  # 1,000 short trials, 8 at a time on logical GPUs

One Ray node with eight logical GPUs runs trials that train for a fraction of a second, so that the overhead shows. Two
more sweeps with a tenth of the trials, one of them with more epochs, separate the cost per trial and per epoch from the
fixed cost of a sweep. Only descendants of this process are counted, without the last second of those that end. Results
are written to benchmarks/results/.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from datetime import date
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple

import typer

from experiments.results.trial_records import TrialRecords

RESULTS = Path(__file__).parent / "results"
GPUS = 8
VARIANTS = 4
EPOCHS = 21  # per trial, in the sweep that measures the cost of an epoch
LOOK_S = 1.0  # between two samples of the processes
TICK_S = 1 / os.sysconf("SC_CLK_TCK")

# Text in the command line of each component's processes.
PARTS = {"driver": "experiments.cli", "gcs": "gcs_server", "raylet": "raylet/raylet", "workers": "ray::"}
SUMS = (*(f"{part}_s" for part in PARTS), "record_bytes", "store_bytes")  # totals of a sweep


class Process(NamedTuple):
    """A process that is counted; its start distinguishes it from others, since process ids are reused."""

    part: str
    number: int
    start: int  # ticks since boot


def main(
    trials: Annotated[int, typer.Option(help="Trials of the largest sweep; a multiple of 40, at least 120.")] = 1000,
) -> None:
    """Measure CPU seconds and bytes of records and store, per trial and per epoch."""
    few = trials // 10
    sweeps = []
    for count, epochs in ((few, 1), (trials, 1), (few, EPOCHS)):
        with TemporaryDirectory() as folder:
            sweeps.append(measure(Path(folder), count, epochs=epochs))
    small, many, long = sweeps
    result = {
        "sweeps": sweeps,
        "per_trial": {key: (many[key] - small[key]) / (trials - few) for key in SUMS},
        "per_epoch": {key: (long[key] - small[key]) / (few * (EPOCHS - 1)) for key in SUMS},
    }
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    versions = {package: version(package) for package in ("torch", "ray", "mlflow")}
    text = json.dumps({"machine": machine | versions, **result}, indent=1)
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{date.today()}-cluster-cost.json"
    file.write_text(text + "\n", encoding="utf-8")
    print(text)
    print(f"wrote {file}")


def measure(place: Path, trials: int, *, epochs: int) -> dict[str, float]:
    """Run the sweep in `place` on its own node and sample the processes meanwhile."""
    from ray.cluster_utils import Cluster

    base = f"{{T: 1, epochs: {epochs}, batch_size: 512, model.width: 0.25, device: cpu}}"
    (place / "cost.yaml").write_text(
        f"name: cost\nbase: {base}\naxes: {{neuron.tau: [1.25, 2.0, 3.0, 4.0]}}\nseeds: {trials // VARIANTS}\n"
        "resources: {cpu: 1, gpu: 1}\n",
        encoding="utf-8",
    )
    node = Cluster(initialize_head=True, head_node_args={"num_cpus": GPUS, "num_gpus": GPUS})
    try:
        words = ["sweep", "run", "cost.yaml", "--address", node.address]
        began = time.perf_counter()
        driver = subprocess.Popen(
            [sys.executable, "-m", "experiments.cli", *words],
            cwd=place,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
            stdout=subprocess.DEVNULL,
        )
        spent: Counter[Process] = Counter()
        while driver.poll() is None:
            spent |= processor_seconds()
            time.sleep(LOOK_S)
        wall = time.perf_counter() - began
        assert driver.returncode == 0, driver.returncode
    finally:
        node.shutdown()
    return {"trials": trials, "epochs": epochs, "at_once": GPUS, "seconds": wall} | summary(place, spent)


def summary(place: Path, spent: Counter[Process]) -> dict[str, float]:
    """CPU seconds of each component, and bytes on disk."""
    by_part = dict.fromkeys(PARTS, 0.0)
    for process, seconds in spent.items():
        by_part[process.part] += seconds
    records = TrialRecords(place / "results" / "trials")
    found = [record for path in records.folder.iterdir() if (record := records.read(path.name)) is not None]
    ends = sorted(record.ended or 0.0 for record in found)
    size = sum(path.stat().st_size for path in records.folder.rglob("*") if path.is_file())
    return {
        "s_between_ends": (ends[-1] - ends[GPUS]) / (len(ends) - GPUS - 1),
        **{f"{part}_s": seconds for part, seconds in by_part.items()},
        "record_bytes": size,
        "store_bytes": (place / "results" / "mlflow.db").stat().st_size,
    }


def processor_seconds() -> Counter[Process]:
    """CPU seconds used up to now by the descendants of this process that are components."""
    commands: dict[int, str] = {}
    fields: dict[int, list[str]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            commands[int(folder.name)] = (folder / "cmdline").read_text(encoding="utf-8").replace("\0", " ")
            fields[int(folder.name)] = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    found: Counter[Process] = Counter()
    for number in _descendants({number: int(row[1]) for number, row in fields.items()}):
        part = next((part for part, text in PARTS.items() if text in commands[number]), None)
        if part is not None:
            row = fields[number]
            found[Process(part, number, int(row[19]))] = (int(row[11]) + int(row[12])) * TICK_S  # type: ignore[assignment]
    return found


def _descendants(parents: dict[int, int]) -> set[int]:
    """Descendants of this process, from the parent of every process."""
    found, new = set[int](), {os.getpid()}
    while new:
        new = {number for number, parent in parents.items() if parent in new}
        found |= new
    return found


if __name__ == "__main__":
    if shutil.which("ray") is None:
        os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    typer.run(main)
