"""Commands for data sets: `ottt datasets`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from experiments.cli.arguments import JsonOption, at_home
from experiments.results.folder import shown
from ottt.data.files import FILES
from ottt.data.info import DATASETS
from ottt.errors import UserError

app = typer.Typer(help="List, show and download data sets.", invoke_without_command=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of a data set.")]
RootOption = Annotated[
    Path, typer.Option("--root", callback=at_home, metavar="DIR", help="Folder of the data sets (data.root).")
]
_ROOT = Path("data")

_HEADINGS = ("name", "classes", "shape", "train", "test", "files", "summary")


@app.callback()
def datasets(context: typer.Context, root: RootOption = _ROOT, as_json: JsonOption = False) -> None:
    """List the data sets: shape, sizes, where their files are expected, and whether they are there.

    Example: ottt datasets --root /srv/data
    """
    if context.invoked_subcommand is not None:
        return
    described = [_describe(name, root) for name in DATASETS]
    print(json.dumps(described, indent=2) if as_json else _table(described))


@app.command()
def show(
    name: NameArgument,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Changes to the data set's preset, or to the defaults."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", callback=at_home, metavar="FILE", help="Image to write (default: NAME.png).")
    ] = None,
) -> None:
    """Draw a sheet of samples; for event data the frames over time, brighter in red, darker in blue.

    Example: ottt datasets show digits_dvs T=8 data.frames.by=time
    """
    import torch

    from ottt.config.load import load_config, preset_names
    from ottt.data.preview import sheet
    from ottt.training.load_data import load_data

    preset = _known_name(name) if name in preset_names() else {"data.name": _known_name(name)}
    config = load_config(preset, overrides or ())
    data = load_data(config, torch.device("cpu"))
    target = out or Path(f"{name}.png")
    sheet(data.train, config.data.samples).savefig(target, dpi=150)
    print(shown(target))


@app.command()
def download(name: NameArgument, root: RootOption = _ROOT) -> None:
    """Download the missing files of a data set and check them.

    Example: ottt datasets download cifar10
    """
    from ottt.data.download import fetch

    for file in FILES[_known_name(name)]:
        path = file.find(root) or fetch(file, root)
        print(shown(path))


def _known_name(name: str) -> str:
    if name not in DATASETS:
        raise UserError(f"data set must be one of {', '.join(DATASETS)}, got {name!r}")
    return name


def _describe(name: str, root: Path) -> dict[str, Any]:
    info = DATASETS[name]
    files = [(file, file.find(root)) for file in FILES[name]]
    return {
        "name": name,
        "summary": info.summary,
        "classes": info.classes,
        "shape": [info.channels, info.height, info.width],
        "events": info.events,
        "train": info.train,
        "test": info.test,
        "files": [
            {"expected": str(root / file.path), "found": None if path is None else str(path), "from": file.url}
            for file, path in files
        ],
        "there": all(path is not None for _, path in files),
    }


def _table(described: list[dict[str, Any]]) -> str:
    rows = [
        (
            entry["name"],
            str(entry["classes"]),
            "x".join(map(str, (*(["T"] if entry["events"] else []), *entry["shape"]))),
            f"{entry['train']:,}",
            f"{entry['test']:,}",
            _place_of_files(entry),
            entry["summary"],
        )
        for entry in described
    ]
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in (_HEADINGS, *rows)]
    return "\n".join(lines)


def _place_of_files(entry: dict[str, Any]) -> str:
    """`there` or `missing`, and the path of the file, or of the folder for several files."""
    if not entry["files"]:
        return "included"
    places = [file["found"] or file["expected"] for file in entry["files"]]
    place = places[0] if len(places) == 1 else str(Path(places[0]).parent)
    return f"{'there' if entry['there'] else 'missing'}: {place}"
