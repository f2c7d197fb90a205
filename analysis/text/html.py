"""A table as HTML that brings its style along and takes its colours from where it is shown. Standard library only."""

from collections.abc import Iterable, Sequence
from html import escape

_TABLE = "border-collapse:collapse;font-variant-numeric:tabular-nums;color:inherit;background:none"
_LINE = "1px solid #8888"  # grey, half transparent: seen on white and on black
_CELL = "padding:.3em .6em"
_NOTES = "padding-left:1.1em;max-width:60em;font-size:.9em"


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[tuple[str, bool]]],
    *,
    numeric: Sequence[bool],
    notes: Iterable[str],
) -> str:
    """A `<table>` with its notes as a list below. Texts are escaped.

    Args:
        headings: one per column.
        rows: cells, each with whether it is bold.
        numeric: by column whether it is aligned right.
        notes: sentences.
    """
    aligned = [_aligned(is_number) for is_number in numeric]
    head = "".join(f'<th scope="col"{how}>{escape(text)}</th>' for how, text in zip(aligned, headings, strict=True))
    lines = [
        f'<table style="{_TABLE}">',
        f'<thead style="border-bottom:{_LINE}"><tr>{head}</tr></thead>',
        '<tbody style="vertical-align:top">',
    ]
    for row in rows:
        texts = (f"<strong>{escape(cell)}</strong>" if bold else escape(cell) for cell, bold in row)
        cells = "".join(f"<td{how}>{text}</td>" for how, text in zip(aligned, texts, strict=True))
        lines.append(f"<tr>{cells}</tr>")
    listed = [f"<li>{escape(note)}</li>" for note in notes]
    below = [f'<ul style="{_NOTES}">', *listed, "</ul>"] if listed else []
    return "\n".join([*lines, "</tbody>", "</table>", *below]) + "\n"


def _aligned(is_number: bool) -> str:
    kind = ' class="number"' if is_number else ""
    return f'{kind} style="{_CELL};text-align:{"right;white-space:nowrap" if is_number else "left"}"'
