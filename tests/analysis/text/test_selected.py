"""Columns chosen by name, in every format."""

import csv
import io
import json

import pytest

from analysis import render
from analysis.tables.comparison import compare
from analysis.text.columns import columns
from analysis.text.selected import Selected, with_columns
from ottt.errors import UserError


@pytest.fixture
def comparison(make_runs):
    values = {("accumulate", 2.0): [0.90, 0.92, 0.91], ("online", 2.0): [0.93, 0.94, 0.96]}
    return compare(make_runs(values))


def headers(result, *, detailed=False):
    return [column.header for column in columns(result, detailed=detailed)]


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("update", "update"),
        ("rule.update", "rule.update"),
        ("test/top1", "test/top1 ± sd"),
        ("difference", "difference [95%]"),
        ("p", "p (Holm)"),
        ("interval", "95% interval"),
        ("95% interval", "95% interval"),
        ("P(better)", "P(better)"),
    ],
)
def test_a_column_has_its_heading_or_a_part_of_it_as_name(comparison, name, header):
    assert headers(Selected(comparison, [name])) == [header]
    assert headers(Selected(comparison, [name]), detailed=True) == [header]


def test_columns_come_in_the_order_of_the_names_once(comparison):
    assert headers(Selected(comparison, ["p", "done", "p"])) == ["p (Holm)", "done"]


def test_names_can_be_added_to_the_usual_columns(comparison):
    usual = headers(comparison)
    assert headers(Selected(comparison, ["interval"], adds=True)) == [*usual, "95% interval"]
    assert headers(Selected(comparison, ["done"], adds=True)) == [*(one for one in usual if one != "done"), "done"]


def test_what_was_chosen_is_shown_however_narrow_the_terminal_is(comparison):
    assert "P(better)" not in render.text(comparison, width=20).splitlines()[0]
    shown = render.text(Selected(comparison, ["update", "P(better)"]), width=20)
    assert shown.splitlines()[0].split() == ["update", "P(better)"]
    assert "Not shown" not in shown


def test_notes_and_the_best_mean_stay(comparison):
    markdown = render.markdown(Selected(comparison, ["update", "test/top1"]))
    assert "| online | **0.943 ± 0.015** |" in markdown
    assert markdown.endswith(render.markdown(comparison).split("\n\n")[1])


def test_csv_and_json_take_names_of_the_table(comparison):
    chosen = with_columns(comparison, ["label", "values", "mean", "label"])
    rows = list(csv.DictReader(io.StringIO(render.csv(chosen))))
    assert list(rows[0]) == ["label", "mean", "seed_0", "seed_1", "seed_2"]
    assert json.loads(render.json(chosen))["rows"][0].keys() == {"label", "values", "mean"}
    assert with_columns(comparison, ["mean"], adds=True).table.equals(comparison.table)


def test_an_unknown_name_is_answered_with_those_there_are(comparison):
    with pytest.raises(UserError, match=r"columns must be among update, done, .*; got 'diffrence' \(did you mean diff"):
        render.text(Selected(comparison, ["diffrence"]))
    with pytest.raises(
        UserError, match=r"columns must be among variant, label, .*; got 'mena' \(did you mean mean\?\)"
    ):
        with_columns(comparison, ["mena"], adds=True)
