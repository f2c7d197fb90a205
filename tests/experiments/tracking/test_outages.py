"""Sweeps that write to a real MLflow server with a password: outages, wrong passwords, secrets.

OTTT_OUTAGE is the length of the outage in seconds: 8 by default, 60 in the long test.
"""

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis import load
from analysis.store import mlflow_client
from ottt.schema import Tag
from tests.experiments.commands import Place
from tests.experiments.faults import TRAINER, after_import
from tests.experiments.servers import PASSWORD, TrackingServer, serving

OUTAGE_S = float(os.environ.get("OTTT_OUTAGE", "8"))
SPEC = """\
name: served
base: {T: 2, epochs: 3, batch_size: 256, model.width: 0.25}
axes: {rule.update: [accumulate, online]}
seeds: 2
"""
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


def place(folder: Path, server: TrackingServer, spec: str = SPEC) -> Place:
    (folder / "served.yaml").write_text(spec, encoding="utf-8")
    return Place(folder, variables=server.client)


def stored(server: TrackingServer, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(server.results / "mlflow.db")) as connection:
        return connection.execute(query).fetchall()


def statuses(server: TrackingServer, sweep: str) -> list[tuple[str, str]]:
    return sorted(
        stored(
            server,
            "SELECT k.value, r.status FROM runs r JOIN tags k USING (run_uuid) JOIN tags s USING (run_uuid)"
            f" WHERE k.key = '{Tag.KIND}' AND s.key = '{Tag.SWEEP}' AND s.value = '{sweep}'"
            " AND r.lifecycle_stage = 'active'",
        )
    )


def points(server: TrackingServer, sweep: str) -> list[tuple[Any, ...]]:
    """(trial, metric, step, value), each as often as it is stored."""
    return sorted(
        stored(
            server,
            "SELECT t.value, m.key, m.step, m.value FROM metrics m JOIN runs r USING (run_uuid)"
            " JOIN tags t USING (run_uuid) JOIN tags s USING (run_uuid)"
            f" WHERE t.key = '{Tag.TRIAL}' AND s.key = '{Tag.SWEEP}' AND s.value = '{sweep}'"
            " AND r.lifecycle_stage = 'active'",
        )
    )


def recorded(here: Place) -> list[tuple[Any, ...]]:
    return sorted(
        (path.name, key, epoch.epoch, value)
        for path in here.records.folder.glob("*")
        for epoch in here.records.epochs(path.name)
        for key, value in epoch.metrics.items()
    )


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


@pytest.mark.parametrize("cut", [mlflow_client.BULK_POINTS, 5, 2])
def test_answers_that_can_be_truncated_are_requested_again(
    server: TrackingServer, served: Place, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.client.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(mlflow_client, "BULK_POINTS", cut)  # two runs of three epochs: uncut, halved, run by run
    history = load.history("served", store=server.uri)
    read = history[["trial", "metric", "epoch", "value"]].itertuples(index=False, name=None)
    assert sorted(read) == recorded(served)


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


def test_after_an_outage_the_server_lacks_nothing(server: TrackingServer, tmp_path: Path) -> None:
    epochs = int(10 + 12 * OUTAGE_S)
    here = place(tmp_path, server, SPEC.replace("served", "outage").replace("epochs: 3", f"epochs: {epochs}"))
    process = here.start("sweep", "run", "served.yaml")
    try:
        while here.epochs() < 5 and process.poll() is None:
            time.sleep(0.05)
        server.kill()
        before = here.epochs()
        time.sleep(OUTAGE_S)
        during = here.epochs()
        server.start()
        _, said = process.communicate(timeout=max(500, 60 * OUTAGE_S))
    finally:
        process.kill()
        process.wait()
    assert during > before + 2, "the sweep waited for the server"
    assert process.returncode == 0, said
    assert points(server, "outage") == recorded(here)
    assert statuses(server, "outage") == [("sweep", "FINISHED"), *[("trial", "FINISHED")] * 4]


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_server_that_is_away_at_the_end_is_waited_for(
    server: TrackingServer, tmp_path: Path, *, comes_back: bool
) -> None:
    name = f"late-{comes_back}"
    here = place(tmp_path, server, SPEC.replace("served", name).replace("epochs: 3", "epochs: 60"))
    with (tmp_path / "said.txt").open("w+") as said:
        process = subprocess.Popen(
            here.command("sweep", "run", "served.yaml"), cwd=tmp_path, env=here.environment(), stderr=said
        )
        try:
            while here.epochs() < 1 and process.poll() is None:
                time.sleep(0.05)
            server.kill()
            while "waiting 120 s" not in (tmp_path / "said.txt").read_text() and process.poll() is None:
                time.sleep(0.05)
            assert process.poll() is None
            if comes_back:
                server.start()
            else:
                process.send_signal(signal.SIGINT)
            assert process.wait(timeout=240) == int(not comes_back)
        finally:
            process.kill()
            process.wait()
            if not comes_back:
                server.start()
    last = (tmp_path / "said.txt").read_text().splitlines()[-1]
    assert last.startswith("error: the tracking store lacks 4 trials: the server does not answer") != comes_back
    again = here.ottt("sweep", "run", "served.yaml")
    assert (again.returncode, "trials run:  0 of 4" in again.stdout) == (0, True)
    assert points(server, name) == recorded(here)
    assert statuses(server, name) == [("sweep", "FINISHED"), *[("trial", "FINISHED")] * 4]
