"""Plots of an evaluation. Each function returns a figure; none opens a window."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ottt.evalreport import EvalReport

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE = "#0072b2", "#d55e00"  # from the colour-blind safe palette of Okabe and Ito


def rates(report: EvalReport) -> "Figure":
    """Firing rate of every layer of neurons, and of all neurons."""
    figure = _figure(width=max(4.0, 0.45 * len(report.rates) + 2))
    axes = figure.subplots()
    places = np.arange(len(report.rates))
    axes.bar(places, report.rates, color=BLUE)
    axes.axhline(report.total_rate, color=ORANGE, linestyle="--", label=f"all neurons: {report.total_rate:.3f}")
    axes.set(xlabel="layer of neurons", ylabel="spikes per neuron and time step", ylim=(0, None))
    axes.set_xticks(places[:: 1 + len(places) // 20])
    axes.legend()
    return figure


def accuracy_against_time(report: EvalReport) -> "Figure":
    """Top-1 accuracy over the number of time steps at inference; the number in training is marked."""
    figure = _figure()
    axes = figure.subplots()
    steps = list(report.top1_at)
    axes.plot(steps, [100 * top1 for top1 in report.top1_at.values()], marker="o", color=BLUE)
    axes.plot(report.time_steps, 100 * report.top1, "o", color=ORANGE, label=f"T = {report.time_steps}")
    axes.set(xlabel="time steps at inference", ylabel="top-1 accuracy, %", xticks=steps)
    axes.legend()
    return figure


def confusion(report: EvalReport) -> "Figure":
    """Confusion matrix in percent of each true class, with numbers in the cells for up to 20 classes."""
    counts = np.array(report.confusion, dtype=float)
    classes = len(counts)
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 1.5 + 0.45 * min(classes, 20)
    figure = _figure(width=side + 1, height=side)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    axes.set(xlabel="predicted class", ylabel="true class")
    figure.colorbar(image, label="% of the true class", fraction=0.046)
    if classes <= 20:
        axes.set(xticks=range(classes), yticks=range(classes))
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if shares[row, column] > 50 else "black"
            axes.text(column, row, f"{shares[row, column]:.0f}", ha="center", va="center", color=colour, fontsize=7)
    return figure


def save(report: EvalReport, folder: Path) -> list[Path]:
    """Write the plots that `report` has data for into `folder` as PNG, and return the files."""
    plots = {"rates": rates, "confusion": confusion}
    if len(report.top1_at) > 1:
        plots["accuracy_against_time"] = accuracy_against_time
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, plot in plots.items():
        files.append(folder / f"{name}.png")
        plot(report).savefig(files[-1], dpi=150)
    return files


def _figure(*, width: float = 5.0, height: float = 3.2) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")
