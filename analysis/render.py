"""Comparisons as text: for terminals, Markdown, CSV and JSON."""

import math
import re
from collections.abc import Iterable, Sequence
from io import StringIO
from json import dumps
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.layout import TextColumn, columns, printable
from analysis.tables import Comparison

_WIDEST = 10_000  # characters per line: more than any table needs
_GAP = 2  # characters between columns
_MARKDOWN_SIGNS = re.compile(r"([\\`*_\[\]<>|~&$])")


def text(comparison: Comparison, *, width: int | None = None, colour: bool = False) -> str:
    """An aligned table with its notes, for terminals.

    Args:
        comparison: what to show.
        width: characters per line. A wider table loses the columns needed least, which a line under it says;
            what remains is never cut or broken, even if it is wider still. None: no limit.
        colour: whether to use ANSI escape codes; the best mean is then bold.
    """
    every = columns(comparison, interval=False, short=True)
    shown = every if width is None else _fitted(every, width)
    hidden = ", ".join(one.header for one in every if one not in shown)
    output = StringIO()
    console = Console(
        file=output,
        width=_WIDEST if width is None else max(width, _least_width(shown)),
        force_terminal=colour,
        color_system="standard" if colour else None,
        legacy_windows=False,
    )
    console.print(_table(shown), "", sep="\n")
    for note in (*comparison.notes, *([f"Not shown for lack of width: {hidden}."] if hidden else [])):
        console.print(Text(printable(note)))
    return "\n".join(line.rstrip() for line in output.getvalue().splitlines()) + "\n"


def markdown(comparison: Comparison) -> str:
    """A table as GitHub renders it, the best mean bold, with its notes as a list."""
    shown = columns(comparison, interval=True, short=False)
    lines = [
        _markdown_row(_escaped(one.header) for one in shown),
        _markdown_row("---:" if one.numeric else ":---" for one in shown),
    ]
    for row in range(len(comparison.table)):
        cells = ((_escaped(one.cells[row]), one.bold == row) for one in shown)
        lines.append(_markdown_row(f"**{cell}**" if bold else cell for cell, bold in cells))
    notes = [f"- {_escaped(note)}" for note in comparison.notes]
    return "\n".join([*lines, "", *notes]) + "\n"


def csv(comparison: Comparison) -> str:
    """The table in full precision, with a column per seed (`seed_0`) in place of `values`."""
    table = comparison.table.drop(columns="values")
    table["unpaired"] = [" ".join(map(str, seeds)) for seeds in table["unpaired"]]
    values = comparison.table["values"].tolist()
    for seed in sorted({seed for one in values for seed in one}):
        table[f"seed_{seed}"] = [one.get(seed, math.nan) for one in values]
    return table.to_csv(index=False, lineterminator="\n")


def json(comparison: Comparison) -> str:
    """The comparison's fields in full precision, its table as `rows`; null where a number is absent."""
    records = comparison.table.to_dict("records")
    document = {
        "sweep": comparison.sweep,
        "metric": comparison.metric.name,
        "better": comparison.metric.better,
        "axes": comparison.axes,
        "baseline": comparison.baseline,
        "notes": comparison.notes,
        "rows": [{key: _null_for_nan(value) for key, value in row.items()} for row in records],
    }
    return dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _table(shown: Sequence[TextColumn]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for one in shown:
        table.add_column(Text(one.header), justify="right" if one.numeric else "left", no_wrap=not one.wraps)
    for row in range(len(shown[0].cells)):
        table.add_row(*(Text(one.cells[row], style="bold" if one.bold == row else "") for one in shown))
    return table


def _fitted(every: Sequence[TextColumn], width: int) -> list[TextColumn]:
    """`every` without as many of the dispensable columns, from the right, as `width` demands."""
    shown = list(every)
    for one in reversed(every):
        if one.dispensable and _least_width(shown) > width:
            shown.remove(one)
    return shown


def _least_width(shown: Sequence[TextColumn]) -> int:
    """Width of the table when columns that wrap are as narrow as their headers."""
    texts = ((one.header,) if one.wraps else (one.header, *one.cells) for one in shown)
    return sum(max(map(cell_len, column)) for column in texts) + _GAP * (len(shown) - 1)


def _null_for_nan(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(cell: str) -> str:
    return _MARKDOWN_SIGNS.sub(r"\\\1", printable(cell))
