"""Renders results as text: for terminals, as Markdown, LaTeX, HTML, CSV and JSON."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from io import StringIO
from json import dumps
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.text.columns import Result, TextColumn, columns, printable
from analysis.text.notebook import as_html
from ottt.schema import Metric

_NO_LIMIT = 10_000  # characters per line, more than any table has
_GAP = 2  # characters between columns
_MARKDOWN_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&$])")
_LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    **{char: f"\\{char}" for char in "&%$#_{}"},
}
_DASH = re.compile(r"-(?=-)")
_MINUS = re.compile(r"(?<![\w.])-(?=\d)")


def text(result: Result, *, width: int | None = None, colour: bool = False) -> str:
    """An aligned table with its footnotes, for terminals.

    Args:
        result: result to show.
        width: characters per line, None for no limit. A wider table loses dispensable columns, listed in a line below
            it; the others are never cut or broken, even if the table is still wider.
        colour: whether to use ANSI escape codes; the best mean is then bold.
    """
    available = columns(result, detailed=False)
    shown = available if width is None else _columns_that_fit(available, width)
    hidden = ", ".join(column.header for column in available if column not in shown)
    output = StringIO()
    console = Console(
        file=output,
        width=_NO_LIMIT if width is None else max(width, _least_width(shown)),
        force_terminal=colour,
        color_system="standard" if colour else None,
        legacy_windows=False,
    )
    console.print(_table(shown), "", sep="\n")
    for note in (*result.notes, *([f"Not shown for lack of width: {hidden}."] if hidden else [])):
        console.print(Text(printable(note)))
    return "\n".join(line.rstrip() for line in output.getvalue().splitlines()) + "\n"


def markdown(result: Result) -> str:
    """A table in GitHub's Markdown, the best mean bold, with its footnotes as a list."""
    shown = columns(result, detailed=True)
    lines = [
        _markdown_row(_escaped(column.header) for column in shown),
        _markdown_row("---:" if column.numeric else ":---" for column in shown),
    ]
    for row in _rows(shown):
        cells = ((_escaped(cell), bold) for cell, bold in row)
        lines.append(_markdown_row(f"**{cell}**" if bold else cell for cell, bold in cells))
    notes = [f"- {_escaped(note)}" for note in result.notes]
    return "\n".join([*lines, "", *notes]) + "\n"


def latex(result: Result, *, caption: str | None = None, label: str | None = None) -> str:
    """A `tabular` for the booktabs package, the best mean bold, with its footnotes as a paragraph below.

    Compiles with pdfLaTeX, XeLaTeX and LuaLaTeX; special characters in names are escaped.

    Args:
        result: result to show.
        caption: text above the table, escaped like names; with it all of this is a floating `table`.
        label: name for LaTeX's `\\ref`; it needs a caption.
    """
    shown = columns(result, detailed=True)
    lines = [
        f"\\begin{{tabular}}{{{''.join('r' if column.numeric else 'l' for column in shown)}}}",
        r"\toprule",
        _latex_row(_in_latex(column.header) for column in shown),
        r"\midrule",
    ]
    for row in _rows(shown):
        cells = ((_in_latex(cell), bold) for cell, bold in row)
        lines.append(_latex_row(rf"\textbf{{{cell}}}" if bold else cell for cell, bold in cells))
    notes = [_in_latex(note) for note in result.notes]
    end = [r"\bottomrule", r"\end{tabular}", "", r"{\par\smallskip\footnotesize", *notes, r"\par}"]
    return "\n".join(_floating([*lines, *end], caption, label)) + "\n"


def _floating(lines: list[str], caption: str | None, label: str | None) -> list[str]:
    """The lines as a `table` with this caption; without one unchanged."""
    if caption is None:
        return lines
    named = [] if label is None else [rf"\label{{{label}}}"]
    return [r"\begin{table}", r"\centering", rf"\caption{{{_in_latex(caption)}}}", *named, *lines, r"\end{table}"]


def html(result: Result) -> str:
    """A `<table>` with its footnotes as a list, legible on light and dark pages: what notebooks show of a result."""
    return as_html(result)


def csv(result: Result) -> str:
    """The table in full precision, with a column per seed (`seed_0`) instead of `values`."""
    table = result.table.copy()
    if "unpaired" in table:
        table["unpaired"] = [" ".join(map(str, seeds)) for seeds in table["unpaired"]]
    values = table.pop("values").tolist() if "values" in table else []
    for seed in sorted({seed for one in values for seed in one}):
        table[f"seed_{seed}"] = [one.get(seed, math.nan) for one in values]
    return table.to_csv(index=False, lineterminator="\n")


def json(result: Result) -> str:
    """The fields of the result in full precision, its table as `rows`; null for missing numbers."""
    document = document_of(result)
    return dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def document_of(result: Result) -> dict[str, Any]:
    """The document that `json` writes."""
    document: dict[str, Any] = {}
    for field in fields(result):  # type: ignore[arg-type]  # every Result is a dataclass
        value = getattr(result, field.name)
        if isinstance(value, Metric):
            document |= {field.name: value.name, "better": value.better}
        elif field.name != "table":
            document[field.name] = value
    records = result.table.to_dict("records")
    return document | {"rows": [{str(key): _null_for_nan(value) for key, value in row.items()} for row in records]}


def _rows(shown: Sequence[TextColumn]) -> Iterable[list[tuple[str, bool]]]:
    """By row its cells, each with whether it is bold."""
    for row in range(len(shown[0].cells)):
        yield [(column.cells[row], column.bold == row) for column in shown]


def _table(shown: Sequence[TextColumn]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in shown:
        table.add_column(Text(column.header), justify="right" if column.numeric else "left", no_wrap=not column.wraps)
    for row in _rows(shown):
        table.add_row(*(Text(cell, style="bold" if bold else "") for cell, bold in row))
    return table


def _columns_that_fit(available: Sequence[TextColumn], width: int) -> list[TextColumn]:
    """`available` without dispensable columns, dropped from the right until the table fits `width`."""
    shown = list(available)
    for column in reversed(available):
        if column.dispensable and _least_width(shown) > width:
            shown.remove(column)
    return shown


def _least_width(shown: Sequence[TextColumn]) -> int:
    """Width of the table if columns that wrap are as narrow as their headers."""
    texts = ((column.header,) if column.wraps else (column.header, *column.cells) for column in shown)
    return sum(max(map(cell_len, lines)) for lines in texts) + _GAP * (len(shown) - 1)


def _null_for_nan(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(cell: str) -> str:
    return _MARKDOWN_SPECIAL.sub(r"\\\1", printable(cell))


def _latex_row(cells: Iterable[str]) -> str:
    """A row; `{}` before a leading `[` or `*` keeps LaTeX from reading it as an argument of the row before."""
    row = " & ".join(cells)
    return rf"{'{}' if row.startswith(('[', '*')) else ''}{row} \\"


def _in_latex(cell: str) -> str:
    """Text for LaTeX: minus signs of numbers in mathematics, other hyphens never joined into a dash."""
    parts = _MINUS.split(printable(cell))
    return "$-$".join(_DASH.sub("-{}", "".join(_LATEX_SPECIAL.get(char, char) for char in part)) for part in parts)
