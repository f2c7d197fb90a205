"""Generates the pages derived from the code: `python -m docs.generate` rewrites what `pages` lists.

A setting is described by the comment after it, or by its entry under `Attributes:` in the docstring of its class.
"""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from docs import messages, rooms
from docs.rooms import NOTE
from experiments.cli import app
from experiments.sweep_spec.spec import SweepSpec
from ottt.config import TrialConfig
from ottt.config.load import preset_names

HERE = Path(__file__).parent
BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_SETTINGS = """\
Settings of one trial, for `ottt train` and for the base and axes of a sweep. In files they can be nested or written
with dots; on the command line they are `key.path=value`. Unknown keys and wrong types are rejected. A file can start
with `preset: NAME` and override some of its settings; presets: {presets}."""
_COMMANDS = """\
The output of `--help`, on one page. Overrides are `key.path=value`; `--json` prints machine-readable output. Invalid
input exits with status 2, a failure with 1, an interruption with 130. `--debug`, anywhere on the command line, shows
the traceback."""
WORDS = {"int": "whole number", "float": "number", "str": "text", "bool": "true or false", "NoneType": "null"}


def main() -> None:
    """Write the pages."""
    for name, text in pages().items():
        (HERE / name).write_text(text, encoding="utf-8")
        print(f"wrote {name}", file=sys.stderr)


def pages() -> dict[str, str]:
    """The text of each page and picture, by file name."""
    own = {"configuration.md": configuration(), "commands.md": commands(), "messages.md": messages.page()}
    return own | {"rooms.md": rooms.page()} | rooms.pictures()


def configuration() -> str:
    """The page of all settings of a trial and all keys of a spec."""
    parts = [
        NOTE,
        "# Configuration",
        _SETTINGS.format(presets=", ".join(f"`{name}`" for name in preset_names())),
        *_groups(TrialConfig),
        "# Sweep specs",
        "Keys of a spec, explained in [sweeps.md](sweeps.md). `base` takes a preset, a file, or the settings above.",
        *_groups(SweepSpec, skip=frozenset({"base"})),
    ]
    return "\n\n".join(parts) + "\n"


def _groups(model: type[BaseModel], prefix: str = "", skip: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yields a table of the model's own settings, then the tables of its groups."""
    meanings = _meanings(model)
    groups = {name: group for name, field in model.model_fields.items() if (group := _group(field)) is not None}
    own = {name: field for name, field in model.model_fields.items() if name not in groups}
    if prefix:
        yield f"## {prefix.rstrip('.')}\n\n{inspect.getdoc(model).splitlines()[0]}"  # type: ignore[union-attr]
    if own:
        rows = [
            f"| `{prefix}{name}` | {_kind(field)} | {_default(field)} | {_escaped(meanings.get(name, ''))} |"
            for name, field in own.items()
        ]
        yield "\n".join(["| key | values | default | meaning |", "|---|---|---|---|", *rows])
    for name, group in groups.items():
        if name not in skip:
            yield from _groups(group, f"{prefix}{name}.")


def _group(field: FieldInfo) -> type[BaseModel] | None:
    """The model, if the field is a group of settings; None if it is a single setting."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """Descriptions of the fields, by name."""
    source = inspect.getsource(model)
    found = dict(re.findall(r"^    (\w+): [^#\n]*(?<!\S)#\s+(.*)$", source, re.MULTILINE))
    listed = (inspect.getdoc(model) or "").partition("Attributes:\n")[2]
    for entry in re.split(r"\n(?=    \w)", listed):
        name, _, text = entry.strip().partition(": ")
        found.setdefault(name, " ".join(text.split()))
    return found


def _kind(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {limit:g}"
        for limits in field.metadata
        for name, sign in BOUNDS.items()
        if (limit := getattr(limits, name, None)) is not None
    ]
    choices = next((extra["anyOf"][0]["enum"] for extra in _json_schemas(field)), None)
    kind = " \\| ".join(f"`{name}`" for name in choices) + ", or a plugin's" if choices else _in_words(field.annotation)
    return ", ".join([kind, *bounds])


def _json_schemas(field: FieldInfo) -> Iterator[dict[str, Any]]:
    for extra in field.metadata:
        found = getattr(extra, "json_schema", None)
        if found and "enum" in found.get("anyOf", [{}])[0]:
            yield found


def _in_words(kind: Any) -> str:
    origin = get_origin(kind)
    if origin is Literal:
        return " \\| ".join(f"`{value}`" for value in get_args(kind))
    if origin in {Union, UnionType}:
        return " or ".join(_in_words(part) for part in get_args(kind))
    if origin is tuple:
        return f"list of {_in_words(get_args(kind)[0])}" if get_args(kind)[0] is not Any else "list"
    if origin is dict:
        return "settings"
    if origin is not None:  # Annotated
        return _in_words(get_args(kind)[0])
    return WORDS.get(getattr(kind, "__name__", ""), "value")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default()
    match value:
        case None:
            return "–"
        case bool():
            return f"`{str(value).lower()}`"
        case tuple() | dict():
            return "–" if not value else f"`{list(value)}`"
        case _:
            return f"`{value}`"


def _escaped(text: str) -> str:
    """The text escaped for a table cell, with null instead of None."""
    return re.sub(r"(?<!\\)\|", r"\\|", text).replace("None:", "null:").removesuffix(".")


def commands() -> str:
    """The page of all commands with their help, examples, arguments and options."""
    root = typer.main.get_command(app)
    parts = [
        NOTE,
        "# Commands",
        _COMMANDS,
        *_described("ottt", root),
    ]
    return "\n\n".join(parts) + "\n"


def _described(path: str, command: Any) -> Iterator[str]:
    children = getattr(command, "commands", {})
    if path != "ottt" and (not children or command.params):
        summary, _, example = inspect.cleandoc(command.help or "").partition("Example: ")
        yield f"## {path}\n\n{summary.strip()}" + (f"\n\n```\n{example.strip()}\n```" if example else "")
        if rows := [_parameter(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]:
            yield "\n".join(["| | |", "|---|---|", *rows])
    for name, child in sorted(children.items()):
        yield from _described(f"{path} {name}", child)


def _parameter(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        name = parameter.metavar or parameter.name.upper()
    else:
        value = f" {parameter.metavar}" if parameter.metavar else ""
        name = ", ".join([*parameter.opts, *parameter.secondary_opts]) + value
    return f"| `{_escaped(name)}` | {_escaped(parameter.help or '')} |"


if __name__ == "__main__":
    main()
