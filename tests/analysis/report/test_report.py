"""The report: its content, and how the page behaves in a real browser."""

import json
import re
import tempfile
from shutil import which

import pandas as pd
import pytest

from analysis import load, tables
from analysis.report.charts import charts
from analysis.report.origin import Origin
from analysis.report.page import Sheet, page
from analysis.report.summary import summary
from analysis.tables import epoch_selection
from tests.analysis.synthetic import COMMIT, SyntheticSweep, write

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)

CHROMIUM = which("chromium") or which("chromium-browser") or which("google-chrome")
ATTACK = "ValueError: <script>document.title='broken'</script></script><img src=http://127.0.0.1:9/x>"
SWEEP = SyntheticSweep(
    "demo",
    {"rule.update": ["accumulate", "online"], "neuron.tau": [1.25, 2.0, 4.0]},
    seeds=6,
    epochs=12,
    baseline={"rule.update": "accumulate", "neuron.tau": 2.0},
    ends={
        (3, 1): ("failed", ATTACK, 0),
        (4, 2): ("diverged", "loss became nan", 6),
        (5, 0): ("stopped-early", None, 5),
    },
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write(SWEEP, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def text(store):
    runs, history = load.runs("demo", store=store), load.history("demo", store=store)
    return page(runs, history, tables.compare(runs), Origin.of("demo", store=store))


@pytest.fixture(scope="module")
def data(text):
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)


def test_page_holds_what_was_measured(store, data):
    runs, history = load.runs("demo", store=store), load.history("demo", store=store)
    charts = data["charts"]
    assert {name for name, chart in charts.items() if chart} == {
        *("curves", "responses", "maps", "layers", "fronts", "parallel")
    }
    first = charts["curves"]["test/top1"]["series"][0]
    finished = history[(history["variant"] == first["variant"]) & (history["metric"] == "test/top1")]
    expected = finished.groupby("epoch")["value"].mean().tolist()
    assert first["mean"] == pytest.approx(expected, rel=1e-4)
    assert first["low"][3] < first["mean"][3] < first["high"][3]
    labels = dict(zip(runs["variant"], runs["label"], strict=True))
    assert labels[data["stressed"][0]] == "rule.update=accumulate neuron.tau=2.0"
    assert len(charts["responses"]["neuron.tau"]["points"]) == 3


def test_bands_of_accuracies_near_1_stay_below_1(make_runs):
    runs = make_runs({("online", 1.0): [0.97, 0.99, 1.0], ("online", 2.0): [0.0, 0.01, 0.02]})
    rows = [(trial, 1, "test/top1", value) for trial, value in zip(runs["trial"], runs["test/top1"], strict=True)]
    history = pd.DataFrame(rows, columns=["trial", "epoch", "metric", "value"])
    comparison = tables.compare(runs)
    found = charts(runs, history, comparison)
    response, series = found["responses"]["neuron.tau"], found["curves"]["test/top1"]["series"]
    assert (comparison.table["ci_high"][0] > 1, comparison.table["ci_low"][1] < 0) == (True, True)  # the t intervals
    for level, curve in enumerate(series):
        assert 0 < response["low"][level] < response["mean"][level] < response["high"][level] < 1
        assert [response[end][level] for end in ("low", "high")] == [curve[end][0] for end in ("low", "high")]
    printed = next(one for one in Sheet.of(comparison).rows)
    assert any(cell.endswith(", 1.000]") for cell in printed), printed


def test_what_was_not_measured_has_no_figure(text):
    assert 'id="steps"' not in text
    assert 'id="layers"' in text


def test_names_and_reasons_are_escaped(text):
    assert "<script>document.title" not in text
    assert "&lt;script&gt;document.title" in text
    assert text.count("</script>") == 2


def test_unfinished_trials_are_listed_with_their_reasons(text):
    section = text[text.index('id="unfinished"') : text.index('id="all-trials"')]
    for word in ("failed", "diverged", "stopped-early", "loss became nan", "ValueError"):
        assert word in section
    assert section.count("<tr") == 1 + 3


def test_provenance_and_settings(text):
    for word in (COMMIT, "torch 2.11.0", "cuda: Synthetic GPU", "axes: &lt;as given&gt;", "vgg11_ws"):
        assert word in text


def test_nothing_is_fetched(text):
    assert "default-src 'none'" in text
    addresses = set(re.findall(r'(?:src|href)="([^"#][^"]*)"', text))
    assert addresses == {"data:,"}


def test_summary_does_not_overclaim(store):
    runs = load.runs("demo", store=store)
    sentences = summary(tables.compare(runs))
    assert sentences[0] == "6 variants, 33 of 36 trials finished (1 failed, 1 diverged, 1 stopped early)."
    assert "chosen on the test set" in sentences[1]
    assert sentences[-2].startswith("Detectable with 80% power: ")
    assert " with 6 seeds, " in sentences[-2]
    assert sentences[-1] == "0 of 5 tested differences to the baseline have an adjusted p of at most 0.05."
    one_seed = runs[runs["seed"] == 0]
    assert not any("etectable" in sentence for sentence in summary(tables.compare(one_seed)))
    assert summary(tables.compare(one_seed))[-1] == "No difference was tested: too few seeds."


def test_the_rule_is_on_the_page(store):
    runs, history = load.runs("demo", store=store), load.history("demo", store=store)
    chosen = epoch_selection.select(runs, history, rule="paper", metric="test/top1")
    assert "OPTIMISTIC" in page(chosen, history, tables.compare(chosen), Origin.of("demo", store=store))


def test_a_sweep_of_which_nothing_ran(tmp_path):
    ends = {(cell, seed): ("missing", None, 0) for cell in range(2) for seed in range(2)}
    uri = write(SyntheticSweep("empty", {"neuron.tau": [1.0, 2.0]}, seeds=2, ends=ends), tmp_path)
    runs, history = load.runs("empty", store=uri), load.history("empty", store=uri)
    text = page(runs, history, tables.compare(runs), Origin.of("empty", store=uri))
    assert "2 variants, 0 of 4 trials finished (4 missing)." in text
    assert "none started" in text


@pytest.fixture(scope="module")
def browser(text, tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    flags = ("headless", "no-sandbox", "disable-gpu", "disable-background-networking", "disable-component-update")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (
            *flags,
            "disable-sync",
            "force-prefers-reduced-motion",
            "window-size=1300,1000",
            f"user-data-dir={profile}",
        ):
            options.add_argument(f"--{flag}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = which("chromedriver")
        if driver is None:
            pytest.skip("no chromedriver is installed")
        found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        path = tmp_path_factory.mktemp("page") / "demo.html"
        path.write_text(text, encoding="utf-8")
        found.get(path.as_uri())
        yield found
        found.quit()


def column(browser, place):
    rows = "[...document.querySelectorAll('#variants tbody tr:not([hidden])')]"
    return browser.execute_script(f"return {rows}.map(row => row.cells[arguments[0]].textContent)", place)


def click(browser, selector):
    browser.execute_script("document.querySelector(arguments[0]).click()", selector)


def test_page_loads_without_errors_or_requests(browser):
    assert browser.title == "demo"
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [one["params"] for one in events if one["method"] == "Network.requestWillBeSent"]
    ours = [one["request"]["url"] for one in sent if one["documentURL"].startswith("file:")]
    assert [url for url in ours if not url.startswith(("file:", "data:"))] == []
    assert any(url.endswith("demo.html") for url in ours)
    drawn = browser.execute_script("return document.querySelectorAll('.chart > svg').length")
    assert drawn == 6


def test_the_page_could_not_reach_the_network_if_it_tried(browser):
    browser.execute_script("new Image().src = 'http://127.0.0.1:9/picture.png'")
    (entry,) = browser.get_log("browser")
    assert "Content Security Policy" in entry["message"]


def test_sorting_by_numbers_both_ways(browser):
    head = "#variants thead th:nth-child(6) .sort"  # test/top1
    click(browser, head)
    rising = [float(cell.split()[0]) for cell in column(browser, 5)]
    click(browser, head)
    falling = [float(cell.split()[0]) for cell in column(browser, 5)]
    assert rising == sorted(rising)
    assert falling == sorted(rising, reverse=True)
    assert len(set(rising)) == 6
    state = browser.execute_script("return document.querySelectorAll('#variants [aria-sort]').length")
    assert state == 1


def test_filtering_keeps_rows_with_every_word(browser):
    box = browser.find_element("id", "filter")
    box.send_keys("online 1.25")
    assert column(browser, 1) == ["online"]
    assert browser.find_element("id", "shown").text == "1 of 6 variants"
    box.clear()
    box.send_keys("x")
    box.send_keys("\b")
    assert len(column(browser, 1)) == 6


def test_hidden_columns_are_not_copied(browser):
    copied = "return asMarkdown(inView(document.getElementById('variants')))"
    assert "| rule.update | neuron.tau |" in browser.execute_script(copied)
    click(browser, "#columns label:nth-child(2) input")
    text = browser.execute_script(copied)
    assert text.startswith("| rule.update | done |")
    assert text.count("\n") == 7
    click(browser, "#columns label:nth-child(2) input")
    latex = browser.execute_script("return asLatex(inView(document.getElementById('variants')))")
    assert latex.startswith("\\begin{tabular}{lrrlrrrr")
    assert " $\\pm$ " in latex
    assert "[95\\%]" in latex


def test_ticked_variants_are_in_colour(browser):
    strokes = (
        "return [...document.querySelectorAll('#curves .series > path:not(.band)')]"
        ".map(path => path.getAttribute('stroke'))"
    )
    every = browser.execute_script(strokes)
    assert sorted(every) == [f"var(--series-{look})" for look in range(6)]
    click(browser, "#variants tr:not(.baseline) input")
    fewer = browser.execute_script(strokes)
    assert fewer.count("var(--rest)") == 1
    assert len(set(fewer)) == 6
    assert "1 other" in browser.find_element("css selector", "#curves .legend").text
    click(browser, "#variants tr:not([data-look]) input")
    assert sorted(browser.execute_script(strokes)) == sorted(every)


def test_the_baseline_has_the_colour_of_text_and_keeps_it(browser):
    own = (
        "const id = document.querySelector('#variants tr.baseline').dataset.variant;"
        "return document.querySelector(`#curves [data-variant='${id}'] path:not(.band)`).getAttribute('stroke')"
    )
    assert browser.execute_script(own) == "var(--series-0)"
    click(browser, "#variants tr.baseline input")
    click(browser, "#variants tr:not(.baseline) input")
    click(browser, "#variants tr:not(.baseline) input")
    assert browser.execute_script(own) == "var(--rest)"
    used = "return document.querySelectorAll('#curves [stroke=\"var(--series-0)\"]').length"
    assert browser.execute_script(used) == 0
    click(browser, "#variants tr.baseline input")
    assert browser.execute_script(own) == "var(--series-0)"


def test_a_legend_names_each_variant_in_colour(browser):
    entries = [item.text for item in browser.find_elements("css selector", "#curves .legend li")]
    assert len(entries) == 6
    assert "rule.update=accumulate neuron.tau=2.0 (baseline)" in entries
    faded = "return [...document.querySelectorAll('#curves .faded')].length"
    move = "document.querySelector('#curves .legend li').dispatchEvent(new PointerEvent(arguments[0]))"
    browser.execute_script(move, "pointerenter")
    assert browser.execute_script(faded) == 5
    browser.execute_script(move, "pointerleave")
    assert browser.execute_script(faded) == 0


def test_parallel_coordinates_are_coloured_by_the_metric(browser, data):
    strokes = browser.execute_script(
        "return Object.fromEntries([...document.querySelectorAll('#parallel .series')]"
        ".map(one => [one.dataset.variant, one.firstChild.getAttribute('stroke')]))"
    )
    chart = data["charts"]["parallel"]
    low, high = min(chart["mean"]), max(chart["mean"])
    shades = {
        variant: f"var(--map-{round((mean - low) / (high - low) * 12)})"
        for variant, mean in zip(chart["variant"], chart["mean"], strict=True)
    }
    assert strokes == shades
    assert len(set(shades.values())) >= 4
    bar = "return [...document.querySelectorAll('#parallel rect[fill]')].map(one => one.getAttribute('fill'))"
    assert browser.execute_script(bar) == [f"var(--map-{shade})" for shade in range(13)]


def test_pointing_at_a_line_of_parallel_coordinates_fades_the_others(browser, data):
    from selenium.webdriver import ActionChains

    chart = browser.find_element("css selector", "#parallel svg")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
    x, y = browser.execute_script(
        "const box = arguments[0].getBoundingClientRect();"
        "const line = document.querySelector('#parallel .series path').getAttribute('d');"
        "const points = line.match(/[\\d.]+/g).map(Number);"
        "return [(points[0] + points[2]) / 2 - box.width / 2, (points[1] + points[3]) / 2 - box.height / 2]",
        chart,
    )
    ActionChains(browser).move_to_element_with_offset(chart, round(x), round(y)).perform()
    left = browser.execute_script(
        "return [...document.querySelectorAll('#parallel .series:not(.faded)')].map(one => one.dataset.variant)"
    )
    chart = data["charts"]["parallel"]
    worst = chart["variant"][chart["mean"].index(min(chart["mean"]))]  # drawn first
    assert left == [worst]


def test_layers_are_counted_from_one(browser):
    ticks = "return [...document.querySelectorAll('#layers svg text')].map(one => one.textContent)"
    texts = browser.execute_script(ticks)
    assert {"1", "2", "3", "4", "spiking layer, from the input"} <= set(texts)
    browser.find_element("css selector", "#layers .chart > svg").send_keys("\ue014")
    assert "spiking layer 1 of 4: " in browser.find_element("css selector", "#layers .tip").text


def test_values_by_pointer_and_by_keyboard(browser):
    chart = browser.find_element("css selector", "#fronts svg")
    chart.send_keys("\ue014")  # arrow right
    tip = browser.find_element("css selector", "#fronts .tip")
    assert "test/top1 0.9" in tip.text
    first = tip.text
    chart.send_keys("\ue014")
    assert tip.text != first
    from selenium.webdriver import ActionChains
    from selenium.webdriver.support.wait import WebDriverWait

    chart = browser.find_element("css selector", "#curves svg")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
    ActionChains(browser).move_to_element(chart).move_by_offset(5, 5).perform()
    tip = browser.find_element("css selector", "#curves .tip")
    WebDriverWait(browser, 5).until(lambda _: tip.is_displayed())
    assert re.search(r"epoch \d+: 0\.\d+ \[0\.\d+, 0\.\d+\]", tip.text)


def test_choices_redraw(browser):
    select = (
        "const s = document.querySelector('#responses select');"
        "s.value = arguments[0]; s.dispatchEvent(new Event('change'))"
    )
    browser.execute_script(select, "neuron.tau")
    texts = "return [...document.querySelectorAll('#responses svg text')].map(t => t.textContent)"
    assert {"1.25", "2", "4", "neuron.tau"} <= set(browser.execute_script(texts))
    browser.execute_script(select, "rule.update")
    assert {"accumulate", "online"} <= set(browser.execute_script(texts))
