"""Files, anchors, commands, options, messages and settings named on the pages exist."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from docs import messages
from experiments.cli import app
from experiments.sweep_spec.read import read_spec
from experiments.sweep_spec.studies import STUDIES
from ottt.config.load import load_config
from ottt.errors import UserError
from tests.docs.markdown import PAGES, ROOT, anchors, blocks, inline, links, prose

TROUBLESHOOTING = ROOT / "docs" / "troubleshooting.md"
COMMAND = typer.main.get_command(app)
IDS = [str(page.relative_to(ROOT)) for page in PAGES]


def commands(page: Path) -> list[str]:
    """All `ottt ...` commands on the page, in blocks and in the text."""
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


def mistakes(command: str) -> list[str]:
    """Errors in the command: unknown commands, options and settings, missing values."""
    words = shlex.split(command, comments=True)
    words = words[words.index("ottt") + 1 : words.index(">") if ">" in words else None]
    current = COMMAND
    while groups := getattr(current, "commands", None):
        if words and words[0] in groups:
            current = groups[words.pop(0)]
        elif current.name == "runs" and words:
            current = groups["query"]
        else:
            known = {"...", "--help", "--debug", *(option for parameter in current.params for option in parameter.opts)}
            return [word for word in words if word not in known]
    if words in ([], ["..."], ["--help"]):
        return []
    try:
        given = current.make_context("ottt", words).params
    except typer.TyperException as error:
        return [error.format_message()]
    return unknown_keys(given)


def unknown_keys(given: dict[str, Any]) -> list[str]:
    """Errors about overrides with unknown keys."""
    found = []
    for text in given.get("overrides") or given.get("config") or ():
        try:
            if "spec" in given:
                read_spec(STUDIES / "quickstart.yaml", [text])
            elif "=" in text:
                load_config(overrides=[text])
        except UserError as error:
            found += [problem for problem in error.problems if "not a known key" in problem]
    return found


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_commands_options_and_settings_exist(page: Path) -> None:
    assert {command: wrong for command in commands(page) if (wrong := mistakes(command))} == {}


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("ottt sweep ran quickstart", "ran"),
        ("ottt sweep run quickstart --fast", "No such option: --fast"),
        ("ottt sweep run quickstart --results", "Option '--results' requires an argument."),
        ("ottt sweep export --to folder", "Missing argument 'SWEEP'."),
        ("ottt sweep run quickstart epoch=2", "epoch is not a known key"),
        ("ottt sweep run quickstart 'axes.neuron.tua=[1.0]'", "neuron.tua is not a known key"),
        ("ottt train digits neuron.tua=4", "neuron.tua is not a known key"),
        ("ottt trian digits", "trian"),
    ],
)
def test_mistakes_are_noticed(command: str, wrong: str) -> None:
    assert wrong in mistakes(command)[0]


def test_quoted_messages_occur_in_the_code() -> None:
    sources = messages.texts()
    rows = [line for line in prose(TROUBLESHOOTING).splitlines() if line.startswith("| `")]
    quoted = [row.split("`")[1] for row in rows]
    assert len(quoted) > 80
    for message in quoted:
        fragments = [part for part in message.split("…") if len(part.strip()) > 4]
        assert fragments, message
        missing = [part for part in fragments if not any(part in source for source in sources)]
        assert missing == [], message


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_pages_name_no_place_of_one_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"/(?:home|root|tmp)/", text) == []
