"""Exported sweeps give the tables of the store that they were exported from."""

import gzip
import json
import math
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from analysis import load, render, tables
from analysis.report.origin import Origin
from analysis.search import search
from analysis.store.exported import FILES, HISTORY, PACKED, write_export
from analysis.store.open import open_store
from ottt.errors import UserError
from ottt.schema import Tag
from tests.analysis.synthetic import COMMIT, SyntheticSweep, write

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)
# Values that a CSV file reads as something else unless care is taken.
SWEEP = SyntheticSweep(
    "odd",
    {"neuron.trace_decay": [None, 0.1, 1], "schedule.changes": ["", "optim.lr=0.1 after 2"], "data.root": ["1", "NA"]},
    seeds=2,
    epochs=3,
    ends={(1, 0): ("diverged", "train loss became nan, in epoch 2", 1), (2, 1): ("failed", 'a "quoted"\nerror', 0)},
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The store, and an export of its sweep."""
    folder = tmp_path_factory.mktemp("exported")
    store = write(SWEEP, folder / "store")
    with closing(sqlite3.connect(folder / "store" / "mlflow.db")) as database, database:
        query = "INSERT INTO tags (key, value, run_uuid) SELECT ?, '6', run_uuid FROM tags WHERE key = ? AND value = ?"
        database.execute(query, (Tag.FUSED, Tag.SEED, "1"))
    source = open_store(store)
    write_export(
        folder / "export",
        plan=load.plan("odd", store=store),
        spec="name: odd\n",
        origin=load.parent(source, "odd", store).tags,
        runs=load.runs("odd", store=store),
        history=load.history("odd", store=store),
    )
    return store, folder / "export"


def test_data_frames_are_the_same_to_the_last_bit_and_type(exported: tuple[str, Path]) -> None:
    store, folder = exported
    runs, again = load.runs("odd", store=store), load.runs("odd", store=str(folder))
    pd.testing.assert_frame_equal(again, runs, check_exact=True)
    kinds = [list(map(type, frame["neuron.trace_decay"])) for frame in (runs, again)]
    assert kinds[0] == kinds[1]
    assert {type(None), float, int} <= set(kinds[0])
    assert again.attrs == runs.attrs
    assert set(zip(runs["seed"], runs["fused"], strict=True)) == {(0, 1), (1, 6)}
    pd.testing.assert_frame_equal(
        load.history("odd", store=str(folder)), load.history("odd", store=store), check_exact=True
    )
    assert load.plan("odd", store=str(folder)) == load.plan("odd", store=store)


def test_tables_and_origin_are_the_same(exported: tuple[str, Path]) -> None:
    store, folder = exported
    made = [render.json(tables.compare(load.runs("odd", store=one))) for one in (store, str(folder))]
    assert made[0] == made[1]
    origin = Origin.of("odd", store=str(folder))
    assert (origin.commit, origin.spec) == (COMMIT, "name: odd\n")


def test_a_gzipped_history_counts_until_the_sweep_is_exported_again(exported: tuple[str, Path], tmp_path: Path) -> None:
    store, folder = exported
    for name in FILES:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / PACKED).write_bytes(gzip.compress((folder / HISTORY).read_bytes()))
    (tmp_path / HISTORY).unlink()
    history = load.history("odd", store=store)
    pd.testing.assert_frame_equal(load.history("odd", store=str(tmp_path)), history, check_exact=True)
    changed = history.assign(value=math.inf)
    plan, runs = load.plan("odd", store=store), load.runs("odd", store=store)
    write_export(tmp_path, plan=plan, spec="", origin={}, runs=runs, history=changed)
    assert set(load.history("odd", store=str(tmp_path))["value"]) == {math.inf}


def test_an_export_of_before_trials_were_fused_is_read(exported: tuple[str, Path], tmp_path: Path) -> None:
    _, folder = exported
    for name in FILES:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    table = pd.read_csv(folder / "runs.csv", dtype=str, keep_default_na=False)
    table.drop(columns="fused").to_csv(tmp_path / "runs.csv", index=False)
    assert set(load.runs("odd", store=str(tmp_path))["fused"]) == {1}


def test_what_is_no_export_or_damaged_is_named_in_one_line(exported: tuple[str, Path], tmp_path: Path) -> None:
    _, folder = exported
    for name in FILES:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    store = str(tmp_path)
    with pytest.raises(UserError, match=r"sweep must be one of odd; got 'even'"):
        load.runs("even", store=store)
    with pytest.raises(UserError, match="an export cannot be searched"):
        search("status = 'FINISHED'", store=store)
    (tmp_path / HISTORY).write_text("trial,metric,epoch,value\na,b,one,2\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"history\.csv: must be a file of an exported sweep: .*one"):
        load.runs("odd", store=store)
    (tmp_path / HISTORY).write_bytes((folder / HISTORY).read_bytes())
    (tmp_path / "runs.csv").write_text("run_id,trial\n1,2\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"runs\.csv: must have the columns of an export, but lacks started, "):
        load.runs("odd", store=store)
    (tmp_path / "plan.json").write_text(json.dumps({"name": "odd"}), encoding="utf-8")
    with pytest.raises(UserError, match=r"plan\.json: must be a file of an exported sweep: "):
        load.runs("odd", store=store)
