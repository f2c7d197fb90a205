"""What a table and a report cost per trial, variant and epoch, in function calls: seconds would be the machine's.

`python -m benchmarks.tables` has the seconds, for 1,000 trials.
"""

import cProfile
import pstats
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis import load
from analysis.report.origin import Origin
from analysis.report.page import page
from analysis.tables import compare
from tests.analysis.synthetic import SyntheticSweep, write

SEEDS, CELLS, EPOCHS, UPDATES = 3, 5, 10, ("accumulate", "online")
SLACK = 1.25
# Function calls when this was written, with pandas 3.0 and scipy 1.17. A data frame read variant by variant: 4,800 a
# variant in a table.
TABLE = {"trial": 250, "variant": 1050, "epoch": 0}
PAGE = {"trial": 950, "variant": 10_400, "epoch": 6}


def table(store: str) -> None:
    compare(load.runs("grid", store=store))


def report(store: str) -> None:
    runs, history = load.runs("grid", store=store), load.history("grid", store=store)
    page(runs, history, compare(runs), Origin.of("grid", store=store))


def calls(
    action: Callable[[str], None], folder: Path, *, seeds: int = SEEDS, cells: int = CELLS, epochs: int = EPOCHS
) -> int:
    """Function calls of `action` on a sweep of this size, once what it imports is there."""
    axes = {"neuron.tau": [1.1 + 0.1 * cell for cell in range(cells)], "rule.update": UPDATES}
    place = folder / f"{seeds}-{cells}-{epochs}"
    place.mkdir()
    store = write(SyntheticSweep("grid", axes, seeds=seeds, epochs=epochs), place)
    action(store)
    with cProfile.Profile() as profile:
        action(store)
    return sum(total for _, total, *_ in pstats.Stats(profile).stats.values())  # type: ignore[attr-defined]


def costs(action: Callable[[str], None], folder: Path) -> dict[str, float]:
    """Calls of one more trial of each variant, of one more variant with its trials, of one more epoch of a trial."""
    small = calls(action, folder)
    variants = CELLS * len(UPDATES)
    return {
        "trial": (calls(action, folder, seeds=2 * SEEDS) - small) / (variants * SEEDS),
        "variant": (calls(action, folder, cells=2 * CELLS) - small) / variants,
        "epoch": (calls(action, folder, epochs=2 * EPOCHS) - small) / (variants * SEEDS * EPOCHS),
    }


@pytest.mark.parametrize(("action", "most"), [(table, TABLE), (report, PAGE)])
def test_what_one_more_costs(action: Callable[[str], None], most: dict[str, int], tmp_path: Path) -> None:
    found = costs(action, tmp_path)
    assert {name for name, count in found.items() if count > SLACK * most[name] + 0.5} == set(), found


def test_a_lookup_more_per_trial_is_noticed(tmp_path: Path) -> None:
    def slow(store: str) -> None:
        runs = load.runs("grid", store=store)
        for trial in runs["trial"]:
            runs[runs["trial"] == trial]
        compare(runs)

    assert costs(slow, tmp_path)["trial"] > 2 * TABLE["trial"]
