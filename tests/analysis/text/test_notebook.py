"""Tables in notebooks: of every result, legible on any page."""

import re

import pytest

from analysis import render
from analysis.tables import importance, paper  # noqa: F401  # they register their columns
from analysis.tables.comparison import compare
from analysis.tables.pareto import front
from analysis.tables.two_way import cross
from analysis.tables.variance_explained import effects
from analysis.text.columns import columns
from analysis.text.notebook import InNotebooks
from analysis.text.selected import Selected
from tests.browser import chromium

VALUES = {
    ("accumulate", 1.5): [0.90, 0.92],
    ("accumulate", 2.0): [0.91, 0.94],
    ("online", 1.5): [0.93, 0.95],
    ("online", 2.0): [0.9, 0.91],
}
WHITE, BLACK = (255, 255, 255), (17, 17, 17)


@pytest.fixture
def runs(make_runs):
    return make_runs(VALUES)


@pytest.mark.parametrize(
    "made",
    [
        compare,
        effects,
        lambda runs: cross(runs, rows="neuron.tau", cols="rule.update"),
        lambda runs: front(runs.assign(**{"rate/total": 0.1}), metrics=("test/top1", "rate/total")),
        lambda runs: Selected(compare(runs), ["done"]),
    ],
)
def test_every_result_shows_its_table_and_notes(runs, made):
    result = made(runs)
    html = result._repr_html_()
    assert html == render.html(result)
    heads = re.findall(r"<th [^>]*>(.*?)</th>", html)
    assert heads == [column.header for column in columns(result, detailed=True)]
    assert html.count("<tr>") == 1 + len(columns(result, detailed=True)[0].cells)
    assert html.count("<li>") == len(result.notes)


def test_whatever_can_be_rendered_is_shown():
    rendered = [kind for kind in columns.registry if kind is not object]
    assert {kind.__name__ for kind in rendered} >= {"Comparison", "Importance", "Against", "Selected"}
    assert [kind.__name__ for kind in rendered if not issubclass(kind, InNotebooks)] == []


def luminance(colour):
    """Of a colour, as WCAG 2 defines it."""
    parts = [value / 255 for value in colour]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_text_is_as_legible_as_that_of_the_page_in_light_and_dark(runs, tmp_path):
    table = compare(runs)._repr_html_()
    page = tmp_path / "page.html"
    with chromium() as browser:
        for paper, ink in ((WHITE, (33, 33, 33)), (BLACK, (222, 222, 222))):
            style = f"background: rgb{paper}; color: rgb{ink}"
            page.write_text(f'<meta charset="utf-8"><body style="{style}">{table}</body>', encoding="utf-8")
            browser.get(page.as_uri())
            seen = browser.execute_script(
                "return [...document.querySelectorAll('table, tr, th, td, strong, li')].map(one => {"
                "const style = getComputedStyle(one); return [style.color, style.backgroundColor, style.opacity]; })"
            )
            assert len(seen) > 30
            assert {tuple(one) for one in seen} == {(f"rgb{ink}", "rgba(0, 0, 0, 0)", "1")}
            line = browser.execute_script(
                "return getComputedStyle(document.querySelector('thead')).borderBottomColor.match(/[\\d.]+/g)"
            )
            *grey, share = map(float, line)
            mixed = [share * over + (1 - share) * under for over, under in zip(grey, paper, strict=True)]
            assert contrast(mixed, paper) > 1.5
            assert contrast(ink, paper) > 7
