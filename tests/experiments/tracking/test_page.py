"""The MLflow page of a sweep, in a browser: what its saved views show, and the report."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from experiments.planning.plan import SweepPlan, expand
from experiments.results.trial_records import Epoch
from experiments.tracking.page.saved_view import LONGEST, TRIALS, VARIANTS, page_of, view_link, view_tags
from ottt.schema import Status
from tests.browser import chromium
from tests.experiments.mlflow_sweeps import Opened, record, rows
from tests.experiments.servers import TrackingServer, serving
from tests.experiments.specs import spec

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)

WAIT_S = 180.0  # for the page, on a busy machine
SERVED = "http://127.0.0.1:5000"  # by default
LISTED = """\
const links = [...document.querySelectorAll('[role=gridcell] a')].map(link => link.textContent);
return links.filter(Boolean)
"""
DRAWN = """\
const plot = document.querySelector('.js-plotly-plot');
return plot ? [...new Set(plot.data.map(line => line.uuid).filter(Boolean))] : []
"""
EXPAND = """\
const link = [...document.querySelectorAll('[role=gridcell] a')].find(link => link.textContent === 'paged');
link.closest('[role=gridcell]').querySelector('button').click();
"""


@pytest.fixture
def planned() -> SweepPlan:
    """Twelve trials: MLflow draws ten unless told otherwise."""
    axes = {"neuron.tau": [1.25, 2.0, 4.0], "rule.update": ["accumulate", "online"]}
    return expand(spec(name="paged", axes=axes, seeds=2))


@pytest.fixture
def link(opened: Opened, planned: SweepPlan) -> str:
    """The link to the sweep in the store, as the command prints it."""
    sweep_runs = opened(planned)
    for trial in planned.trials:
        values = [{"val/top1": 1 - 0.5 / epoch, "train/loss": 1 / epoch} for epoch in (1, 2, 3)]
        lines = [Epoch(epoch, 10.0 + epoch, one) for epoch, one in enumerate(values, start=1)]
        sweep_runs.reconcile(trial, record(trial, Status.FINISHED), lines)
    sweep_runs.summarize()
    sweep_runs.close(Status.FINISHED)
    assert sweep_runs.link is not None
    return sweep_runs.link


@pytest.fixture
def browser() -> Iterator["Chrome"]:
    with chromium(width=1400, height=1600) as found:  # the page holds only the rows in sight
        yield found


@pytest.fixture
def server(link: str, folder: Path, browser: "Chrome") -> Iterator[TrackingServer]:
    """Serves the sweep; it starts only where there is a browser."""
    with serving(folder) as found:
        yield found


def waited(browser: "Chrome", script: str, count: int) -> list[Any]:
    """What the script returns, once it returns `count` values."""
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(browser, WAIT_S).until(lambda page: len(page.execute_script(script)) == count)
    return list(browser.execute_script(script))


def names() -> list[str]:
    parts = product(("1.25", "2", "4"), ("accumulate", "online"), (0, 1))
    return sorted(f"tau={tau} {update} s{seed}" for tau, update, seed in parts)


def text(browser: "Chrome") -> str:
    """What the page shows, its frame included."""
    found = str(browser.execute_script("return document.body.innerText"))
    for frame in browser.find_elements("tag name", "iframe"):
        browser.switch_to.frame(frame)
        found += str(browser.execute_script("return document.body.innerText"))
        browser.switch_to.default_content()
    return found


def test_the_printed_link_lists_every_trial_and_draws_every_variant(
    browser: "Chrome", server: TrackingServer, folder: Path, link: str
) -> None:
    browser.get(link.replace(SERVED, server.uri))
    assert sorted(waited(browser, LISTED, 12)) == names()
    assert sorted(waited(browser, DRAWN, 6)) == sorted({f"tag.ottt.name.{name[:-3]}" for name in names()})
    browser.get("about:blank")
    browser.get(view_link(server.uri, "1", TRIALS))
    trials = rows(folder, "SELECT run_uuid FROM tags WHERE key = 'ottt.trial'")
    assert sorted(waited(browser, DRAWN, 12)) == sorted(run for (run,) in trials)


def test_without_the_view_the_runs_are_under_their_parent_with_report_and_comparison(
    browser: "Chrome", server: TrackingServer, folder: Path
) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    browser.get(f"{server.uri}/#/experiments/1/runs")
    assert waited(browser, LISTED, 1) == ["paged"]
    browser.execute_script(EXPAND)
    assert sorted(waited(browser, LISTED, 13)) == sorted(["paged", *names()])
    [[parent]] = rows(folder, "SELECT run_uuid FROM runs WHERE name = 'paged'")
    for file, shown in (("report.html", "12 of 12 trials finished"), ("comparison.md", "2/2")):
        browser.get(f"{server.uri}/#/experiments/1/runs/{parent}/artifacts/{file}")
        WebDriverWait(browser, WAIT_S).until(lambda page, shown=shown: shown in text(page))


def test_a_view_fits_its_tag_and_is_the_same_each_time() -> None:
    tags = view_tags("val/top1")
    assert tags == view_tags("val/top1")
    assert tags != view_tags("val/loss")
    assert [key.rpartition(".")[2] for key in tags] == [VARIANTS, TRIALS]
    assert max(map(len, tags.values())) < LONGEST / 2


def test_a_server_has_its_own_page_and_a_database_that_of_the_command() -> None:
    assert page_of("http://me:secret@lab:5000/", served=SERVED) == "http://lab:5000"
    assert page_of("postgresql://me:secret@lab/mlflow", served=SERVED) == SERVED
    assert page_of("databricks", served=SERVED) is None


def test_views_that_were_changed_are_written_again(opened: Opened, folder: Path, planned: SweepPlan) -> None:
    opened(planned)
    query = "SELECT value FROM experiment_tags WHERE key LIKE 'mlflow.sharedViewState.%' ORDER BY key"
    before = rows(folder, query)
    assert len(before) == 2
    opened(expand(planned.spec.model_copy(update={"metric": "val/loss"})))
    assert all(new != old for new, old in zip(rows(folder, query), before, strict=True))
    opened(planned)
    assert rows(folder, query) == before
