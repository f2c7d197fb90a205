"""The style of all figures: colours that colour-blind readers can tell apart, font sizes for a paper's column.

The page of a report has the same colours, and others for dark paper.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The first, for the baseline, is the colour of text. Any two are at least 14 apart in Oklab (in hundredths), for normal
# sight as well as protanopia and deuteranopia, and all have a contrast of at least 3 to the paper.
COLOURS = ("#1B1F24", "#003BE1", "#9F3A00", "#04A39E", "#8D1A8A", "#CC8200", "#7583FF")
DARK_COLOURS = ("#E7EAEE", "#1670FB", "#BC8206", "#61D785", "#B068A1", "#FDF923", "#86B5F4")  # on dark paper
ACCENT = COLOURS[1]  # of figures with one series
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
REST = "#A9B0B8"  # lines in the background
DARK_REST = "#59626D"

# Viridis (perceptually uniform, monotonic in lightness for colour-blind readers too), low to high, evenly spaced: the
# part up to 0.6 on light paper and from 0.35 on dark paper, where lines have a contrast of 3 and more.
MAP = (
    *("#440154", "#471365", "#482475", "#463480", "#414487", "#3b518b", "#355f8d"),
    *("#2f6c8e", "#2a788e", "#25848e", "#21908d", "#1e9c89", "#22a884"),
)
DARK_MAP = (
    *("#2f6c8e", "#29798e", "#24868e", "#20938c", "#1fa188", "#26ad81", "#38b977"),
    *("#52c569", "#70cf57", "#93d741", "#b8de29", "#dde318", "#fde725"),
)

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


def luminance(colour: str) -> float:
    """Relative luminance of a colour `#rrggbb` in [0, 1], as the Web Content Accessibility Guidelines 2.2 define it."""
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in shares]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ink_on(colour: str) -> str:
    """Black or white, whichever has the higher contrast to `colour`: at least 4.5."""
    return "#000000" if (luminance(colour) + 0.05) ** 2 > 0.05 * 1.05 else "#ffffff"


@styled()
def save(figure: "Figure", stem: Path) -> tuple[Path, Path]:
    """Write `figure` as `<stem>.pdf` and `<stem>.png`; the folder is created."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    vector, pixels = stem.with_name(f"{stem.name}.pdf"), stem.with_name(f"{stem.name}.png")
    figure.savefig(vector, metadata={"CreationDate": None})
    figure.savefig(pixels, dpi=DPI)
    return vector, pixels
