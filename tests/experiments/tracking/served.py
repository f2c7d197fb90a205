"""What a sweep left on a tracking server, for the tests that run one."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from ottt.schema import Tag
from tests.experiments.commands import Place
from tests.experiments.servers import TrackingServer

SPEC = """\
name: served
base: {T: 2, epochs: 3, batch_size: 256, model.width: 0.25}
axes: {rule.update: [accumulate, online]}
seeds: 2
"""


def place(folder: Path, server: TrackingServer, spec: str = SPEC) -> Place:
    """A folder with `served.yaml` whose commands write to the server."""
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
