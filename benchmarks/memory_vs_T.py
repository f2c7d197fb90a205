"""Peak memory of one training step against the number of time steps: constant for OTTT and SLTT, growing for BPTT.

    python -m benchmarks.memory_vs_T

VGG-11 with scaled weight standardisation on 32x32 images. Every measurement runs in its own process. On a CPU the peak
is the growth in resident memory over a process that has imported torch, its compiler and all contestants, with an
allocator that returns freed memory (otherwise fragmentation blurs the peak by 5 %); on a GPU it is the memory torch
allocated. `jelly` is spikingjelly's OTTT.

Writes benchmarks/results/DATE-memory-DEVICE.json and .png.
"""

import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from datetime import date
from importlib import import_module
from typing import Annotated, Any

import torch
import typer

from benchmarks import contestants
from benchmarks.contestants import Case
from benchmarks.train_step import RESULTS, machine

CONTESTANTS = ("ottt", "sltt", "bptt", "jelly")
LABELS = {"jelly": "spikingjelly's OTTT"}
MIB = 2**20
IMPORTED = (  # by some contestant, and not part of its step
    "torch._inductor.compile_fx",
    "spikingjelly.activation_based.learning.online_learning",
    "spikingjelly.activation_based.model.spiking_vggws_ottt",
)
GIVING_BACK = {"MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_ARENA_MAX": "1"}  # bytes; glibc


def main(
    time_steps: str = "2,6,12,24,48,64",
    batch: int = 32,
    precision: str = "fp32",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cuda" if torch.cuda.is_available() else "cpu",
    cell: Annotated[str, typer.Option(help="Measure only this contestant at one T and print MiB.")] = "",
) -> None:
    """Measure every contestant at every T and write a dated result file."""
    if cell:
        print(_peak_mib(cell, Case("vgg11_ws", precision, int(time_steps), batch, 32, device)))
        return
    steps = [int(text) for text in time_steps.split(",")]
    peaks: dict[str, list[float]] = {}
    for name in CONTESTANTS:
        peaks[name] = [_in_own_process(name, t, batch, precision, device) for t in steps]
        print(f"{name:<6}", "  ".join(f"T={t}: {mib:.0f} MiB" for t, mib in zip(steps, peaks[name], strict=True)))
    ratios = {name: values[steps.index(48)] / values[steps.index(6)] for name, values in peaks.items()}
    print("T=48 / T=6:", "  ".join(f"{name} {ratio:.3f}" for name, ratio in ratios.items()))
    record = {"machine": machine(device), "batch": batch, "precision": precision, "time_steps": steps, "mib": peaks}
    file = RESULTS / f"{date.today()}-memory-{device}.json"
    file.write_text(json.dumps(record, indent=1) + "\n")
    _plot(steps, peaks, str(file.with_suffix(".png")))
    print(f"wrote {file.name} and its plot")


def _in_own_process(name: str, t: int, batch: int, precision: str, device: str) -> float:
    options = ["--cell", name, "--time-steps", str(t), "--batch", str(batch), "--precision", precision]
    command = [sys.executable, "-m", "benchmarks.memory_vs_T", *options, "--device", device]
    environment = os.environ | GIVING_BACK
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout)


def _peak_mib(name: str, case: Case) -> float:
    """Peak memory of two training steps, in MiB."""
    for module in IMPORTED:
        import_module(module)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    step = contestants.jelly(case) if name == "jelly" else contestants.ours(replace(case, rule=name))
    for _ in range(2):
        step()
    if case.device == "cuda":
        return torch.cuda.max_memory_allocated() / MIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before


def _plot(steps: list[int], peaks: dict[str, list[float]], file: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes: Any = figure.subplots()
    for (name, values), marker in zip(peaks.items(), "osv^", strict=True):
        axes.plot(steps, values, marker=marker, label=LABELS.get(name, name.upper()))
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter("{x:.0f}")
    axes.set(xlabel="time steps T", ylabel="peak memory, MiB", title="One training step, VGG-11 sWS")
    axes.legend()
    figure.savefig(file, dpi=130)


if __name__ == "__main__":
    typer.run(main)
