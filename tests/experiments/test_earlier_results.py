"""A folder of results, with its tracking store, that an earlier version left in the middle of a sweep."""

import json
import subprocess
import tarfile
from dataclasses import dataclass, replace

import pytest

from experiments.results.provenance import Provenance
from ottt.files import write_atomic
from ottt.schema import Status, Tag
from tests.experiments.commands import ROOT, Place

ARCHIVE = ROOT / "tests" / "recorded" / "before_rooms.tar.xz"
FINISHED, INTERRUPTED = "8c6aed27644298a0", "7bf0b577f9fb24ec"
EPOCHS, TRAINED = 10, 3


@dataclass(frozen=True)
class Story:
    """The sweep's folder before and after this version resumed it.

    Attributes:
        place: the folder, afterwards.
        status: what `ottt sweep status` said before.
        before: contents of the records' files, by path below the folder of the trials.
        runs: MLflow's run of each trial, before.
        resumed: the command that resumed it.
    """

    place: Place
    status: str
    before: dict[str, bytes]
    runs: dict[str, str]
    resumed: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    here = Place(tmp_path_factory.mktemp("earlier"))
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(here.folder, filter="data")
    # Only this very code resumes what was left: other code begins a trial anew.
    record, code = here.records.read(INTERRUPTED), Provenance.current()
    assert record is not None
    own = replace(record, code=code.code, versions=code.versions)
    write_atomic(here.records.folder / INTERRUPTED / "record.json", json.dumps(vars(own), indent=1))
    files = [path for trial in (FINISHED, INTERRUPTED) for path in (here.records.folder / trial).glob("*.json*")]
    before = {f"{path.parent.name}/{path.name}": path.read_bytes() for path in files}
    runs, status = runs_of(here), here.ottt("sweep", "status", "before-rooms").stdout
    return Story(here, status, before, runs, here.ottt("sweep", "resume", "before-rooms"))


def runs_of(here: Place) -> dict[str, str]:
    """Ids of the runs that are not deleted, by trial."""
    query = "SELECT t.value, t.run_uuid FROM tags t JOIN runs r USING (run_uuid) WHERE r.lifecycle_stage = 'active'"
    return dict(here.query(f"{query} AND t.key = '{Tag.TRIAL}'"))


def test_its_status_is_read(story: Story) -> None:
    assert story.status.splitlines()[-1] == "before-rooms: 1 of 4 trials done"


def test_it_is_resumed_to_its_end(story: Story) -> None:
    assert story.resumed.returncode == 0, story.resumed.stderr
    assert "trials run:  3 of 4" in story.resumed.stdout
    assert set(story.place.statuses().values()) == {Status.FINISHED}


def test_what_was_finished_stays_as_it_was(story: Story) -> None:
    after = {path.name: path.read_bytes() for path in (story.place.records.folder / FINISHED).glob("*.json*")}
    assert after == {name.partition("/")[2]: text for name, text in story.before.items() if name.startswith(FINISHED)}


def test_the_interrupted_trial_continues_from_its_checkpoint(story: Story) -> None:
    before = [json.loads(line) for line in story.before[f"{INTERRUPTED}/metrics.jsonl"].splitlines()]
    epochs = story.place.records.epochs(INTERRUPTED)
    assert [vars(epoch) for epoch in epochs[:TRAINED]] == before  # their lines have sums now, and nothing else is new
    assert [epoch.epoch for epoch in epochs] == list(range(1, EPOCHS + 1))
    assert len(before) == TRAINED


def test_the_store_keeps_its_runs_and_holds_every_point_once(story: Story) -> None:
    after = runs_of(story.place)
    assert (len(story.runs), len(after)) == (2, 4)
    assert story.runs.items() <= after.items()
    counts = story.place.query("SELECT count(*) FROM metrics WHERE key = 'val/top1' GROUP BY run_uuid")
    assert counts == [(EPOCHS,)] * 4
    assert story.place.doubled() == 0
    assert story.place.runs() == [("sweep", "FINISHED"), *[("trial", "FINISHED")] * 4]


def test_its_table_has_every_seed(story: Story) -> None:
    table = json.loads(story.place.ottt("compare", "before-rooms", "--format", "json").stdout)
    assert [row["n"] for row in table["rows"]] == [2, 2]
