"""One training step of this package against spikingjelly's OTTT, an unfused version, and the bare convolutions.

    python -m benchmarks.train_step                     # the main cases: batch 32, T = 6
    python -m benchmarks.train_step --time-steps 1,2,4,6,12 --batches 8,32 --plot

All contestants of a case take turns in one process; times are medians over the rounds. Results are written to
benchmarks/results/.
"""

import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from benchmarks import contestants
from benchmarks.contestants import Case
from ottt.functional.precision import float32_products

RESULTS = Path(__file__).parent / "results"
LABELS = {
    "ours": "ours",
    "graph": "ours, as a CUDA graph",
    "unfused": "unfused",
    "jelly": "spikingjelly's OTTT",
    "original": "the original code",
    "floor": "bare convolutions",
}
CONTESTANTS = {name: getattr(contestants, name) for name in LABELS}
AT_HAND = ("original",) if contestants.ORIGINAL in os.environ else ()
CASES: dict[str, tuple[str, ...]] = {
    "vgg11_ws": ("ours", "graph", "jelly", *AT_HAND, "floor"),
    "vgg11f_ws": ("ours", "graph", "unfused", *AT_HAND),
    "nfresnet34": ("ours", "graph", "unfused"),
}
ON_GPUS = ("graph",)  # only there
AGREES = 1e-4  # largest relative difference of the loss and of any parameter's gradient from ours
AGREEMENT_STEPS, AGREEMENT_BATCH = 2, 4  # the more, the likelier that rounding decides whether a neuron fires
SIZES = {"nfresnet34": 64}  # pixels; others 32


def main(
    models: Annotated[str, typer.Option(help="Networks, separated by commas.")] = "vgg11_ws,vgg11f_ws,nfresnet34",
    precisions: str = "fp32,bf16",
    time_steps: str = "6",
    batches: str = "32",
    rounds: Annotated[int, typer.Option(help="Timed rounds per contestant, after one untimed.")] = 5,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cuda" if torch.cuda.is_available() else "cpu",
    plot: Annotated[bool, typer.Option("--plot", help="Also draw images per second against T.")] = False,
) -> None:
    """Measure and write a dated result file."""
    rows = []
    cells = product(models.split(","), precisions.split(","), time_steps.split(","), batches.split(","))
    for model, precision, steps, batch in cells:
        case = Case(model, precision, int(steps), int(batch), SIZES.get(model, 32), device)
        with float32_products(precision):
            rows.append(measure(case, rounds))
        print(_line(rows[-1]), flush=True)
    file = RESULTS / f"{date.today()}-train-step-{device}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"machine": machine(device), "rounds": rounds, "rows": rows}, indent=1) + "\n")
    print(f"wrote {file.relative_to(Path.cwd())}")
    if plot:
        _plot(rows, file.with_suffix(".png"))


def measure(case: Case, rounds: int) -> dict[str, Any]:
    """Median seconds per step of every contestant, taking turns; ratios are medians over the rounds."""
    found = _made(case)
    disagreements = _disagreements(replace(case, precision="fp32", time_steps=AGREEMENT_STEPS, batch=AGREEMENT_BATCH))
    steps = {name: one.step for name, one in found.items()}
    for step in steps.values():
        _seconds(step, case.device)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            times[name].append(_seconds(step, case.device))
    seconds = {name: statistics.median(values) for name, values in times.items()}
    flops = contestants.needed_flops(case)
    return {
        **vars(case),
        "disagreements": disagreements,
        "seconds": seconds,
        "all_seconds": times,
        "images_per_s": {name: case.batch / value for name, value in seconds.items()},
        "relative_to_ours": {
            name: statistics.median(b / a for a, b in zip(times["ours"], times[name], strict=True)) for name in seconds
        },
        "achieved_gflops": flops / seconds["ours"] / 1e9,
        "peak_mib": torch.cuda.max_memory_allocated() / 2**20 if case.device == "cuda" else None,
    }


def _disagreements(case: Case) -> dict[str, tuple[float, float]]:
    """By contestant, how far it is from ours; see `contestants.disagreement`.

    Raises:
        SystemExit: one of them computes something else.
    """
    torch.manual_seed(0)
    found = _made(case)
    others = {name: one for name, one in found.items() if name != "ours" and one.parameters}
    differences = {name: contestants.disagreement(found["ours"], one) for name, one in others.items()}
    for name, values in differences.items():
        if not max(values) <= AGREES:
            raise SystemExit(f"{case}: {name} computes something else: its loss and gradient differ by {values}")
    return differences


def _made(case: Case) -> dict[str, contestants.Contestant]:
    names = [name for name in CASES[case.model] if case.device == "cuda" or name not in ON_GPUS]
    return {name: CONTESTANTS[name](case) for name in names}


def machine(device: str) -> dict[str, Any]:
    """The machine and versions that the numbers depend on."""
    names = [line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else (names or [platform.processor()])[0],
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _seconds(step: Callable[[], object], device: str) -> float:
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _line(row: dict[str, Any]) -> str:
    head = f"{row['model']:<10} {row['precision']} T={row['time_steps']:<2} B={row['batch']:<3}"
    parts = [f"{name} {row['seconds'][name]:.3f} s ({row['relative_to_ours'][name]:.2f}x)" for name in row["seconds"]]
    return (
        f"{head}  {'  '.join(parts)}  {row['images_per_s']['ours']:.1f} images/s  {row['achieved_gflops']:.0f} GFLOP/s"
    )


def _plot(rows: list[dict[str, Any]], file: Path) -> None:
    from matplotlib.figure import Figure

    kinds = sorted({(row["model"], row["precision"], row["batch"]) for row in rows})
    figure = Figure(figsize=(4 * len(kinds), 3.2), layout="constrained")
    for axes, kind in zip(figure.subplots(1, len(kinds), squeeze=False, sharey=True)[0], kinds, strict=True):
        chosen = [row for row in rows if (row["model"], row["precision"], row["batch"]) == kind]
        steps = [row["time_steps"] for row in chosen]
        for name, marker in zip(chosen[0]["seconds"], "osv^", strict=False):
            axes.plot(steps, [row["images_per_s"][name] for row in chosen], marker=marker, label=LABELS[name])
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.set_xticks(steps, steps)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set(title=f"{kind[0]} {kind[1]}, batch {kind[2]}", xlabel="time steps T", ylabel="images per second")
        axes.label_outer()
        axes.legend(fontsize="small")
    figure.savefig(file, dpi=130)
    print(f"wrote {file.relative_to(Path.cwd())}")


if __name__ == "__main__":
    typer.run(main)
