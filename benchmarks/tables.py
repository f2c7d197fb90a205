"""Time of `ottt compare` and `ottt report` for 1,000 trials of 100 epochs in SQLite.

python -m benchmarks.tables
"""

import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.analysis.synthetic import SyntheticSweep, write

REPEATS = 3
TAUS = [1.1, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0, 16.0]
AXES = {
    "rule.update": ["accumulate", "online"],
    "neuron.tau": TAUS,
    "optim.lr": [0.01, 0.02, 0.05, 0.1, 0.2],
    "T": [4, 6],
}
BASELINE = {"rule.update": "accumulate", "neuron.tau": 2.0, "optim.lr": 0.1, "T": 6}
LIMITS = {"compare": 5, "compare --rule best-val": None, "report": 30}  # s


def main() -> None:
    """Print the times, each the fastest of REPEATS fresh processes."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("mlflow", "pandas", "numpy"))
    print(f"{os.cpu_count()} x {platform.machine()}, python {platform.python_version()}, {packages}")
    with TemporaryDirectory() as name:
        folder = Path(name)
        write(SyntheticSweep("grid", AXES, seeds=5, epochs=100, baseline=BASELINE), folder)
        search = {"optim.lr": [round(0.001 * 1.007**k, 8) for k in range(1000)]}
        write(SyntheticSweep("search", search, seeds=1, epochs=100), folder)
        print(
            f"store: {(folder / 'mlflow.db').stat().st_size / 2**20:.0f} MiB, two sweeps of 1,000 trials x 100 epochs"
        )
        for sweep in ("grid", "search"):
            for command, limit in LIMITS.items():
                took = min(_seconds(command, sweep, folder) for _ in range(REPEATS))
                goal = "" if limit is None else f" (goal: {limit} s)"
                print(f"{sweep:6} {command:24} {took:5.1f} s{goal}")
            size = (folder / f"{sweep}.html").stat().st_size / 2**20
            print(f"{sweep:6} page {size:24.1f} MiB (goal: 15 MiB)")


def _seconds(command: str, sweep: str, folder: Path) -> float:
    name, *options = command.split()
    output = ["-o", str(folder / f"{sweep}.html")] if name == "report" else []
    arguments = [sys.executable, "-m", "experiments.cli", name, sweep, *options, *output, "--results", str(folder)]
    started = time.perf_counter()
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
