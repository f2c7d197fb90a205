"""The MLflow page of a sweep, in a browser."""

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from experiments.planning.plan import expand
from ottt.schema import Status
from tests.browser import chromium
from tests.experiments.servers import serving
from tests.experiments.sinks import Opened, epochs, record
from tests.experiments.specs import spec

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)

WAIT_S = 180.0  # for the page, on a busy machine
LISTED = "return [...document.querySelectorAll('[role=gridcell] a')].map(link => link.textContent)"
EXPAND = """\
const link = [...document.querySelectorAll('[role=gridcell] a')].find(link => link.textContent === 'paged');
link.closest('[role=gridcell]').querySelector('button').click();
"""


def listed(browser: "Chrome", count: int) -> list[str]:
    """Names of the runs in the table, once there are `count`."""
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(browser, WAIT_S).until(lambda page: len(page.execute_script(LISTED)) == count)
    return sorted(browser.execute_script(LISTED))


def test_the_runs_of_a_sweep_are_listed_under_their_parent(opened: Opened, folder: Path) -> None:
    axes = {"neuron.tau": [2.0, 4.0], "rule.update": ["accumulate", "online"]}
    planned = expand(spec(name="paged", axes=axes, seeds=2))
    sink = opened(planned)
    for trial in planned.trials:
        sink.reconcile(trial, record(trial, Status.FINISHED), epochs(1))
    sink.close(Status.FINISHED)
    with chromium(width=1600) as browser, serving(folder) as server:
        browser.get(f"{server.uri}/#/experiments/1/runs")
        assert listed(browser, 1) == ["paged"]
        browser.execute_script(EXPAND)
        names = [
            f"tau={tau} update={update} seed={seed}"
            for tau, update, seed in product((2.0, 4.0), ("accumulate", "online"), (0, 1))
        ]
        assert listed(browser, 9) == ["paged", *names]
