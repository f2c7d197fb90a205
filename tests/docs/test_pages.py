"""What the pages say exists: files, anchors, commands, options, messages, settings."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from experiments.cli import app
from tests.docs.markdown import PAGES, ROOT, anchors, blocks, inline, links, prose

TROUBLESHOOTING = ROOT / "docs" / "troubleshooting.md"
COMMAND = typer.main.get_command(app)
IDS = [str(page.relative_to(ROOT)) for page in PAGES]


def commands(page: Path) -> list[str]:
    """Every `ottt ...` on the page, in blocks and in the text."""
    found = [line for block in blocks(page) for line in block.commands]
    return found + [text for text in inline(page) if text.startswith("ottt ")]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in seen and page.suffix == ".md":
            seen.add(page)
            waiting += [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if "://" not in link]
    assert {page for page in PAGES if page.parent == ROOT / "docs"} - seen == set()


def unknown(command: str) -> list[str]:
    """What of the command line is not known to `ottt`."""
    words = shlex.split(command, comments=True)
    words = words[words.index("ottt") + 1 :]
    current, options = COMMAND, {"--help", "--debug"}
    while getattr(current, "commands", None):
        options |= {option for parameter in current.params for option in (*parameter.opts, *parameter.secondary_opts)}
        if words and words[0] in current.commands:
            current = current.commands[words.pop(0)]
        elif current.name == "runs":
            current = current.commands["query"]
        else:
            break
    if getattr(current, "commands", None) and words and not words[0].startswith("-") and words[0] != "...":
        return [words[0]]
    options |= {option for parameter in current.params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = [word.partition("=")[0] for word in words if word.startswith("-") and not word.strip("-").isdigit()]
    values = {"-test/top1", "-val/top1"}  # of --sort
    return [word for word in given if word not in options | values]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_commands_and_options_exist(page: Path) -> None:
    assert {command: wrong for command in commands(page) if (wrong := unknown(command))} == {}


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("ottt sweep ran quickstart", ["ran"]),
        ("ottt sweep run quickstart --fast", ["--fast"]),
        ("ottt trian digits", ["trian"]),
        ("ottt runs 'metrics.\"test/top1\" > 0.9' --sort -test/top1", []),
    ],
)
def test_the_walk_notices(command: str, wrong: list[str]) -> None:
    assert unknown(command) == wrong


def test_quoted_messages_occur_in_the_code() -> None:
    packages = ("ottt", "experiments", "analysis")
    sources = [path.read_text(encoding="utf-8") for package in packages for path in (ROOT / package).rglob("*.py")]
    rows = [line for line in prose(TROUBLESHOOTING).splitlines() if line.startswith("| `")]
    messages = [row.split("`")[1] for row in rows]
    assert len(messages) > 25
    for message in messages:
        fragments = [part for part in message.split("…") if len(part.strip()) > 4]
        assert fragments, message
        missing = [part for part in fragments if not any(part in source for source in sources)]
        assert missing == [], message


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_pages_name_no_place_of_one_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"/(?:home|root|tmp)/", text) == []
