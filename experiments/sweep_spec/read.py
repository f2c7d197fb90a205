"""Reads a spec: YAML and overrides to a checked `SweepSpec`, or to one line per problem."""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from experiments.sweep_spec.axis_override import parse_spec_override
from experiments.sweep_spec.rules import broken_rules
from experiments.sweep_spec.spec import SweepSpec
from ottt.config import TrialConfig
from ottt.config.load import load_config, preset_names
from ottt.config.messages import MANY, describe, few
from ottt.config.yaml_reader import Document, KeyPath, flatten, merge, nest, read_yaml, split_keys
from ottt.errors import UserError, brief
from ottt.files import is_file, user_path

_PLACEHOLDERS: Mapping[str, Mapping[str, Any]] = {  # complete a group with a wrong entry, to check its other entries
    "search": {"name": "optuna", "trials": 1, "space": {}},
    "scheduler": {"name": "asha"},
}


def read_spec(path: Path, overrides: Iterable[str] = ()) -> SweepSpec:
    """Read and check the spec in `path`.

    Args:
        path: a YAML file; its `base` is a preset, a file relative to it, or settings, which can be laid over a
            `preset`.
        overrides: `key.path=value` texts for the base configuration (`epochs=2`) or for the spec (`seeds=2`,
            `axes.neuron.tau=2.0,4.0`).

    Raises:
        UserError: one line for each problem that can be found at once.
    """
    return parse_spec(read_yaml(path), folder=path.parent, overrides=overrides)


def parse_spec(document: Document, *, folder: Path, overrides: Iterable[str] = ()) -> SweepSpec:
    """Check a document as `read_spec` does; a relative `base` is looked up in `folder`."""
    of_spec, of_base, problems = _split(overrides)
    values = nest(document.values)
    for key, value in of_spec.items():
        values = merge(values, nest({key: value}))
    overridden = {tuple(key.split(".")) for key in of_spec}

    def place(path: KeyPath) -> str:
        parts = split_keys(path)
        return "override" if any(parts[: len(key)] == key for key in overridden) else document.place(parts)

    base, base_problems = _base(values.pop("base", None), document, folder, of_base, first=_first_values(values))
    spec, shape_problems, misshapen = _valid_part(values | {"base": base}, place)
    problems += base_problems + shape_problems
    rules = broken_rules(spec, misshapen=misshapen | ({("base",)} if base_problems else frozenset()))
    problems += [f"{place(path)}: {text}" for path, text in rules]
    problems += [_overridden_axis(text, spec) for text in of_base if _key(text) in {*spec.varied(), "seed"}]
    if problems:
        raise UserError(*few(problems))
    return spec


def _key(override: str) -> str:
    return override.partition("=")[0].strip()


def _split(overrides: Iterable[str]) -> tuple[dict[str, Any], list[str], list[str]]:
    """Split overrides into those of the spec by key, those of its base as given, and problems.

    The first part of the key decides: no key of a spec is a key of a configuration.
    """
    of_spec: dict[str, Any] = {}
    of_base: list[str] = []
    problems: list[str] = []
    for text in overrides:
        try:
            key, value = parse_spec_override(text)
        except UserError as error:
            problems += error.problems
            continue
        if key.startswith("base."):
            of_base.append(text.strip().removeprefix("base."))
        elif (first := key.split(".")[0]) in SweepSpec.model_fields:
            of_spec[key] = value
        elif near := _misspelt(first):
            problems.append(f"override: {first} is not a known key (did you mean {near}?), got {brief(text)}")
        else:
            of_base.append(text)
    return of_spec, of_base, problems


def _misspelt(key: str) -> str | None:
    """The similar key of a spec, if it is likelier than a setting."""
    near = get_close_matches(key, [*TrialConfig.model_fields, *SweepSpec.model_fields], n=1)
    return near[0] if near and near[0] != key and near[0] in SweepSpec.model_fields else None


def _overridden_axis(override: str, spec: SweepSpec) -> str:
    key = _key(override)
    instead = "seeds=[...]" if key == "seed" else f"axes.{key}=[...]"
    return f"override: {key} varies in the sweep {spec.name}: give {instead}, got {brief(override)}"


def _first_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The first value of each varied setting, as far as an unchecked spec shows them."""
    groups = [values.get("axes"), *(values["zip"] if isinstance(values.get("zip"), list) else ())]
    varied = {key: given for group in groups if isinstance(group, Mapping) for key, given in flatten(group).items()}
    return {key: given[0] for key, given in varied.items() if isinstance(given, list) and given}


def _base(
    value: object, document: Document, folder: Path, overrides: list[str], *, first: Mapping[str, Any]
) -> tuple[TrialConfig, list[str]]:
    """The base configuration and its problems; the defaults replace a wrong one.

    A base can be incomplete where settings are varied: then the `first` value of each completes it.
    """
    place = document.place(("base",))
    source: Document | Path | str | None
    problems: list[str] = []
    match value:
        case None:
            source = None
        case str() if is_file(folder / user_path(value)):
            source = folder / user_path(value)
        case str() if value in preset_names():
            source = value
        case Mapping():
            if "seed" in value:
                problems.append(f"{place}: base.seed is not used: give seeds, got {brief(value['seed'])}")
            lines = {path[1:]: line for path, line in document.lines.items() if path[0] == "base"}
            source = Document(document.name, {key: item for key, item in value.items() if key != "seed"}, lines)
        case _:
            known = ", ".join(preset_names())
            return TrialConfig(), [
                f"{place}: base must be a preset ({known}), a YAML file or settings, got {brief(value)}"
            ]
    try:
        return load_config(source, overrides), problems
    except UserError as error:
        with suppress(UserError):
            return load_config(
                source, [*overrides, *(f"{key}={json.dumps(one)}" for key, one in first.items())]
            ), problems
        return TrialConfig(), problems + list(error.problems)


def _valid_part(
    values: dict[str, Any], place: Callable[[KeyPath], str]
) -> tuple[SweepSpec, list[str], frozenset[KeyPath]]:
    """The spec without its misshapen entries, the problems of their shape, and their paths."""
    try:
        return SweepSpec.model_validate(values), [], frozenset()
    except ValidationError as error:
        problems = describe(error, SweepSpec, place)
        wrong = [split_keys(problem["loc"]) for problem in error.errors(include_url=False)]
    if len(wrong) > MANY:  # enough to mend before anything else
        raise UserError(*few(problems))
    for depth in (None, 1):  # the entries themselves; if that is not enough, all of their key
        rest = values
        for path in wrong:
            rest = _without(rest, path[:depth])
        completed = {
            key: merge(placeholder, rest[key])
            for key, placeholder in _PLACEHOLDERS.items()
            if isinstance(rest.get(key), Mapping)
        }
        with suppress(ValidationError):
            spec = SweepSpec.model_validate({"name": "unnamed", "seeds": 1} | rest | completed)
            return spec, problems, frozenset(path[:depth] for path in wrong)
    raise AssertionError("a spec without its misshapen keys must be valid")


def _without(values: Any, path: KeyPath) -> Any:
    """`values` without the entry at `path`; items of lists stay, since the others would move up."""
    if not path or not isinstance(values, list | Mapping):
        return values
    key, *deeper = path
    if isinstance(values, list):
        return [_without(item, tuple(deeper)) if index == key else item for index, item in enumerate(values)]
    if not deeper:
        return {name: item for name, item in values.items() if name != key}
    return {name: _without(item, tuple(deeper)) if name == key else item for name, item in values.items()}
