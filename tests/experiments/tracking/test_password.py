"""A sweep that writes to a real MLflow server with a password; secrets of the environment."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ottt.schema import Tag
from tests.experiments.commands import Place
from tests.experiments.faults import TRAINER, after_import
from tests.experiments.servers import PASSWORD, TrackingServer, serving
from tests.experiments.tracking.served import SPEC, place, points, recorded, statuses

POINTS = (
    f"SELECT t.value, m.key, m.step, m.value FROM metrics m JOIN tags t USING (run_uuid) WHERE t.key = '{Tag.TRIAL}'"
)
CANARY = "canary-3f9c-do-not-store"

# Trials of seed 1 raise an error that contains the secrets of the environment.
FAULT = after_import(
    TRAINER,
    """\
train_epoch = module.Trainer.train_epoch
def faulty(self):
    if self.config.seed == 1:
        secrets = [value for value in os.environ.values() if "canary" in value]
        raise ValueError(f"cannot fetch with {secrets}")
    return train_epoch(self)
module.Trainer.train_epoch = faulty
""",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    with serving(tmp_path_factory.mktemp("server"), auth=True) as running:
        yield running


@pytest.fixture(scope="module")
def served(server: TrackingServer, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A sweep through the server; two of its four trials fail with secrets in their message."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "fault").mkdir()
    (folder / "fault" / "sitecustomize.py").write_text(FAULT, encoding="utf-8")
    here = place(folder, server)
    secrets = {"AWS_SECRET_ACCESS_KEY": CANARY, "LAB_TOKEN": f"{CANARY}-2", "PROXY": f"http://me:{CANARY}3@proxy:1"}
    told = replace(here, modules=folder / "fault", variables={**here.variables, **secrets})
    done = told.ottt("sweep", "run", "served.yaml")
    assert done.returncode == 1, done.stderr
    assert "View run" not in done.stdout
    return here


def test_a_sweep_writes_through_the_server(server: TrackingServer, served: Place) -> None:
    assert statuses(server, "served") == [("sweep", "FAILED"), *[("trial", "FAILED")] * 2, *[("trial", "FINISHED")] * 2]
    assert points(server, "served") == recorded(served)
    assert len(list((server.results / "artifacts").rglob("report/evaluation.json"))) == 2
    [cluster] = (server.results / "artifacts").rglob("cluster.json")
    assert len(json.loads(cluster.read_text(encoding="utf-8"))["machines"]) == 1
    measured = {metric for _, metric, _, _ in points(server, "served")}
    assert {"perf/cpu_share", "mem/rss_mib"} < measured


def test_no_secret_of_the_environment_is_stored(server: TrackingServer, served: Place) -> None:
    stored_bytes = b"".join(path.read_bytes() for path in server.results.rglob("*") if path.is_file())
    assert stored_bytes.count(b"cannot fetch with") >= 2  # the search finds what was written
    for secret in (CANARY, PASSWORD):
        assert secret.encode() not in stored_bytes
    told = (record for path in served.records.folder.glob("*") if (record := served.records.read(path.name)))
    assert sum(CANARY in (record.reason or "") for record in told) == 2  # the records do contain it


def test_another_store_is_filled_from_the_records(server: TrackingServer, served: Place, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    for _ in range(2):
        synced = served.ottt("sweep", "sync", "served", "--to", other)
        assert synced.returncode == 0, synced.stderr
        line = f"served: 4 of 4 trials recorded (2 failed, 2 finished); the store has them all: {other}\n"
        assert synced.stdout == line
        with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
            assert sorted(connection.execute(POINTS).fetchall()) == recorded(served)
            assert connection.execute("SELECT count(*) FROM runs").fetchall() == [(5,)]
    assert len(list((tmp_path / "artifacts").rglob("report/evaluation.json"))) == 2


def test_a_wrong_password_is_one_line_before_any_trial(server: TrackingServer, tmp_path: Path) -> None:
    here = place(tmp_path, server, SPEC.replace("served", "refused"))
    wrong = replace(here, variables={**here.variables, "MLFLOW_TRACKING_PASSWORD": "wrong"})
    refused = wrong.ottt("sweep", "run", "served.yaml")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[1:] == [
        "error: the tracking store cannot be opened: the server refuses user name or password:"
        " set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    ]
    assert [path.name for path in (tmp_path / "results").rglob("*.json*")] == []  # no plan, no record
    assert statuses(server, "refused") == []
