"""Groups of settings that many trials share: made, checked and flattened once.

The trials of a sweep differ in a few settings, and each value of these occurs in many of them.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from ottt.config.groups import Section
from ottt.config.yaml_reader import flatten, merge

MOST = 4096  # groups that are kept


class _Same:
    """A group as a key that is equal to itself only: 0.0 and -0.0 are equal, but not the same setting."""

    def __init__(self, group: Section) -> None:
        self.group = group

    def __hash__(self) -> int:
        return id(self.group)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.group is other.group


def changed_group(group: Section, over: Mapping[str, Any]) -> Section | dict[str, Any]:
    """The group with the settings `over`; plain values in place of one that is not valid."""
    try:
        text = json.dumps(over)
    except (TypeError, ValueError):  # not plain values: the check of the trial says so
        return merge(group.model_dump(), over)
    return _changed(_Same(group), text) or merge(group.model_dump(), over)


def flat_group(name: str, group: Section) -> Mapping[str, Any]:
    """The settings of the group `name` by dotted key, as JSON has them."""
    return _flat(name, _Same(group))


@lru_cache(MOST)
def _changed(group: _Same, over: str) -> Section | None:
    kind = type(group.group)
    try:
        return kind.model_validate(merge(group.group.model_dump(), json.loads(over)))
    except ValidationError:
        return None


@lru_cache(MOST)
def _flat(name: str, group: _Same) -> Mapping[str, Any]:
    return flatten(group.group.model_dump(mode="json"), f"{name}.")
