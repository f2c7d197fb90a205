"""Loading of a trial's configuration from presets, files, mappings and overrides."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ottt.config.messages import describe, few
from ottt.config.trial import TrialConfig
from ottt.config.yaml_reader import Document, KeyPath, merge, nest, parse_override, read_yaml
from ottt.errors import UserError, brief
from ottt.files import is_file, user_path

PRESETS = Path(__file__).parents[1] / "presets"

Source = str | Path | Mapping[str, Any] | Document | None


def load_config(source: Source = None, overrides: Iterable[str] = ()) -> TrialConfig:
    """The validated configuration of `source` and `overrides`.

    Args:
        source: a YAML file, the name of a preset, a mapping (nested or with dotted keys), a parsed document, or
            None for the defaults. Its key `preset` names a preset that its other settings override.
        overrides: `key.path=value` texts; later ones win.

    Raises:
        UserError: one line per problem, with place, rule and value.
    """
    return laid_over(source, [parse_override(text) for text in overrides], name="override")


def laid_over(source: Source, settings: Iterable[tuple[str, Any]], *, name: str) -> TrialConfig:
    """As `load_config`, with dotted `settings` in place of overrides; errors call their place `name`."""
    document = _with_preset(_document(source))
    values, overlays = document.values, list(settings)
    for key, value in overlays:
        values = merge(values, nest({key: value}))
    overridden = {tuple(key.split(".")) for key, _ in overlays}

    def place(path: KeyPath) -> str:
        if any(path[: len(key)] == key[: len(path)] for key in overridden):
            return name
        return document.place(path)

    try:
        return TrialConfig.model_validate(values)
    except ValidationError as error:
        raise UserError(*few(describe(error, TrialConfig, place))) from error


def preset_names() -> list[str]:
    """Names of the presets, which `load_config` accepts instead of a file."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def _document(source: Source) -> Document:
    if source is None:
        return Document("defaults", {})
    if isinstance(source, Document):
        return source
    if isinstance(source, Mapping):
        return Document("config", nest(source))
    path = user_path(source)
    preset = PRESETS / f"{source}.yaml"
    if not is_file(path) and is_file(preset):
        path = preset
    elif not is_file(path) and path.suffix not in {".yaml", ".yml"}:
        known = ", ".join(preset_names())
        raise UserError(f"{source}: must be a YAML file or one of the presets {known}; found neither")
    document = read_yaml(path)
    return Document(str(source), nest(document.values), document.lines)


def _with_preset(document: Document) -> Document:
    """The document, with the settings of the preset that it names where it has none of its own."""
    values = dict(document.values)
    if "preset" not in values:
        return document
    name = values.pop("preset")
    if name not in preset_names():
        known = ", ".join(preset_names())
        raise UserError(f"{document.place(('preset',))}: preset must be one of {known}, got {brief(name)}")
    preset = nest(read_yaml(PRESETS / f"{name}.yaml").values)
    return Document(document.name, merge(preset, nest(values)), document.lines)
