"""Commands that query MLflow for trials of any sweep: `ottt runs`."""

import json
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from analysis.text.terminal import aligned
from experiments.cli.arguments import JsonOption, ResultsOption
from experiments.cli.shell import completion
from experiments.results.folder import Results
from ottt.errors import UserError
from ottt.schema import Tag

if TYPE_CHECKING:
    import pandas as pd

    from analysis.store.base import StoredRun

ROWS = 50  # of a table, by default
DEFAULT = ("run_id", "sweep", "name", "status", "val/top1", "test/top1")
SHORT_ID = 8  # characters
COLUMN_OF = {
    **{str(tag): str(tag).removeprefix("ottt.") for tag in Tag},
    Tag.COMMIT: "commit",
    "start_time": "started",
    "run_name": "name",
}
_FILTER_NAME = re.compile(
    r"(?:tags?|params?|parameters?|metrics?|attributes?|attr|run)\.(?:[\"`'](?P<quoted>.+)[\"`']|(?P<bare>.+))"
)


class _QueryByDefault(TyperGroup):
    """`ottt runs FILTER` is `ottt runs query FILTER`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See click."""
        asks_for_help = args[:1] in (["--help"], ["-h"])
        known = args[:1] and args[0] in self.commands
        return super().parse_args(ctx, args if known or asks_for_help else ["query", *args])


app = typer.Typer(
    cls=_QueryByDefault,
    help="List, show and compare trials: `ottt runs FILTER` lists those that match an MLflow filter string.",
    epilog='Example: ottt runs \'params."neuron.tau" = "2.0" and metrics."test/top1" > 0.9\' --sort -test/top1',
)

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="First characters of the id of a run or of a trial.")]
SweepOption = Annotated[str | None, typer.Option(autocompletion=completion.sweeps, help="Only trials of this sweep.")]


@app.command()
def query(
    condition: Annotated[
        str, typer.Argument(metavar="[FILTER]", help="MLflow filter string over params, metrics, tags and attributes.")
    ] = "",
    sweep: SweepOption = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME",
            help="Columns to show, such as settings and metrics; +NAME,NAME adds to the default ones.",
        ),
    ] = None,
    sort: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column to sort by, ascending; -NAME: descending.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help=f"Most rows to print (default: {ROWS} of a table, else all).")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: JsonOption = False,
    results: ResultsOption = None,
) -> None:
    """List the trials that match an MLflow filter string.

    Example: ottt runs 'params."neuron.tau" = "2.0" and metrics."test/top1" > 0.9' --columns +T --sort -test/top1
    """
    from analysis.search import search

    if as_csv and as_json:
        raise UserError("options must ask for one form, got --csv and --json")
    found = search(_in_sweep(sweep, condition), store=Results.at(results).store)
    if found.empty:
        print("[]" if as_json else "no run matches", file=sys.stderr if as_csv else sys.stdout)
        return
    selected = _sorted(found, sort)[_columns(columns, found)]
    shown = selected if limit is None and (as_csv or as_json) else selected.head(limit or ROWS)
    _print_runs(shown, as_csv=as_csv, as_json=as_json)
    if len(shown) < len(selected):
        print(f"{len(shown)} of {len(selected)} runs; more: --limit N", file=sys.stderr)


@app.command()
def show(run: RunArgument, results: ResultsOption = None, as_json: JsonOption = False) -> None:
    """Show everything stored about one run.

    Example: ottt runs show 3f9c12ab
    """
    from analysis.search import find

    found = find(run, store=Results.at(results).store)
    print(json.dumps(_plain(asdict(found)), indent=2) if as_json else _description(found))


@app.command()
def diff(first: RunArgument, second: RunArgument, results: ResultsOption = None, as_json: JsonOption = False) -> None:
    """Show the differences between two runs.

    Example: ottt runs diff 3f9c12ab 77e0d1c4
    """
    from analysis.search import differences, find

    store = Results.at(results).store
    one, other = find(first, store=store), find(second, store=store)
    found = differences(one, other)
    if as_json:
        print(json.dumps(_plain([asdict(difference) for difference in found]), indent=2))
        return
    heading = ["", "", f"{one.id[:SHORT_ID]} {one.name}", f"{other.id[:SHORT_ID]} {other.name}"]
    print(aligned([heading, *([d.kind, d.name, _cell(d.first), _cell(d.second)] for d in found)]))


def _print_runs(shown: "pd.DataFrame", *, as_csv: bool, as_json: bool) -> None:
    if as_csv:
        shown.to_csv(sys.stdout, index=False)
    elif as_json:
        print(json.dumps(_plain(shown.to_dict("records")), indent=2))
    else:
        print(_table(shown))


def _in_sweep(sweep: str | None, condition: str) -> str:
    """The filter string `condition`, limited to the trials of `sweep` if one is given."""
    if sweep is None:
        return condition
    if "'" in sweep:
        raise UserError(f"--sweep must be the name of a sweep, got {sweep!r}")
    of_sweep = f"tags.`ottt.sweep` = '{sweep}'"
    return f"{condition} and {of_sweep}" if condition else of_sweep


def _columns(asked: str | None, found: "pd.DataFrame") -> list[str]:
    """Names of the columns to show; of the default ones, those that exist."""
    default = [name for name in DEFAULT if name in found.columns]
    if asked is None:
        return default
    names = [name.strip() for name in asked.removeprefix("+").split(",") if name.strip()]
    names = [_column(name, found, "--columns") for name in names or [asked]]
    return list(dict.fromkeys([*default, *names] if asked.startswith("+") else names))


def _sorted(found: "pd.DataFrame", asked: str | None) -> "pd.DataFrame":
    if asked is None:
        return found[::-1]  # latest first
    name = _column(asked.removeprefix("-"), found, "--sort")
    are_numbers = found[name].map(lambda value: isinstance(value, int | float)).all()
    return found.sort_values(
        name,
        ascending=not asked.startswith("-"),
        kind="stable",
        key=None if are_numbers or found[name].dtype.kind == "M" else lambda values: values.map(str),
    )


def _column(given: str, found: "pd.DataFrame", option: str) -> str:
    """The column that is meant: by its name, by that of the tag it is from, or as an MLflow filter string has it.

    Raises:
        UserError: no such column.
    """
    parts = _FILTER_NAME.fullmatch(given)
    name = given if given in found.columns or parts is None else parts["quoted"] or parts["bare"]
    if name not in found.columns:
        name = COLUMN_OF.get(name, name)
    if name not in found.columns:
        near = get_close_matches(name, map(str, found.columns), n=5, cutoff=0.4) or list(found.columns[:5])
        raise UserError(f"{option} must name columns of these runs, such as {', '.join(near)}; got {given!r}")
    return name


def _table(shown: "pd.DataFrame") -> str:
    rows = [
        [_cell(value)[:SHORT_ID] if name == "run_id" else _cell(value) for name, value in row.items()]
        for row in shown.to_dict("records")
    ]
    return aligned([[str(name) for name in shown.columns], *rows])


def _description(run: "StoredRun") -> str:
    times = [
        ["started", _time(run.started)],
        ["ended", "" if run.ended is None else _time(run.ended)],
    ]
    parts: Sequence[tuple[str, list[list[str]]]] = (
        ("run", [["id", run.id], ["name", run.name], *times, ["artifacts", run.artifacts]]),
        ("tags", [[key, value] for key, value in sorted(run.tags.items()) if key.startswith("ottt.")]),
        ("settings", [[key, value] for key, value in sorted(run.params.items())]),
        (f"metrics of epoch {run.last_step}", [[key, _cell(value)] for key, value in sorted(run.metrics.items())]),
    )
    return "\n\n".join(
        f"{title}\n{aligned([['', *row] for row in rows])}" if rows else f"{title}\n  none" for title, rows in parts
    )


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return value.strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, datetime) else str(value)


def _plain(value: Any) -> Any:
    """`value` for JSON, which has no NaN, infinity or times: None or text in their place."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
