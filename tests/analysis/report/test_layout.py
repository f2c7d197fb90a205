"""The page at several widths and in both modes: nothing cut, text that can be read, bands that stay in range."""

import re
from itertools import combinations

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex

from analysis import load, style, tables
from analysis.report.origin import Origin
from analysis.report.page import ASSETS, page
from analysis.report.palette import palette
from tests.analysis.synthetic import SyntheticSweep, write
from tests.browser import chromium

AXES = {
    "rule.update": ["accumulate", "online"],
    "neuron.tau": [1.5, 2.0],
    "neuron.surrogate.alpha": [1.0, 4.0],
    "neuron.surrogate.name": ["triangle", "sigmoid_derivative"],
    "data.augment.cutout": [0.5],
    "optim.weight_decay": [0.0005],
    "model.stochastic_depth": [0.25],
    "schedule.warmup_epochs": [5, 0],
}
# Every figure is as wide as its place, and columns are hidden as far as necessary.
LAID_OUT = """
const drawn = [...document.querySelectorAll('.chart > svg')].every((svg) => {
  const [drawn, wide] = [svg.viewBox.baseVal.width, svg.parentElement.clientWidth];
  return svg.closest('#parallel') ? drawn >= wide : drawn === wide;
});
const table = document.getElementById('variants');
const left = table.querySelectorAll('th[data-dispensable]:not([hidden])').length;
return drawn && (left === 0 || table.offsetWidth <= table.parentElement.clientWidth);
"""
# Protanopia and deuteranopia, on linear RGB: Machado, Oliveira and Fernandes, IEEE TVCG 15, 2009, table 1.
SIGHTS = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}
# Linear RGB to cone responses and their cube roots to Oklab: Ottosson, 2020.
CONES = [[0.4122215, 0.5363325, 0.0514460], [0.2119035, 0.6806995, 0.1073970], [0.0883025, 0.2817188, 0.6299787]]
OKLAB = [[0.2104543, 0.7936178, -0.0040720], [1.9779985, -2.4285922, 0.4505937], [0.0259040, 0.7827718, -0.8086758]]


def contrast(one, other):
    low, high = sorted((style.luminance(one), style.luminance(other)))
    return (high + 0.05) / (low + 0.05)


def variables(dark):
    """The page's colours by name."""
    text = f"{palette()}\n{(ASSETS / 'page.css').read_text()}"
    found = {False: {}, True: {}}
    for mode in re.finditer(r"(prefers-color-scheme: dark\) \{\s*)?:root \{(.*?)\}", text, re.DOTALL):
        found[mode[1] is not None] |= dict(re.findall(r"--([\w-]+): (#\w{6});", mode[2]))
    return found[False] | (found[True] if dark else {})


def oklab(colour, sight):
    shares = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(SIGHTS[sight]) @ linear, 0, 1)
    return np.array(OKLAB) @ np.cbrt(np.array(CONES) @ seen)


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_a_contrast_of_at_least_4_5(dark):
    colours = variables(dark)
    for text in ("ink", "soft", "accent"):
        for ground in ("paper", "raised"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for shade in range(13):
        assert contrast(colours[f"on-map-{shade}"], colours[f"map-{shade}"]) >= 4.5, shade
    assert contrast(colours["rest"], colours["paper"]) < 3  # the measure tells: what stands back would not pass


def test_the_two_modes_differ():
    light, dark = variables(dark=False), variables(dark=True)
    assert light.keys() == dark.keys()
    assert light["paper"] != dark["paper"]
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("dark", [False, True])
def test_lines_stand_out_from_the_paper_and_from_each_other(dark):
    colours = variables(dark)
    series = [colours[f"series-{look}"] for look in range(len(style.COLOURS))]
    for line in (*series, *(colours[f"map-{shade}"] for shade in range(13)), colours["accent"], colours["point"]):
        assert contrast(line, colours["paper"]) >= 2.99, line
    assert series[0].lower() == colours["ink"]
    for sight in SIGHTS:
        apart = min(np.linalg.norm(oklab(one, sight) - oklab(other, sight)) for one, other in combinations(series, 2))
        assert apart > 0.14, sight


def test_red_and_green_would_not_be_apart_for_all():
    red, green = "#a05000", "#507800"
    assert np.linalg.norm(oklab(red, "normal") - oklab(green, "normal")) > 0.14
    assert np.linalg.norm(oklab(red, "deuteranopia") - oklab(green, "deuteranopia")) < 0.1


def test_the_colour_map_is_a_part_of_viridis():
    viridis = matplotlib.colormaps["viridis"]
    for colours, ends in ((style.MAP, (0, 0.6)), (style.DARK_MAP, (0.35, 1))):
        assert list(colours) == [to_hex(viridis(place)) for place in np.linspace(*ends, len(colours))]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    wait = pytest.importorskip("selenium.webdriver.support.wait")
    folder = tmp_path_factory.mktemp("long")
    store = write(SyntheticSweep("a-sweep-with-a-long-name-" * 4, AXES, seeds=2, epochs=3), folder)
    name = "a-sweep-with-a-long-name-" * 4
    runs, history = load.runs(name, store=store), load.history(name, store=store)
    comparison = tables.compare(runs, by=list(AXES))
    path = folder / "long.html"
    path.write_text(page(runs, history, comparison, Origin.of(name, store=store)), encoding="utf-8")
    with chromium() as driver:
        driver.get(path.as_uri())
        wait.WebDriverWait(driver, 30).until(lambda driver: driver.execute_script(LAID_OUT))
        yield driver


@pytest.fixture(params=[1400, 390])
def width(request, browser):
    from selenium.webdriver.support.wait import WebDriverWait

    size = {"width": request.param, "height": 900, "deviceScaleFactor": 1, "mobile": request.param < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    WebDriverWait(browser, 30).until(lambda driver: driver.execute_script(LAID_OUT))
    yield request.param
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_only_boxes_scroll_sideways(browser, width):
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    outside = browser.execute_script(
        "return [...document.querySelectorAll('body *')]"
        ".filter(one => !one.closest('.scroll, pre, .skip, #parallel .chart, .menu > div'))"
        ".filter(one => one.getBoundingClientRect().right > innerWidth + 0.5).map(one => one.outerHTML.slice(0, 80))"
    )
    assert outside == []
    box = "const box = document.querySelector('#variants').parentElement; return [box.clientWidth, box.scrollWidth]"
    inner, content = browser.execute_script(box)
    assert inner < width
    assert browser.execute_script("return document.querySelector('.scroll').classList.contains('more')") == (
        content > inner
    )


def test_a_wide_element_would_be_seen(browser):
    browser.execute_script(
        "document.querySelector('main').append(html('p', {style: 'width: 3000px', id: 'wide'}, 'x'))"
    )
    assert browser.execute_script("return document.documentElement.scrollWidth") > 1300
    browser.execute_script("document.getElementById('wide').remove()")


def test_figures_keep_their_texts_inside(browser, width):
    cut = browser.execute_script(
        "return [...document.querySelectorAll('.chart > svg text')].filter(one => {"
        " const box = one.getBoundingClientRect(), all = one.ownerSVGElement.getBoundingClientRect();"
        " return box.left < all.left - 1 || box.right > all.right + 1 || box.bottom > all.bottom + 1; })"
        ".map(one => one.textContent)"
    )
    assert cut == []
    assert browser.execute_script("return document.querySelectorAll('.chart > svg text').length") > 40


def test_no_text_is_smaller_than_12_px(browser, width):
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('body *')]"
        ".filter(one => one.textContent.trim() && !one.closest('script'))"
        ".map(one => parseFloat(getComputedStyle(one).fontSize))"
    )
    assert min(sizes) >= 12
    assert max(sizes) > 20


def test_dispensable_columns_give_way_and_come_back(browser):
    hidden = (
        "return [...document.querySelectorAll('#variants th')].filter(one => one.hidden).map(one => one.textContent)"
    )
    note = browser.find_element("id", "left-out")
    names = browser.execute_script(hidden)
    assert "hours" in names
    assert note.text == f"Not shown for lack of width: {', '.join(names)}. To show them: Columns."
    assert not {"difference [95%]", "done", "neuron.tau"} & set(names)
    box = "return [...document.querySelectorAll('#columns label')].find(one => one.textContent.trim() === 'hours')"
    browser.execute_script(f"({box.replace('return ', '() => ')})().querySelector('input').click()")
    assert "hours" not in browser.execute_script(hidden)
    assert note.text == ""


def test_legends_of_long_labels_name_what_differs_from_the_baseline(browser):
    entries = [item.text for item in browser.find_elements("css selector", "#layers .legend li")]
    assert entries[0] == "baseline"
    assert all(len(entry) < 120 for entry in entries)
    assert any(entry.startswith("neuron.tau=2.0") for entry in entries)


def test_dark_mode_has_dark_paper(browser):
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = browser.execute_script(ground)
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    dark = browser.execute_script(ground)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(20, 23, 27)")
