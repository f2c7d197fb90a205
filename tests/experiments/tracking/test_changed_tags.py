"""Tags that a user deleted or edited on the MLflow page: readers leave out that run, and `sync` mends it."""

import sqlite3
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from analysis import load, tables
from analysis.report.origin import Origin
from analysis.report.page import page
from analysis.search import find, search
from experiments.planning.plan import SweepPlan
from experiments.results.folder import Results
from experiments.tracking.sync import sync
from ottt.errors import UserError, command
from ottt.schema import Status, Tag
from tests.experiments.mlflow_sweeps import finish, plan, rows, tags

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)
JUNK = (None, "nonsense", "²")  # the last is a digit to Python, but no number
OF_SWEEP = (Tag.SCHEMA, Tag.KIND, Tag.SWEEP, Tag.STATUS, Tag.COMMIT, Tag.DIRTY, Tag.VERSIONS)
SWEEP = "sweep"


@pytest.fixture
def stored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    """A sweep of four finished trials, in records and store."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    results, planned = Results(folder), plan([2.0, 4.0])
    finish(planned, results)
    sync(SWEEP, results=results)
    return results


def edit(folder: Path, trial: str | None, tag: Tag, value: str | None) -> None:
    """Change a tag of the trial's run, or of the sweep's."""
    key, owner = (Tag.KIND, "sweep") if trial is None else (Tag.TRIAL, trial)
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection, connection:
        [[run]] = connection.execute("SELECT run_uuid FROM tags WHERE key = ? AND value = ?", (key, owner)).fetchall()
        if value is None:
            connection.execute("DELETE FROM tags WHERE run_uuid = ? AND key = ?", (run, tag))
        else:
            connection.execute("UPDATE tags SET value = ? WHERE run_uuid = ? AND key = ?", (value, run, tag))


def read(results: Results) -> list[str]:
    """Everything that reads: the lines of warnings and errors, of which each names a run, a tag or the sweep."""
    said = []

    def attempt(action: Any) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                action()
            except UserError as error:
                said.extend(error.problems)
        said.extend(str(one.message) for one in caught if one.category is UserWarning)

    attempt(lambda: tables.compare(load.runs(SWEEP, store=results.store), metric="train/loss"))
    attempt(lambda: _page(results))
    attempt(lambda: search("", store=results.store))
    attempt(lambda: search("metrics.`train/loss` > 0", store=results.store))
    for (run,) in rows(results.root, "SELECT run_uuid FROM runs"):
        attempt(lambda run=run: find(run, store=results.store))
    attempt(lambda: load.runs("another", store=results.store))
    return said


def _page(results: Results) -> str:
    runs, history = load.runs(SWEEP, store=results.store), load.history(SWEEP, store=results.store)
    comparison = tables.compare(runs, metric="train/loss")
    return page(runs, history, comparison, Origin.of(SWEEP, store=results.store))


def state(results: Results, planned: SweepPlan) -> list[dict[str, str]]:
    return [tags(results.root, trial) for trial in planned.trials]


@pytest.mark.parametrize(
    ("tag", "of_sweep"), [*((tag, False) for tag in Tag), *((tag, True) for tag in Tag if tag in OF_SWEEP)]
)
def test_every_change_of_every_tag_is_met_and_mended(stored: Results, tag: Tag, *, of_sweep: bool) -> None:
    planned = plan([2.0, 4.0])
    before = state(stored, planned)
    assert read(stored) == [f"sweep must be one of sweep; got 'another' (store {stored.store})"]
    for junk in JUNK:
        trial = None if of_sweep else planned.trials[1].trial
        edit(stored.root, trial, tag, junk)
        for line in read(stored):
            assert "\n" not in line
            assert line.startswith(("sweep must be ", "run ")), line
            assert "Error" not in line
        sync(SWEEP, results=stored)
        assert state(stored, planned) == before, (tag, junk)
        assert len(load.runs(SWEEP, store=stored.store)) == 4
        assert load.runs(SWEEP, store=stored.store)["status"].tolist() == ["finished"] * 4
        assert rows(stored.root, "SELECT count(*) FROM runs WHERE lifecycle_stage = 'active'") == [(5,)]


@pytest.mark.parametrize("tag", [Tag.LABEL, Tag.SEED, Tag.STATUS, Tag.VARIANT, Tag.SWEEP])
def test_the_line_names_run_and_tag_and_the_others_are_listed(stored: Results, tag: Tag) -> None:
    changed = plan([2.0, 4.0]).trials[1]
    edit(stored.root, changed.trial, tag, None)
    with pytest.warns(UserWarning, match="is left out") as caught:
        assert len(search("", store=stored.store)) == 3
    [line] = [str(one.message) for one in caught]
    sweep = "SWEEP" if tag is Tag.SWEEP else SWEEP
    assert line.endswith(f" is left out: its tag {tag} was deleted; to mend it: {command('sweep', 'sync', sweep)}")
    [[run]] = rows(stored.root, f"SELECT run_uuid FROM tags WHERE key = '{Tag.TRIAL}' AND value = '{changed.trial}'")
    assert line.startswith(f"run {run} (")


def test_a_status_that_is_none_is_left_out_of_the_comparison(stored: Results) -> None:
    edit(stored.root, plan([2.0, 4.0]).trials[1].trial, Tag.STATUS, "done")
    with pytest.warns(UserWarning, match="its tag ottt.status must be one of running, .*, got 'done'"):
        found = load.runs(SWEEP, store=stored.store)
    assert found["status"].tolist() == ["finished", "missing", "finished", "finished"]


def test_a_plan_that_was_deleted_with_the_artifacts_is_one_line(stored: Results) -> None:
    [stored_plan] = (stored.root / "artifacts").rglob("plan.json")
    for content in (None, "", "[]", "{}", '{"trials": [1]}'):
        if content is None:
            stored_plan.unlink()
        else:
            stored_plan.write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match=r"plan\.json") as caught:
            load.runs(SWEEP, store=stored.store)
        assert len(caught.value.problems) == 1
    sync(SWEEP, results=stored)
    assert len(load.runs(SWEEP, store=stored.store)) == 4


def test_a_run_that_a_later_version_wrote_is_left_out(stored: Results) -> None:
    trial = plan([2.0, 4.0]).trials[0].trial
    edit(stored.root, trial, Tag.SCHEMA, "99")
    with pytest.warns(UserWarning, match=r"is left out: a later OTTT Lab wrote it \(ottt\.schema 99\), use that one"):
        statuses = load.runs(SWEEP, store=stored.store).set_index("trial")["status"]
    assert statuses[trial] == "missing"
    assert list(statuses.drop(trial)) == [Status.FINISHED] * 3
