"""Runs the blocks of `docs/own-tuner.md` as scripts, in an empty home."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest

import ottt
from tests.docs.markdown import ROOT, blocks
from tests.experiments import faults
from tests.experiments.commands import Place

BLOCKS = list(blocks(ROOT / "docs" / "own-tuner.md"))
KILL = "ray.tune.execution.tune_controller:TuneController._on_training_result:3"  # before the third epoch is heard of


def run(place: Place, text: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = place.environment() | {"HOME": str(place.folder), "OMP_NUM_THREADS": "1"} | variables
    return subprocess.run(
        [sys.executable, "-c", text], cwd=place.folder, env=environment, capture_output=True, text=True, timeout=900
    )


def script(name: str) -> str:
    [text] = [block.text for block in BLOCKS if block.file == name]
    return text


def test_every_block_is_run_here() -> None:
    assert {(block.language, block.file) for block in BLOCKS} == {
        ("python", ""),
        ("python", "wandb.py"),
        ("python", "study.py"),
    }


def test_the_snippets_in_their_order(tmp_path: Path) -> None:
    snippets = [block.text for block in BLOCKS if not block.file]
    assert len(snippets) == 5
    checked = "\nassert len(results) > 1 and not results.errors, results.errors\n"
    done = run(Place(tmp_path), checked.join([*snippets, ""]))
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(tmp_path / "own.db")) as store:
        [(runs,)] = store.execute("SELECT count(*) FROM runs").fetchall()
        points = store.execute("SELECT count(*) FROM metrics WHERE key = 'val/top1' GROUP BY run_uuid").fetchall()
        params = store.execute("SELECT value FROM params WHERE key = 'neuron.tau' ORDER BY value").fetchall()
    assert (runs, points, params) == (2, [(3,), (3,)], [("1.5",), ("2.0",)])


@pytest.mark.skipif(find_spec("wandb") is None, reason="wandb is not installed: pip install 'ottt-lab[wandb]'")
def test_weights_and_biases_without_a_network(tmp_path: Path) -> None:
    done = run(Place(tmp_path), script("wandb.py"), WANDB_MODE="offline", WANDB_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    [written] = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    assert b"val/top1" in written.read_bytes()


def test_a_killed_study_ends_with_the_same_numbers(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    place = faults.place(tmp_path / "home", spec="")
    killed = run(faults.killed_at(place, KILL), script("study.py"))
    assert killed.returncode == faults.KILLED, killed.stderr
    done = run(place, script("study.py"))
    assert done.returncode == 0, done.stderr
    shown = sorted(line.split() for line in done.stdout.splitlines() if line[:2] in ("0 ", "1 "))
    base = {"preset": "digits", "T": 2, "model.width": 0.1, "epochs": 3, "device": "cpu"}
    whole = [ottt.train(ottt.load_config(base | {"seed": seed})).metrics["val/loss"] for seed in (0, 1)]
    assert [(int(seed), int(epoch), float(loss)) for seed, epoch, loss in shown] == [(0, 3, whole[0]), (1, 3, whole[1])]
