"""What the shell completes: studies, sweeps, settings and their values. Imports neither torch nor Ray."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from experiments.results.folder import Results
from experiments.sweep_spec.studies import studies
from ottt.schema import METRICS

VARIABLE = "_OTTT_COMPLETE"  # set by the shell when it asks
OPTIONS = ("--install-completion", "--show-completion")


def specs(incomplete: str) -> list[str]:
    """Studies, and YAML files and folders from the current folder on."""
    return [*_starting(incomplete, studies()), *_files(incomplete)]


def sweeps(ctx: typer.Context, incomplete: str) -> list[str]:
    """Sweeps that ran in the folder of results; where none fits, specs."""
    found = _starting(incomplete, Results.at(ctx.params.get("results")).sweeps())
    return found or _files(incomplete)


def metrics(incomplete: str) -> list[str]:
    """Names of metrics."""
    return _starting(incomplete, METRICS)


def settings(ctx: typer.Context, incomplete: str) -> list[str]:
    """`key=value` texts for the configuration of a trial."""
    from ottt.config import TrialConfig

    return _overrides(dict(_fields(TrialConfig)), _given(ctx), incomplete)


def config(ctx: typer.Context, incomplete: str) -> list[str]:
    """Presets and YAML files, until one is named; `key=value` texts."""
    from ottt.config.load import preset_names

    named = any(_is_config(word) for word in _given(ctx))
    return [
        *([] if named else [*_starting(incomplete, preset_names()), *_files(incomplete)]),
        *settings(ctx, incomplete),
    ]


def spec_settings(ctx: typer.Context, incomplete: str) -> list[str]:
    """`key=value` texts for a spec, its base and its axes."""
    from experiments.sweep_spec.spec import SweepSpec
    from ottt.config import TrialConfig

    own = dict(_fields(TrialConfig))
    of_spec = {key: field for key, field in _fields(SweepSpec) if key.partition(".")[0] not in {"axes", "base"}}
    axes = {f"axes.{key}": field for key, field in own.items()} if incomplete.startswith("axes.") else {}
    found = _overrides(own | of_spec | axes, _given(ctx), incomplete)
    return [*found, "axes."] if found and found[0].endswith("=") and not axes else found


def _overrides(keys: Mapping[str, FieldInfo], given: Sequence[str], incomplete: str) -> list[str]:
    """What continues a `key=value` text.

    bash takes `=` for the end of a word: there the key is the word before, and only the value is asked for. A key
    alone comes with its values, so that the shell writes no space behind the `=`.
    """
    before = [word for word in given if word != "="]
    if before and before[-1] in keys:
        return _values(before[-1], keys[before[-1]])
    key, equals, _ = incomplete.partition("=")
    fitting = [key] if equals and key in keys else _starting(incomplete, keys)
    if len(fitting) == 1:
        only = fitting[0]
        return [*([] if equals else [f"{only}="]), *(f"{only}={value}" for value in _values(only, keys[only]))]
    return [f"{one}=" for one in fitting]


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting by its dotted key."""
    for name, field in model.model_fields.items():
        kinds = (field.annotation, *get_args(field.annotation))
        group = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if group is None:
            yield f"{prefix}{name}", field
        else:
            yield from _fields(group, f"{prefix}{name}.")


def _values(key: str, field: FieldInfo) -> list[str]:
    """The values that a setting can have, if they can be listed, else its default; of an axis, all of them at once."""
    kinds = [field.annotation, *get_args(field.annotation)]
    listed = [value for kind in kinds if get_origin(kind) is Literal for value in get_args(kind)]
    schemas = [schema for one in field.metadata if (schema := getattr(one, "json_schema", None))]
    listed += [value for schema in schemas for part in schema.get("anyOf", ()) for value in part.get("enum", ())]
    if bool in kinds:
        listed += [True, False]
    default = None if field.is_required() else field.get_default()
    shown = listed or ([] if default in ("", ()) or field.is_required() else [default])
    written = [_written(value) for value in shown if not isinstance(value, dict | tuple)]
    return [",".join(written)] if key.startswith("axes.") and written else written


def _written(value: Any) -> str:
    """The value as an override has it."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value)


def _given(ctx: typer.Context) -> list[str]:
    """The overrides that stand before the word to complete."""
    lists = (value for value in ctx.params.values() if isinstance(value, list | tuple))
    return [word for words in lists for word in words if isinstance(word, str)]


def _is_config(word: str) -> bool:
    from ottt.config.load import preset_names

    return word in preset_names() or word.endswith((".yaml", ".yml"))


def _starting(incomplete: str, names: Any) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _files(incomplete: str) -> list[str]:
    """YAML files and folders whose path starts with the text."""
    folder, _, start = incomplete.rpartition("/")
    place = Path(f"{folder}/" if "/" in incomplete else ".")
    try:
        entries = sorted(place.iterdir())
    except OSError:
        return []
    before = f"{folder}/" if "/" in incomplete else ""
    return [
        f"{before}{entry.name}{'/' if entry.is_dir() else ''}"
        for entry in entries
        if entry.name.startswith(start)
        and (start or not entry.name.startswith("."))
        and (entry.is_dir() or entry.suffix in {".yaml", ".yml"})
    ]
