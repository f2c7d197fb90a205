"""The entries of a spec given in Python, as a YAML file would give them."""

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel

from ottt.config.bounded_yaml import MAX_DEPTH
from ottt.config.trial import TrialConfig
from ottt.config.yaml_reader import Document, KeyPath, split_keys
from ottt.errors import UserError, brief

NAME = "spec"  # what errors call the place


def document_of(values: Mapping[str, Any]) -> Document:
    """The document with these entries; keys can be dotted or nested.

    Tuples, ranges and arrays are lists, numbers of NumPy are numbers, paths are text, and a `TrialConfig` is its
    settings without the seed.

    Raises:
        UserError: a value of another kind, or a setting that is given twice.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{NAME}: must be a mapping of a spec's entries, got {brief(values)}")
    plain = _plain(values, ())
    given: set[KeyPath] = set()
    for path in _leaves(plain):
        if path in given:
            raise UserError(f"{NAME}: {_dotted(path)} must be given once, got it dotted and nested")
        given.add(path)
    return Document(NAME, plain)


def _plain(value: Any, path: KeyPath) -> Any:
    if len(path) > MAX_DEPTH:
        raise UserError(f"{NAME}: keys must have at most {MAX_DEPTH} parts, got {brief(_dotted(path))}")
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    match value:
        case Mapping():
            return {_key(key): _plain(item, (*path, *split_keys((_key(key),)))) for key, item in value.items()}
        case list() | tuple() | range():
            return [_plain(item, (*path, index)) for index, item in enumerate(value)]
        case PurePath():
            return str(value)
        case BaseModel():
            return value.model_dump(mode="json", exclude={"seed"} if isinstance(value, TrialConfig) else None)
    if hasattr(value, "tolist"):  # arrays and numbers of NumPy, columns of pandas
        return _plain(value.tolist(), path)
    at = _dotted(path) or "a value"
    raise UserError(f"{NAME}: {at} must be a number, text, a list or settings, got {brief(value)}")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise UserError(f"{NAME}: keys must be text, got {brief(key)}")
    return str(key)


def _leaves(value: Mapping[str, Any], path: KeyPath = ()) -> Iterator[KeyPath]:
    """Path of every entry that is no mapping itself."""
    for key, item in value.items():
        inner = (*path, *split_keys((key,)))
        if isinstance(item, Mapping):
            yield from _leaves(item, inner)
        else:
            yield inner


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))
