"""Cost of running trials beyond training them.

    python -m benchmarks.sweep_overhead compare        # 48 short trials: ours, two ways to use Ray Tune, no runner
    python -m benchmarks.sweep_overhead many           # 1,000 trials of one epoch: does the cost grow?

The contestants of `compare` take turns on the same trials, in processes of their own, from command to prompt:

ours        `ottt sweep run`.
plain       a Ray Tune function trainable that uses the same `Trainer`, logging with Ray's MLflow callback: a process
            for each trial.
competent   a Ray Tune class trainable with `reuse_actors`, the same trainer and callback, no console output: what
            somebody writes who knows Tune well. It keeps no checkpoints, no evaluation and cannot be resumed.
bare        one process per core, each training its part in a loop; nothing is recorded.
floor       `ray.init()`, an actor that imports torch, `ray.shutdown()`: what starting and ending Ray costs alone.

Results are written to benchmarks/results/.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from experiments.planning.plan import expand
from experiments.results.trial_records import Record, TrialRecords
from experiments.sweep_spec.read import read_spec

CONTESTANTS = ("bare", "floor", "ours", "competent", "plain")
RATIOS = ("plain_to_ours", "competent_to_ours", "start_and_end_to_floor", "overhead_s_per_trial")
FLOOR = """\
import ray

class Actor:
    def __init__(self):
        import torch

    def is_ready(self):
        return True

ray.init(include_dashboard=False, log_to_driver=False)
ray.get(ray.remote(Actor).remote().is_ready.remote())
ray.shutdown()
"""
RESULTS = Path(__file__).parent / "results"
HUNDRED = 100
SAMPLE_S = 0.2  # between two samples of the driver's memory


@dataclass(frozen=True)
class Sample:
    """A sample of the driver's resource use.

    Attributes:
        time: seconds since 1970.
        cpu_s: CPU time used up to now, seconds.
        kib: resident memory; 0 once it has ended.
    """

    time: float
    cpu_s: float
    kib: float


app = typer.Typer(help=__doc__, rich_markup_mode=None)


def spec_text(trials: int, epochs: int) -> str:
    """A sweep of small digit trials."""
    return (
        f"name: overhead\nbase: {{T: 2, epochs: {epochs}, batch_size: 512, model.width: 0.25}}\n"
        f"axes: {{neuron.tau: [1.25, 2.0, 3.0, 4.0]}}\nseeds: {trials // 4}\n"
    )


@app.command()
def compare(
    trials: int = 48,
    epochs: int = 2,
    rounds: Annotated[int, typer.Option(help="Rounds per contestant.")] = 3,
) -> None:
    """Measure trials per minute for each way to run the same trials, and what ours spends beyond training."""
    rows = []
    for _ in range(rounds):
        seconds = {}
        for name in CONTESTANTS:
            seconds[name] = _contestant(name, trials, epochs)
            print(name, seconds[name], flush=True)
        slots = os.cpu_count() or 1
        row = {
            "plain_to_ours": seconds["plain"]["total"] / seconds["ours"]["total"],
            "competent_to_ours": seconds["competent"]["total"] / seconds["ours"]["total"],
            "start_and_end_to_floor": (seconds["ours"]["total"] - seconds["ours"]["steady"])
            / seconds["floor"]["total"],
            "overhead_s_per_trial": (seconds["ours"]["steady"] - seconds["bare"]["steady"]) * slots / trials,
        }
        rows.append({**row, "trials_per_minute": 60 * trials / seconds["ours"]["total"], "seconds": seconds})
        print(json.dumps(row), flush=True)
    medians = {name: statistics.median(row[name] for row in rows) for name in RATIOS}
    print(json.dumps(medians, indent=1))
    _write("compare", {"trials": trials, "epochs": epochs, "medians": medians, "rows": rows})


@app.command()
def many(trials: int = 1000) -> None:
    """Measure the cost per trial for the first and the last hundred of many, and the driver's memory per trial.

    The driver's CPU time separates its growth from that of other work on the machine.
    """
    with TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "overhead.yaml").write_text(spec_text(trials, 1), encoding="utf-8")
        began = time.perf_counter()
        samples = _watched(place)
        total = time.perf_counter() - began
        ends = sorted(record.ended or 0.0 for record in _records(place))
    moments = ends[0], ends[HUNDRED], ends[-1 - HUNDRED], ends[-1]
    start, early, late, end = (_at(samples, moment) for moment in moments)
    first, last = (moments[1] - moments[0]) / HUNDRED, (moments[3] - moments[2]) / HUNDRED
    row = {
        "trials": trials,
        "seconds": total,
        "s_per_trial_first_hundred": first,
        "s_per_trial_last_hundred": last,
        "last_to_first": last / first,
        "driver_cpu_s_per_trial_first_hundred": (early.cpu_s - start.cpu_s) / HUNDRED,
        "driver_cpu_s_per_trial_last_hundred": (end.cpu_s - late.cpu_s) / HUNDRED,
        "driver_cpu_last_to_first": (end.cpu_s - late.cpu_s) / (early.cpu_s - start.cpu_s),
        "driver_mib_after_hundred": early.kib / 1024,
        "driver_mib_at_end": end.kib / 1024,
        "driver_kib_per_trial": (end.kib - early.kib) / (trials - HUNDRED),
    }
    print(json.dumps(row, indent=1))
    _write("many", row)


@app.command(hidden=True)
def bare(specfile: Path, part: int, parts: int) -> None:
    """Train every `parts`-th trial; prints when the first started and the last ended."""
    import torch

    from ottt.training.trainer import Trainer

    torch.set_num_threads(1)
    began = time.time()
    for trial in expand(read_spec(specfile)).trials[part::parts]:
        trainer = Trainer(trial.config)
        while not trainer.done:
            trainer.train_epoch()
    print(json.dumps([began, time.time()]))


@app.command(hidden=True)
def plain(specfile: Path, store: str) -> None:
    """Run plain Ray Tune; prints when it started and the last trial ended."""
    from ray import tune

    def train(config: dict[str, Any]) -> None:
        import torch

        from ottt.config.load import load_config
        from ottt.training.trainer import Trainer

        torch.set_num_threads(1)
        trainer = Trainer(load_config(config))
        while not trainer.done:
            tune.report(trainer.train_epoch())

    _tune(lambda config: train(config["settings"]), specfile, store, reuse=False)


@app.command(hidden=True)
def competent(specfile: Path, store: str) -> None:
    """Run Ray Tune as somebody does who knows it well; prints when it started and the last trial ended."""
    from ray import tune

    class Trainable(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            import torch

            from ottt.config.load import load_config
            from ottt.training.trainer import Trainer

            torch.set_num_threads(1)
            self.trainer = Trainer(load_config(config["settings"]))

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.setup(new_config)
            return True

        def step(self) -> dict[str, Any]:
            return self.trainer.train_epoch() | {"done": self.trainer.done}

    _tune(Trainable, specfile, store, reuse=True)


def _tune(trainable: Any, specfile: Path, store: str, *, reuse: bool) -> None:
    import ray
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    ray.init(include_dashboard=False, log_to_driver=False)
    configs = [trial.config.flat() for trial in expand(read_spec(specfile)).trials]
    began = time.time()
    results = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={"settings": tune.grid_search(configs)},
        tune_config=tune.TuneConfig(reuse_actors=reuse),
        run_config=tune.RunConfig(
            storage_path=str(specfile.parent / "tune"),
            callbacks=[MLflowLoggerCallback(tracking_uri=store, experiment_name="tune")],
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    ).fit()
    assert not results.errors, results.errors[0]
    print(json.dumps([began, time.time()]))


def _contestant(name: str, trials: int, epochs: int) -> dict[str, float]:
    """Seconds in total, from the start of its process, and from the first trial's start to the last one's end."""
    with TemporaryDirectory() as folder:
        place = Path(folder)
        spec = place / "overhead.yaml"
        spec.write_text(spec_text(trials, epochs), encoding="utf-8")
        began = time.perf_counter()
        if name == "ours":
            subprocess.run(_command(), cwd=place, env=_environment(), check=True, capture_output=True)
            records = _records(place)
            spans = [(min(r.started for r in records), max(r.ended or 0.0 for r in records))]
        elif name in ("plain", "competent"):
            spans = [_child([name, str(spec), f"sqlite:///{place / 'tune.db'}"], place)]
        elif name == "floor":
            subprocess.run(
                [sys.executable, "-c", FLOOR], cwd=place, env=_environment(), check=True, capture_output=True
            )
            spans = [(0.0, 0.0)]
        else:
            parts = os.cpu_count() or 1
            with ThreadPoolExecutor(parts) as pool:
                jobs = [["bare", str(spec), str(part), str(parts)] for part in range(parts)]
                spans = list(pool.map(lambda job: _child(job, place), jobs))
        total = time.perf_counter() - began
    return {"total": total, "steady": max(end for _, end in spans) - min(start for start, _ in spans)}


def _child(arguments: list[str], folder: Path) -> tuple[float, float]:
    command = [sys.executable, "-m", "benchmarks.sweep_overhead", *arguments]
    done = subprocess.run(command, cwd=folder, env=_environment(), stdout=subprocess.PIPE, text=True, check=True)
    start, end = json.loads(done.stdout.splitlines()[-1])
    return start, end


def _command() -> list[str]:
    return [sys.executable, "-m", "experiments.cli", "sweep", "run", "overhead.yaml"]


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "RAY_USAGE_STATS_ENABLED": "0"}


def _records(place: Path) -> list[Record]:
    records = TrialRecords(place / "results" / "trials")
    return [record for path in records.folder.iterdir() if (record := records.read(path.name)) is not None]


def _watched(place: Path) -> list[Sample]:
    """Samples of the driver over a whole sweep."""
    samples = []
    driver = subprocess.Popen(_command(), cwd=place, env=_environment(), stdout=subprocess.DEVNULL)
    try:
        while driver.poll() is None:
            samples.append(_sample(driver.pid))
            time.sleep(SAMPLE_S)
    finally:
        driver.kill()
    assert driver.returncode == 0, driver.returncode
    return samples


def _sample(pid: int) -> Sample:
    folder = Path(f"/proc/{pid}")
    fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    lines = (folder / "status").read_text(encoding="utf-8").splitlines()
    kib = next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)
    return Sample(time.time(), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), kib)


def _at(samples: list[Sample], moment: float) -> Sample:
    """The driver at `moment`; memory is the median of ten samples, since a single one can catch a peak."""
    before = [sample for sample in samples if sample.time <= moment and sample.kib][-10:]
    return replace(before[-1], kib=statistics.median(sample.kib for sample in before))


def _write(name: str, result: dict[str, Any]) -> None:
    versions = {package: version(package) for package in ("torch", "ray", "mlflow")}
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load_at_end": os.getloadavg()[0],  # including other work
        **versions,
    }
    file = RESULTS / f"{date.today()}-sweep-overhead-{name}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"machine": machine, **result}, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {file}")


if __name__ == "__main__":
    app()
