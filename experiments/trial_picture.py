"""The picture of a finished trial: how it learned, how much its neurons fire, what it confuses."""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from experiments.records import Epoch
from ottt.evalreport import EvalReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 100
TOP1 = CURVES = (("train/top1", "#999999"), ("val/top1", "#0072b2"), ("test/top1", "#d55e00"))  # Okabe and Ito


def draw(epochs: Sequence[Epoch], report: EvalReport) -> bytes:
    """A PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 3.6))
    curves, rates, confusion = figure.subplots(1, 3)
    _curves(curves, epochs)
    _rates(rates, report)
    _confusion(confusion, report)
    figure.subplots_adjust(left=0.05, right=0.98, bottom=0.15, top=0.9, wspace=0.25)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=DPI)
    return file.getvalue()


def _curves(axes: "Axes", epochs: Sequence[Epoch]) -> None:
    from matplotlib.ticker import MaxNLocator

    for name, colour in CURVES:
        measured = [(epoch.epoch, 100 * epoch.metrics[name]) for epoch in epochs if name in epoch.metrics]
        if measured:
            axes.plot(*zip(*measured, strict=True), color=colour, label=name, marker="o" if len(measured) < 20 else "")
    axes.set(title="learning curve", xlabel="epoch", ylabel="top-1 accuracy, %")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower right")


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
