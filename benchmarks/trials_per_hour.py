"""Trials per hour of one device: one trial at a time, several processes that share it, and several as one network.

    python -m benchmarks.trials_per_hour                       # small and vgg11_ws, n = 4
    python -m benchmarks.trials_per_hour --models vgg11_ws --together 1,2,4,8 --precisions bf16

Ways to train n trials, which take turns in every round; each runs for `--seconds`:

`alone`      this package, one trial after the other.
`processes`  this package, n processes at once, each with 1/n of a GPU's memory, or one thread of a CPU.
`fused`      this package, n trials as one network (`ottt.models.fused`).
`graph`      this package, one trial after the other, each batch one CUDA graph (`cuda_graph`); only on a GPU.
`fused_graph`  both; only on a GPU.
`jelly`      spikingjelly's OTTT, one trial after the other; only `vgg11_ws`.

A trial is taken for training IMAGES_PER_TRIAL images; evaluations are left out. Results are written to
benchmarks/results/.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

import ottt
from benchmarks import contestants
from benchmarks.contestants import Case
from benchmarks.train_step import RESULTS, machine
from ottt.functional.kernels import compiled
from ottt.functional.precision import float32_products
from ottt.models.fused import FusedNetwork

IMAGES_PER_TRIAL = 10 * 50_000  # ten epochs of CIFAR-10
WARM_UP = 2  # steps
LABELS = {
    "alone": "one at a time",
    "processes": "n processes",
    "fused": "fused",
    "graph": "one at a time, as a graph",
    "fused_graph": "fused, as a graph",
    "jelly": "spikingjelly, one at a time",
}


def main(
    models: Annotated[str, typer.Option(help="Networks, separated by commas.")] = "small,vgg11_ws",
    precisions: str = "fp32",
    together: Annotated[str, typer.Option(help="Numbers of trials n, separated by commas.")] = "4",
    batch: int = 32,
    time_steps: int = 6,
    rounds: int = 3,
    seconds: Annotated[float, typer.Option(help="Time of each way in each round.")] = 20.0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cuda" if torch.cuda.is_available() else "cpu",
) -> None:
    """Measure and write a dated result file with a plot."""
    rows = []
    for model, precision, n in product(models.split(","), precisions.split(","), map(int, together.split(","))):
        case = Case(model, precision, time_steps, batch, 32, device)
        rows.append(measure(case, n, rounds=rounds, seconds=seconds))
        print(_line(rows[-1]), flush=True)
    file = RESULTS / f"{date.today()}-trials-per-hour-{device}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"machine": machine(device), "rounds": rounds, "rows": rows}, indent=1) + "\n")
    print(f"wrote {file.relative_to(Path.cwd())}")
    _plot(rows, file.with_suffix(".png"))


def measure(case: Case, n: int, *, rounds: int, seconds: float) -> dict[str, Any]:
    """Trials per hour of each way: all rounds, and their median."""
    ways: dict[str, Callable[[], float]] = {
        "alone": lambda: images_per_s(case, contestants.ours(case).step, case.batch, seconds),
        "processes": lambda: of_processes(case, n, seconds),
        "fused": lambda: images_per_s(case, fused(case, n), n * case.batch, seconds),
    }
    if case.device == "cuda":
        ways["graph"] = lambda: images_per_s(case, contestants.graph(case).step, case.batch, seconds)
        ways["fused_graph"] = lambda: images_per_s(case, fused(case, n, graph=True), n * case.batch, seconds)
    if case.model == "vgg11_ws":
        ways["jelly"] = lambda: images_per_s(case, contestants.jelly(case).step, case.batch, seconds)
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            with float32_products(case.precision):  # also where a graph is captured
                found[name].append(3600 * way() / IMAGES_PER_TRIAL)
    medians = {name: statistics.median(values) for name, values in found.items()}
    return {**vars(case), "n": n, "trials_per_hour": medians, "all_trials_per_hour": found}


def fused(case: Case, n: int, *, graph: bool = False) -> Callable[[], object]:
    """A training step of n trials of other seeds as one network, and that as one CUDA graph."""
    configs = [case.config.replace({"seed": seed}) for seed in range(n)]
    nets = [
        ottt.build_model(config, data=case.data).to(case.device, memory_format=torch.channels_last)
        for config in configs
    ]
    optimizer = torch.optim.SGD([p for net in nets for p in net.parameters()], lr=0.01, momentum=0.9)
    rule = ottt.build_rule(case.config, kernels=compiled(torch.device(case.device)))
    images, labels = case.inputs()
    images = torch.cat([images] * n, -3).contiguous(memory_format=torch.channels_last)
    labels, net = torch.stack([labels] * n), FusedNetwork(nets)
    if graph:
        return contestants.replayed(
            lambda *batch: rule.train_batch(net, optimizer, *batch), [optimizer], images, labels
        )
    return lambda: rule.train_batch(net, optimizer, images, labels)


def images_per_s(case: Case, step: Callable[[], object], images: int, seconds: float) -> float:
    """Of steps that train so many images each, for so long; the device is done with all of them."""
    with float32_products(case.precision):
        for _ in range(WARM_UP):
            step()
        _wait(case.device)
        began, steps = time.perf_counter(), 0
        while (took := time.perf_counter() - began) < seconds:
            step()
            _wait(case.device)
            steps += 1
    return steps * images / took


def of_processes(case: Case, n: int, seconds: float) -> float:
    """Images per second of n processes together, which begin when all of them are ready."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.trials_per_hour",
        "child",
        json.dumps(vars(case)),
        str(n),
        str(seconds),
    ]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(n)]
    try:
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()
        return sum(float(child.communicate("\n")[0]) for child in children)
    finally:
        for child in children:
            child.kill()
            child.wait()


def child(settings: str, n: int, seconds: float) -> None:
    """One of the processes: say that it is ready, wait for a line, train, print its images per second."""
    case = Case(**json.loads(settings))
    torch.set_num_threads(1)
    if case.device == "cuda":
        torch.cuda.set_per_process_memory_fraction(1 / n)
    step = contestants.ours(case).step
    with float32_products(case.precision):
        step()
    _wait(case.device)
    print("ready", flush=True)
    sys.stdin.readline()
    print(images_per_s(case, step, case.batch, seconds))


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _line(row: dict[str, Any]) -> str:
    parts = [f"{name} {value:.3g}" for name, value in row["trials_per_hour"].items()]
    return f"{row['model']:<10} {row['precision']} n={row['n']}  trials per hour: {'  '.join(parts)}"


def _plot(rows: list[dict[str, Any]], file: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * len(rows), 3.4), layout="constrained")
    for axes, row in zip(figure.subplots(1, len(rows), squeeze=False)[0], rows, strict=True):
        names = list(row["trials_per_hour"])
        bars = axes.bar(range(len(names)), [row["trials_per_hour"][name] for name in names], color="#4c72b0")
        axes.bar_label(bars, fmt="%.3g", fontsize="small")
        axes.set_xticks(range(len(names)), [LABELS[name].replace(", ", ",\n") for name in names], fontsize="small")
        axes.set(title=f"{row['model']} {row['precision']}, n = {row['n']}", ylabel="trials per hour")
        axes.tick_params(axis="x", rotation=30)
    figure.savefig(file, dpi=130)
    print(f"wrote {file.relative_to(Path.cwd())}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    else:
        typer.run(main)
