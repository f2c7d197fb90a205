"""The JSON schema of sweep specs, with which an editor completes keys and marks mistakes."""

from collections.abc import Mapping
from typing import Any

from experiments.sweep_spec.sink_choice import sink_schema
from experiments.sweep_spec.spec import SweepSpec
from ottt.config.load import preset_names
from ottt.config.trial import TrialConfig
from ottt.sinks.registry import SINKS

Schema = dict[str, Any]


def spec_schema() -> Schema:
    """JSON schema of a spec file; trial settings have their dotted keys."""
    schema = SweepSpec.model_json_schema(mode="validation")
    settings = _settings(TrialConfig.model_json_schema(mode="validation"))
    any_setting = _grouped(settings)
    many = _grouped({key: {"type": "array", "items": value, "minItems": 1} for key, value in settings.items()})
    own = schema["properties"]
    changed = _grouped(settings | {"preset": {"enum": preset_names()}})
    base_sources = [{"enum": preset_names()}, {"type": "string"}, changed]
    own["base"] = {"description": "A preset, a YAML file, or settings laid over a preset.", "anyOf": base_sources}
    own["axes"] = many
    own["zip"] = {"type": "array", "items": many}
    own["exclude"] = {"type": "array", "items": any_setting}
    own["baseline"] = any_setting
    own["seeds"] = {
        "anyOf": [{"type": "integer", "minimum": 1}, {"type": "array", "items": {"type": "integer"}, "minItems": 1}]
    }
    own["sinks"] = sink_schema({"anyOf": [{"enum": list(SINKS)}, {"type": "string"}]})
    own["metric"] |= {"not": {"pattern": "^test/"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "OTTT Lab sweep",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def _grouped(settings: Mapping[str, Schema]) -> Schema:
    """Schema of an object with these settings only, each by its dotted key or inside groups."""
    groups: dict[str, dict[str, Schema]] = {}
    for key, value in settings.items():
        parts = key.split(".")
        for depth in range(1, len(parts)):
            groups.setdefault(".".join(parts[:depth]), {})[".".join(parts[depth:])] = value
    nested = {group: _grouped(inner) for group, inner in groups.items()}
    return {"type": "object", "properties": {**settings, **nested}, "additionalProperties": False}


def _settings(schema: Schema) -> dict[str, Schema]:
    """Schema of every setting by its dotted key."""
    found: dict[str, Schema] = {}
    for key, value in schema["properties"].items():
        group = value.get("$ref", "").rpartition("/")[2]
        if group:
            inner = schema["$defs"][group] | {"$defs": schema["$defs"]}
            found |= {f"{key}.{name}": setting for name, setting in _settings(inner).items()}
        else:
            found[key] = {name: part for name, part in value.items() if name != "title"}
    return found
