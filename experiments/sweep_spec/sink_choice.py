"""The sinks of a sweep in its spec: where epochs go besides the records."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_serializer

from ottt.config.groups import Section
from ottt.config.yaml_reader import KeyPath
from ottt.errors import UserError
from ottt.sinks.registry import find_sink


class SinkChoice(Section):
    """A sink of the sweep, in short its name.

    Attributes:
        name: tensorboard, wandb, or one that a plugin registers with `ottt.register_sink`.
        plugin: module or file.py that registers it; the content is no part of a trial's identity.
    """

    name: str
    plugin: str | None = None

    @model_serializer
    def _short(self) -> str | dict[str, str]:
        return self.name if self.plugin is None else {"name": self.name, "plugin": self.plugin}


def _named(entry: object) -> object:
    return {"name": entry} if isinstance(entry, str) else entry


def _listed(entries: object) -> object:
    """`tensorboard,wandb`, as an override has it without brackets."""
    return entries.split(",") if isinstance(entries, str) else entries


SinkChoices = Annotated[
    tuple[Annotated[SinkChoice, BeforeValidator(_named)], ...], BeforeValidator(_listed), Field(strict=False)
]


def wrong_sinks(choices: Sequence[SinkChoice]) -> Iterator[tuple[KeyPath, str]]:
    """Each sink exists, can be used here, and is given once."""
    seen: set[str] = set()
    for index, choice in enumerate(choices):
        path = ("sinks", index)
        try:
            find_sink(choice.name, plugin=choice.plugin)
        except UserError as error:
            yield from ((path, f"sinks.{index} {problem}") for problem in error.problems)
        if choice.name in seen:
            yield path, f"sinks must be different, got {choice.name!r} twice"
        seen.add(choice.name)


def sink_schema(name: dict[str, Any]) -> dict[str, Any]:
    """JSON schema of the sinks of a spec.

    Args:
        name: schema of the name of one.
    """
    whole = {
        "type": "object",
        "properties": {"name": name, "plugin": {"type": "string"}},
        "required": ["name"],
        "additionalProperties": False,
    }
    return {"anyOf": [{"type": "array", "items": {"anyOf": [name, whole]}}, name]}
