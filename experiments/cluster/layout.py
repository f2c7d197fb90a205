"""The content of a launcher file of `ray up`, by meaning rather than by Ray's keys."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ottt.config.yaml_reader import Document, KeyPath, read_yaml
from ottt.errors import UserError

COMMANDS = (
    "initialization_commands",
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)
SETTINGS = "ottt.env"  # the first initialization command writes the settings to this file

_SETTING = re.compile(r"^\s*(?:export\s+)?(OTTT_[A-Z_]+)=(.*?)\s*$")


@dataclass(frozen=True)
class Command:
    """A shell command of the file.

    Attributes:
        path: path of keys to the command.
        text: the command.
    """

    path: KeyPath
    text: str


@dataclass(frozen=True)
class Setting:
    """A setting of the user.

    Attributes:
        place: `file:line`.
        value: value as written; "" if it is empty.
    """

    place: str
    value: str


@dataclass(frozen=True)
class Layout:
    """A launcher file.

    Attributes:
        document: values and lines of the file.
    """

    document: Document

    @classmethod
    def read(cls, path: Path) -> "Layout":
        """Read a launcher file.

        Raises:
            UserError: not YAML, or not a launcher file.
        """
        document = read_yaml(path)
        if "apiVersion" in document.values:
            raise UserError(f"{path}: must be a file of `ray up`; Kubernetes checks its own: kubectl apply --dry-run")
        return cls(document)

    @property
    def is_local(self) -> bool:
        """Whether the machines are the user's own, not rented."""
        return self.provider.get("type") == "local"

    @property
    def provider(self) -> Mapping[str, Any]:
        """The provider of the machines."""
        return self._mapping("provider")

    @property
    def docker(self) -> Mapping[str, Any]:
        """The container; empty without one."""
        return self._mapping("docker")

    def problem(self, path: KeyPath, text: str) -> str:
        """A line for the problem `text` at `path`."""
        return f"{self.document.place(path)}: {text}"

    def commands(self, *keys: str) -> Iterator[Command]:
        """The commands under `keys`, by default all."""
        for key in keys or COMMANDS:
            values = self.document.values.get(key)
            for index, text in enumerate(values if isinstance(values, list) else ()):
                yield Command((key, index), str(text))

    def settings(self) -> dict[str, Setting]:
        """The settings that the commands write to `SETTINGS`, by name."""
        found = {}
        for command in self.commands("initialization_commands"):
            if SETTINGS not in command.text:
                continue
            file, _, line = self.document.place(command.path).rpartition(":")
            for offset, text in enumerate(
                command.text.splitlines(), start=1
            ):  # the text starts on the line after its `|`
                if match := _SETTING.match(text):
                    found[match[1]] = Setting(f"{file}:{int(line) + offset}", match[2].strip("'\""))
        return found

    def node_types(self) -> dict[str, Mapping[str, Any]]:
        """Node types by name."""
        return {name: node for name, node in self._mapping("available_node_types").items() if isinstance(node, dict)}

    def run_options(self) -> str:
        """Options of the container on all machines, in one line."""
        values = self.docker.get("run_options")
        return " ".join(map(str, values if isinstance(values, list) else ()))

    def _mapping(self, key: str) -> Mapping[str, Any]:
        value = self.document.values.get(key)
        return value if isinstance(value, dict) else {}
