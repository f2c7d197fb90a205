"""Results as tables in notebooks."""

from analysis.text import html
from analysis.text.columns import Result, columns, printable


class InNotebooks:
    """A result that a notebook shows as its table with footnotes, as in the report."""

    def _repr_html_(self: Result) -> str:
        return as_html(self)


def as_html(result: Result) -> str:
    """A `<table>` with its footnotes as a list, legible on light and dark pages."""
    shown = columns(result, detailed=True)
    rows = (
        [(printable(column.cells[row]), column.bold == row) for column in shown] for row in range(len(shown[0].cells))
    )
    return html.table(
        [printable(column.header) for column in shown],
        rows,
        numeric=[column.numeric for column in shown],
        notes=map(printable, result.notes),
    )
