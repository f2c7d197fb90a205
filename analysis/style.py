"""The style of all figures: colours that colour-blind readers can tell apart, font sizes for a paper's column."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito, Color Universal Design, 2008, without the yellow, which is too pale for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
REST = "#B8B8B8"  # lines in the background
MAP = "cividis"  # colour map: perceptually uniform, nearly the same for colour-blind readers

WIDTH = 5.5  # inches, a text column
DPI = 200  # PNG files

_RC: dict[Any, Any] = {
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
}


@contextmanager
def styled() -> Iterator[None]:
    """Context manager and decorator: draw in this style, then restore matplotlib's settings."""
    import matplotlib

    with matplotlib.rc_context(_RC):
        yield


def looks(count: int) -> Iterator[tuple[str, str]]:
    """Colour and marker for each of `count` series; from the eighth on, colours repeat with other markers."""
    colours = islice(cycle(COLOURS), count)
    markers = (MARKERS[(index + index // len(COLOURS)) % len(MARKERS)] for index in range(count))
    return zip(colours, markers, strict=True)


@styled()
def save(figure: "Figure", stem: Path) -> tuple[Path, Path]:
    """Write `figure` as `<stem>.pdf` and `<stem>.png`; the folder is created."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    vector, pixels = stem.with_name(f"{stem.name}.pdf"), stem.with_name(f"{stem.name}.png")
    figure.savefig(vector, metadata={"CreationDate": None})
    figure.savefig(pixels, dpi=DPI)
    return vector, pixels
