"""The report's figure of the metric and the costs by the number of time steps, in a real browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis import tables
from analysis.report.charts import charts
from analysis.report.origin import Origin
from analysis.report.page import page
from tests.analysis.conftest import MakeRuns
from tests.browser import chromium

NO_HISTORY = pd.DataFrame(columns=["trial", "variant", "seed", "epoch", "metric", "value"])


@pytest.fixture
def runs(make_runs: MakeRuns) -> pd.DataFrame:
    """Two rules at three numbers of time steps, of which `rule.k` is the half."""
    settings = [(rule, T, T // 2) for rule in ("ottt", "bptt") for T in (4, 8, 16)]
    found = make_runs({one: [0.9, 0.8] for one in settings}, axes=["rule.name", "T", "rule.k"])
    memory = {"ottt": 500.0, "bptt": 100.0}
    grown = [
        memory[rule] * (1 if rule == "ottt" else T) + seed
        for rule, T, seed in zip(found["rule.name"], found["T"], found["seed"], strict=True)
    ]
    absent: dict[str, Any] = {"run_id": "r", "epochs_done": 1, "duration_s": 1.0, "reason": None, "device": "cpu"}
    times = {"commit": "c", "started": pd.Timestamp("2026-01-01", tz="UTC")}
    return found.assign(**absent, **times, **{"mem/peak_rss_mib": grown})


def test_the_chart_has_a_line_per_rule(runs: pd.DataFrame) -> None:
    found = charts(runs, NO_HISTORY, tables.compare(runs))["growth"]
    assert list(found) == ["test/top1", "mem/peak_rss_mib"]
    assert [one["mean"] for one in found["test/top1"]["series"]] == [pytest.approx([0.85] * 3)] * 2
    chart = found["mem/peak_rss_mib"]
    assert (chart["xLabel"], chart["yLabel"]) == ("T", "mem/peak_rss_mib, MiB")
    assert [(one["variant"], one["x"], one["mean"]) for one in chart["series"]] == [
        ("rule.name=ottt", [4, 8, 16], [500.5, 500.5, 500.5]),
        ("rule.name=bptt", [4, 8, 16], [400.5, 800.5, 1600.5]),
    ]


def test_a_sweep_at_one_number_of_steps_has_none(make_runs: MakeRuns) -> None:
    runs = make_runs({("a", 1.0): [0.9], ("b", 1.0): [0.8]}).assign(**{"mem/peak_rss_mib": 1.0})
    assert charts(runs, NO_HISTORY, tables.compare(runs))["growth"] == {}


@pytest.fixture
def browser(runs: pd.DataFrame, tmp_path: Path) -> Iterator[Any]:
    text = page(runs, NO_HISTORY, tables.compare(runs), Origin("c", False, "python 3", "name: demo\n"))
    (tmp_path / "demo.html").write_text(text, encoding="utf-8")
    with chromium() as found:
        found.get((tmp_path / "demo.html").as_uri())
        yield found


def test_the_page_draws_both_lines_with_a_legend_and_values(browser: Any) -> None:
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
    texts = "return [...document.querySelectorAll('#growth svg text')].map(one => one.textContent)"
    assert {"4", "8", "16", "T", "test/top1"} <= set(browser.execute_script(texts))
    browser.find_element("css selector", "#growth select option[value='mem/peak_rss_mib']").click()
    assert {"4", "8", "16", "T", "mem/peak_rss_mib, MiB"} <= set(browser.execute_script(texts))
    assert browser.execute_script("return document.querySelectorAll('#growth .series').length") == 2
    assert "rule.name=bptt" in browser.find_element("css selector", "#growth").text
    browser.find_element("css selector", "#growth .chart > svg").send_keys("\ue014")
    assert "T 4: " in browser.find_element("css selector", "#growth .tip").text
