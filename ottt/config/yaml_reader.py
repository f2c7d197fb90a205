"""YAML files with the line of every entry, `key.path=value` overrides, and conversion between dotted and nested keys.

YAML 1.2: `on`, `yes` and `1:30` are strings, `1e-3` is a number, and a repeated key is an error. `bounded_yaml` says
how much is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from ottt.config.bounded_yaml import MAX_DEPTH, load_yaml, read_text
from ottt.errors import UserError, brief

KeyPath = tuple[str | int, ...]

_NO_GROUPS = (str, int, float, type(None), list, tuple)  # told apart faster than a Mapping


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
    loaded = load_yaml(read_text(path), str(path))
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
        raise UserError(f"override must read key.path=value, got {brief(text)}")
    name = f"override {brief(text)}"
    path = _bounded(split_keys((key.strip(),)), name)
    return key.strip(), _plain(load_yaml(value, name), name, path, {})


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
        if not isinstance(value, _NO_GROUPS) and isinstance(value, Mapping):
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


def _plain(value: Any, name: str, path: KeyPath, lines: dict[KeyPath, int]) -> Any:
    """Replace ruamel's values by built-in ones, and record the line of every entry in `lines`.

    Raises:
        UserError: a setting is given twice, dotted and nested; a value that is no number, text, list or mapping.
    """
    if isinstance(value, CommentedMap):
        plain = {}
        for key, item in value.items():
            if isinstance(key, tuple | Mapping):
                raise UserError(f"{name}: keys must be text, got {brief(key)}")
            inner = _bounded((*path, *split_keys((str(key),))), name)
            if key in (value.lc.data or {}):  # merged and tagged entries have no line of their own
                line = value.lc.key(key)[0] + 1
                if inner in lines and not isinstance(item, CommentedMap):
                    raise UserError(
                        f"{name}:{line}: {_dotted(inner)} must be given once, got it in line {lines[inner]} too"
                    )
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
    at = Document(name, {}, lines).place(path)
    raise UserError(f"{at}: {_dotted(path)} must be a number, text, a list or settings; quote it if it is text")


def _bounded(path: KeyPath, name: str) -> KeyPath:
    if len(path) > MAX_DEPTH:
        raise UserError(f"{name}: keys must have at most {MAX_DEPTH} parts, got {brief(_dotted(path))}")
    return path


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))


def _kind(value: Any) -> str:
    return {type(None): "nothing", CommentedSeq: "a list"}.get(type(value), brief(value))
