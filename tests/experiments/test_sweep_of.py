"""`Sweep.of`: a spec from Python, with the checks and messages of a file; what notebooks show of a sweep."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.planning.plan import SweepPlan
from experiments.sweep import Sweep
from ottt.config.load import load_config
from ottt.errors import UserError
from ottt.schema import Status
from tests.experiments.specs import recorded

AXES = {"neuron.tau": [1.5, 2.0], "rule.update": ["accumulate", "online"]}
VALUES: dict[str, Any] = {"name": "s", "base": {"preset": "digits", "T": 2}, "axes": AXES, "seeds": 2}


def hashes(sweep: Sweep) -> list[str]:
    return [trial.trial for trial in sweep.plan().trials]


def of(**changed: Any) -> Sweep:
    return Sweep.of(VALUES | changed)


def test_it_is_the_sweep_of_the_file_with_these_entries(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        "name: s\nbase: {preset: digits, T: 2}\nseeds: 2\n"
        "axes: {neuron.tau: [1.5, 2.0], rule: {update: [accumulate, online]}}\n",
        encoding="utf-8",
    )
    assert of().spec == Sweep.from_file(file).spec
    assert hashes(of()) == hashes(Sweep.from_file(file))
    assert hashes(Sweep.of(VALUES, overrides=["T=4"])) != hashes(of())


@pytest.mark.parametrize(
    "same",
    [
        {"seeds": range(2)},
        {"seeds": (0, 1)},
        {"seeds": np.arange(2)},
        {"axes": {"neuron": {"tau": np.array([1.5, 2.0])}, "rule.update": ("accumulate", "online")}},
        {"axes": {"neuron.tau": [np.float64(1.5), np.float32(2.0)], "rule.update": AXES["rule.update"]}},
        {"base": {"preset": "digits", "T": np.int64(2)}},
        {"base": load_config("digits", ["T=2"])},
    ],
)
def test_values_of_python_are_those_of_yaml(same: dict[str, Any]) -> None:
    assert hashes(of(**same)) == hashes(of())


@pytest.mark.parametrize(
    ("changed", "lines"),
    [
        (
            {"axs": {}, "metric": "test/top1"},
            [
                "spec: axs is not a known key (did you mean axes?), got a group of settings",
                "spec: metric must not be measured on test data",
            ],
        ),
        ({"axes": {"neuron.tau": [0.5, 2.0]}}, ["spec: neuron.tau must be >= 1 time steps, got 0.5"]),
        (
            {"axes": {"neuron.tau": {1.5, 2.0}}},
            ["spec: axes.neuron.tau must be a number, text, a list or settings, got {1.5, 2.0}"],
        ),
        ({"base": {"T": 2, "neuron.tau": 2.0, "neuron": {"tau": 3.0}}}, ["spec: base.neuron.tau must be given once"]),
        ({"base": {1: 2}}, ["spec: keys must be text, got 1"]),
    ],
)
def test_mistakes_are_lines_with_the_place_spec(changed: dict[str, Any], lines: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        of(**changed)
    starts = [line[: len(start)] for line, start in zip(caught.value.problems, lines, strict=True)]
    assert starts == lines


def test_entries_without_end_are_refused() -> None:
    endless: dict[str, Any] = {}
    endless["base"] = endless
    with pytest.raises(UserError, match="spec: keys must have at most 50 parts"):
        Sweep.of(endless)


def cells(html: str) -> list[list[str]]:
    """Texts of the body of a table, tags within cells included."""
    body = html.partition("<tbody")[2]
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", body)]


def test_a_plan_is_a_table_of_its_variants_with_the_baseline_bold() -> None:
    plan: SweepPlan = of(baseline={"neuron.tau": 2.0, "rule.update": "accumulate"}, seeds=[3, 5]).plan()
    html = plan._repr_html_()
    assert cells(html) == [
        ["1.5", "accumulate", "3, 5"],
        ["1.5", "online", "3, 5"],
        [f"<strong>{text}</strong>" for text in ("2.0", "accumulate", "3, 5")],
        ["2.0", "online", "3, 5"],
    ]
    assert "<li>s: 8 trials of 4 variants; bold: the baseline</li>" in html


def test_a_plan_shows_what_it_left_out() -> None:
    """Neurons of the kind if have no time constant."""
    sweep = of(base="digits", axes={"neuron.kind": ["if"], "neuron.tau": [1.5, 2.0]})
    assert "planned once</li>" in sweep.plan()._repr_html_()


def test_a_status_is_a_table_of_counts(tmp_path: Path) -> None:
    sweep = Sweep.of(VALUES, results=tmp_path)
    first, second, *_ = sweep.plan().trials
    recorded(sweep.place.records, first, Status.FINISHED)
    recorded(sweep.place.records, second, Status.FAILED)
    html = sweep.status()._repr_html_()
    assert cells(html)[0] == ["1.5", "accumulate", "1/2", "0", "1", "0", "0", "1"]
    assert cells(html)[1] == ["1.5", "online", "0/2", "0", "0", "0", "0", "2"]
    assert "<li>s: 1 of 8 trials done</li>" in html


def test_settings_are_escaped_and_a_status_shows_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATA_TOKEN", "s3cr3t-value")
    folders = ["<b>bold</b>", "s3cr3t-value/data"]
    sweep = Sweep.of(VALUES | {"axes": {"data.root": folders, "T": [1, 2]}, "seeds": 1}, results=tmp_path)
    html = sweep.status()._repr_html_()
    assert "&lt;b&gt;bold&lt;/b&gt;" in html
    assert "s3cr3t" not in html
