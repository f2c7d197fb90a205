"""What a cluster's parts pay per trial, by their processor time, which other work on the machine changes little.

    python -m benchmarks.cluster_cost                  # 1,000 short trials, 8 at once on logical GPUs

It counts every Ray process that it sees; beside another Ray put `unshare --pid --fork --mount-proc` in front.

One Ray node with eight logical GPUs runs trials that train for a fraction of a second, so that what is not training
shows. The results go to benchmarks/results/.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections import Counter
from datetime import date
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from experiments.records import TrialRecords

RESULTS = Path(__file__).parent / "results"
GPUS = 8
LOOK_S = 1.0  # between two looks at the processes
TICK_S = 1 / os.sysconf("SC_CLK_TCK")

# Processes by what their command line contains.
PARTS = {"driver": "experiments.cli", "gcs": "gcs_server", "raylet": "raylet/raylet", "workers": "ray::"}


def main(trials: Annotated[int, typer.Option(help="To run; a multiple of 4.")] = 1000) -> None:
    """Processor seconds, bytes of records and of the store, per trial."""
    with TemporaryDirectory() as folder:
        result = measure(Path(folder), trials)
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    versions = {package: version(package) for package in ("torch", "ray", "mlflow")}
    text = json.dumps({"machine": machine | versions, **result}, indent=1)
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{date.today()}-cluster-cost.json"
    file.write_text(text + "\n", encoding="utf-8")
    print(text)
    print(f"wrote {file}")


def measure(place: Path, trials: int) -> dict[str, object]:
    """Run the sweep in `place` on a node of its own, and look at the processes meanwhile."""
    from ray.cluster_utils import Cluster

    base = "{T: 1, epochs: 1, batch_size: 512, model.width: 0.25, device: cpu}"
    (place / "cost.yaml").write_text(
        f"name: cost\nbase: {base}\naxes: {{neuron.tau: [1.25, 2.0, 3.0, 4.0]}}\nseeds: {trials // 4}\n"
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
        spent: Counter[tuple[str, int]] = Counter()
        while driver.poll() is None:
            spent |= processor_seconds()
            time.sleep(LOOK_S)
        wall = time.perf_counter() - began
        assert driver.returncode == 0, driver.returncode
    finally:
        node.shutdown()
    return {"trials": trials, "at_once": GPUS, "seconds": wall, **summary(place, trials, spent)}


def summary(place: Path, trials: int, spent: Counter[tuple[str, int]]) -> dict[str, object]:
    """Per trial: processor seconds of each part, and bytes on disk."""
    by_part: Counter[str] = Counter()
    for (part, _), seconds in spent.items():
        by_part[part] += seconds
    records = TrialRecords(place / "results" / "trials")
    found = [record for path in records.folder.iterdir() if (record := records.read(path.name)) is not None]
    ends = sorted(record.ended or 0.0 for record in found)
    size = sum(path.stat().st_size for path in records.folder.rglob("*") if path.is_file())
    return {
        "s_between_ends": (ends[-1] - ends[GPUS]) / (len(ends) - GPUS),
        "processor_s_per_trial": {part: seconds / trials for part, seconds in sorted(by_part.items())},
        "record_bytes_per_trial": size / trials,
        "store_bytes_per_trial": (place / "results" / "mlflow.db").stat().st_size / trials,
    }


def processor_seconds() -> Counter[tuple[str, int]]:
    """By part and process, of this node's processes so far."""
    found: Counter[tuple[str, int]] = Counter()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_text(encoding="utf-8").replace("\0", " ")
            fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        for part, text in PARTS.items():
            if text in command:
                found[part, int(folder.name)] = (int(fields[11]) + int(fields[12])) * TICK_S  # type: ignore[assignment]
                break
    return found


if __name__ == "__main__":
    if shutil.which("ray") is None:
        os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    typer.run(main)
