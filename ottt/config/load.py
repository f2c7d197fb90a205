"""Reading a trial's configuration: presets, files, mappings, and overrides laid over them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ottt.config.messages import describe
from ottt.config.trial import TrialConfig
from ottt.config.yaml_reader import Document, KeyPath, merge, nest, parse_override, read_yaml
from ottt.errors import UserError

PRESETS = Path(__file__).parents[1] / "presets"

Source = str | Path | Mapping[str, Any] | Document | None


def load_config(source: Source = None, overrides: Iterable[str] = ()) -> TrialConfig:
    """The checked configuration in `source`, with `overrides` laid over it.

    Args:
        source: a YAML file, the name of a preset, a mapping (nested or with dotted keys), a document read before, or
            None for the defaults. Its key `preset` names a preset that its other settings are laid over.
        overrides: `key.path=value` texts, later ones win.

    Raises:
        UserError: one line per problem, each naming place, rule and value.
    """
    document = _over_preset(_document(source))
    overlays = [parse_override(text) for text in overrides]
    values = document.values
    for key, value in overlays:
        values = merge(values, nest({key: value}))
    overridden = {tuple(key.split(".")) for key, _ in overlays}

    def place(path: KeyPath) -> str:
        if any(path[: len(key)] == key[: len(path)] for key in overridden):
            return "override"
        return document.place(path)

    try:
        return TrialConfig.model_validate(values)
    except ValidationError as error:
        raise UserError(*describe(error, TrialConfig, place)) from error


def preset_names() -> list[str]:
    """Names that `load_config` takes in place of a file."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def _document(source: Source) -> Document:
    if source is None:
        return Document("defaults", {})
    if isinstance(source, Document):
        return source
    if isinstance(source, Mapping):
        return Document("config", nest(source))
    path = Path(source)
    preset = PRESETS / f"{source}.yaml"
    if not path.is_file() and preset.is_file():
        path = preset
    elif not path.exists() and path.suffix not in {".yaml", ".yml"}:
        known = ", ".join(preset_names())
        raise UserError(f"{source}: must be a YAML file or one of the presets {known}; found neither")
    document = read_yaml(path)
    return Document(str(source), nest(document.values), document.lines)


def _over_preset(document: Document) -> Document:
    """The document laid over the preset that it names, if any."""
    values = dict(document.values)
    if "preset" not in values:
        return document
    name = values.pop("preset")
    if name not in preset_names():
        known = ", ".join(preset_names())
        raise UserError(f"{document.place(('preset',))}: preset must be one of {known}, got {name!r}")
    below = nest(read_yaml(PRESETS / f"{name}.yaml").values)
    return Document(document.name, merge(below, nest(values)), document.lines)
