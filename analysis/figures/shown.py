"""A matplotlib figure that notebooks show."""

from io import BytesIO

from matplotlib.figure import Figure

_DPI = 110  # of a screen


class ShownFigure(Figure):
    """A figure that a notebook shows as the value of a cell, although pyplot does not know it."""

    def _repr_png_(self) -> bytes:
        file = BytesIO()
        self.savefig(file, format="png", dpi=_DPI)
        return file.getvalue()
