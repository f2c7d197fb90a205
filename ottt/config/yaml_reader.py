"""YAML files with the line of every entry, `key.path=value` overrides, and conversion between dotted and nested keys.

YAML 1.2: `on`, `yes` and `1:30` are strings, `1e-3` is a number, and a repeated key is an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from ottt.errors import UserError

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """Plain values of a YAML file and the line of each.

    Attributes:
        name: the file as the user named it.
        values: the top-level mapping.
        lines: line (from 1) of every key and list item, by path; dotted keys count as nested ones.
    """

    name: str
    values: dict[str, Any]
    lines: dict[KeyPath, int] = field(default_factory=dict)

    def place(self, path: KeyPath) -> str:
        """`file:line` of `path`, or of the nearest enclosing entry in the file."""
        path = split_keys(path)
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.name}:{self.lines[path]}" if path else self.name


def read_yaml(path: Path) -> Document:
    """Read the mapping in `path`.

    Raises:
        UserError: unreadable file, bad YAML, or something other than a mapping at the top.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: must be UTF-8 text, got byte {error.object[error.start]:#x}") from error
    loaded = _load(text, str(path))
    if not isinstance(loaded, CommentedMap):
        raise UserError(f"{path}: must hold `key: value` entries, got {_kind(loaded)}")
    lines: dict[KeyPath, int] = {}
    return Document(str(path), _plain(loaded, str(path), (), lines), lines)


def parse_override(text: str) -> tuple[str, Any]:
    """Split `key.path=value`; the value is read as YAML (`2`, `1e-3`, `true`, `[1, 2]`, `null`, text).

    Raises:
        UserError: no `=`, an empty key, or a value that is not YAML.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(f"override must read key.path=value, got {text!r}")
    name = f"override {text!r}"
    return key.strip(), _plain(_load(value, name), name, (), {})


def nest(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Nested from dotted keys: `{"rule.update": 1, "rule": {"k": 2}}` -> `{"rule": {"update": 1, "k": 2}}`."""
    nested: dict[str, Any] = {}
    for key, value in values.items():
        *groups, last = str(key).split(".")
        target = nested
        for group in groups:
            inner = target.setdefault(group, {})
            if not isinstance(inner, dict):
                inner = target[group] = {}
            target = inner
        if isinstance(value, Mapping):
            target[last] = merge(target.get(last), nest(value))
        else:
            target[last] = value
    return nested


def merge(base: Any, over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the entries of `over` in place of its own, mapping by mapping."""
    merged = dict(base) if isinstance(base, Mapping) else {}
    for key, value in over.items():
        merged[key] = merge(merged.get(key), value) if isinstance(value, Mapping) else value
    return merged


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The inverse of `nest`: one level, dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def split_keys(path: KeyPath) -> KeyPath:
    """The path with dotted keys split: `("axes", "neuron.tau")` -> `("axes", "neuron", "tau")`."""
    parts: list[str | int] = []
    for key in path:
        parts += key.split(".") if isinstance(key, str) else [key]
    return tuple(parts)


def _load(text: str, name: str) -> Any:
    try:
        return YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}" if mark is not None else name
        problem = (error.problem or error.context or "cannot be parsed").splitlines()[0]
        raise UserError(f"{place}: not valid YAML: {problem}") from error
    except YAMLError as error:
        raise UserError(f"{name}: not valid YAML: {str(error).splitlines()[0]}") from error


def _plain(value: Any, name: str, path: KeyPath, lines: dict[KeyPath, int]) -> Any:
    """Replace ruamel's values by built-in ones, and record the line of every entry in `lines`.

    Raises:
        UserError: a setting is given twice, dotted and nested.
    """
    if isinstance(value, CommentedMap):
        plain = {}
        for key, item in value.items():
            inner = (*path, *split_keys((str(key),)))
            if key in (value.lc.data or {}):  # merged and tagged entries have no line of their own
                line = value.lc.key(key)[0] + 1
                if inner in lines and not isinstance(item, CommentedMap):
                    given = ".".join(map(str, inner))
                    raise UserError(f"{name}:{line}: {given} must be given once, got it in line {lines[inner]} too")
                lines[inner] = line
            plain[str(key)] = _plain(item, name, inner, lines)
        return plain
    if isinstance(value, CommentedSeq):
        for index in value.lc.data or {}:
            lines[(*path, index)] = value.lc.item(index)[0] + 1
        return [_plain(item, name, (*path, index), lines) for index, item in enumerate(value)]
    if isinstance(value, bool) or value is None:
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _kind(value: Any) -> str:
    return {type(None): "nothing", CommentedSeq: "a list"}.get(type(value), repr(value))
