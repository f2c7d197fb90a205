"""The plot of a trial that has ended: learning curves, firing rates, confusion matrix."""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from experiments.results.trial_records import Epoch
from ottt.evalreport import EvalReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 100
PARTS = (("train", "#999999"), ("val", "#0072b2"), ("test", "#d55e00"))  # Okabe and Ito


def draw(epochs: Sequence[Epoch], report: EvalReport | None) -> bytes:
    """Draw a PNG; without a report, as of a diverged or stopped trial, of accuracy and loss only."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 3.6) if report is not None else (9, 3.6))
    if report is not None:
        curves, rates, confusion = figure.subplots(1, 3)
        _curves(curves, epochs)
        _rates(rates, report)
        _confusion(confusion, report)
        figure.subplots_adjust(left=0.05, right=0.98, bottom=0.15, top=0.9, wspace=0.25)
    else:
        curves, losses = figure.subplots(1, 2)
        _curves(curves, epochs)
        _losses(losses, epochs)
        figure.subplots_adjust(left=0.07, right=0.98, bottom=0.15, top=0.9, wspace=0.2)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=DPI)
    return file.getvalue()


def _curves(axes: "Axes", epochs: Sequence[Epoch]) -> None:
    _lines(axes, epochs, "top1", factor=100)
    axes.set(title="learning curve", ylabel="top-1 accuracy, %")


def _losses(axes: "Axes", epochs: Sequence[Epoch]) -> None:
    _lines(axes, epochs, "loss")
    axes.set(title="loss", ylabel="loss, nat", yscale="log")


def _lines(axes: "Axes", epochs: Sequence[Epoch], kind: str, *, factor: float = 1) -> None:
    """Plot the metrics of this kind, for every part of the data, times `factor`."""
    from matplotlib.ticker import MaxNLocator

    for part, colour in PARTS:
        name = f"{part}/{kind}"
        measured = [(epoch.epoch, factor * epoch.metrics[name]) for epoch in epochs if name in epoch.metrics]
        if measured:
            axes.plot(*zip(*measured, strict=True), color=colour, label=name, marker="o" if len(measured) < 20 else "")
    axes.set(xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.lines:
        axes.legend()


def _rates(axes: "Axes", report: EvalReport) -> None:
    places = range(len(report.rates))
    axes.bar(places, report.rates, color="#0072b2")
    axes.axhline(report.total_rate, color="#d55e00", linestyle="--", label=f"all neurons: {report.total_rate:.3f}")
    axes.set(title="firing rates on test data", xlabel="layer of neurons", ylabel="spikes per neuron and time step")
    axes.set(xticks=places[:: 1 + len(places) // 12], ylim=(0, 1.25 * max(report.rates, default=1.0) or 1.0))
    axes.legend(loc="upper right")


def _confusion(axes: "Axes", report: EvalReport) -> None:
    shares = [[100 * count / max(1, sum(row)) for count in row] for row in report.confusion]
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    axes.set(title=f"confusion, top-1 {100 * report.top1:.1f}%", xlabel="predicted class", ylabel="true class")
    axes.figure.colorbar(image, ax=axes, label="% of the true class")
