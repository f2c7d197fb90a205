"""Blocks, links and quoted messages of Markdown files."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")])

_FENCE = re.compile(r"^```(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block, opened by ```language file."""

    language: str
    file: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The lines that are `ottt` commands, comments included."""
        return [line for line in self.text.splitlines() if re.match(r"(\w+=\S+ )?ottt ", line)]


def blocks(page: Path) -> Iterator[Block]:
    for info, text in _FENCE.findall(page.read_text(encoding="utf-8")):
        language, _, file = info.strip().partition(" ")
        yield Block(language, file, text)


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """Link anchors of the headings, as GitHub and GitLab derive them."""
    found = _HEADING.findall(prose(page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def inline(page: Path) -> list[str]:
    """Texts in single backticks."""
    return re.findall(r"`([^`\n]+)`", prose(page))
