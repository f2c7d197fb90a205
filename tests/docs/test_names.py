"""Every module, class and function that a page names exists."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from tests.docs.markdown import PAGES

DOTTED = re.compile(r"`((?:ottt|analysis|experiments)(?:\.\w+)+)(?:\(\))?`")
TAGS = re.compile(
    r"ottt\.(schema|kind|sweep|trial|variant|label|seed|status|reason|name|code|git_\w+|versions|device|fused|data_\w+|env|plugins)$"
)


def resolves(name: str) -> bool:
    """Whether the dotted name leads somewhere: modules as far as there are any, then attributes."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def test_a_name_that_does_not_exist_is_noticed() -> None:
    assert resolves("ottt.rules.Batch")
    assert not resolves("experiments.run.driver.Driver.no_such_method")
    assert not resolves("experiments.no_such_room")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_of_code_exist(page: Path) -> None:
    names = {name for name in DOTTED.findall(page.read_text(encoding="utf-8")) if not TAGS.match(name)}
    assert [name for name in sorted(names) if not resolves(name)] == []
