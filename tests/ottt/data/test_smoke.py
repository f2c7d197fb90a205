"""One epoch of each data set's preset on a few samples in the published format, with a narrow network.

All studies of a data set start from its preset; `tests/experiments/cli/test_studies.py` runs some of them.
"""

import runpy
from pathlib import Path

import numpy as np
import pytest

import ottt
from ottt.data.info import DATASETS
from ottt.schema import Status
from ottt.training import load_data
from tests.fake_data import WRITERS

READERS = Path(__file__).parents[2] / "fake_readers.py"
NARROW = ["model.width=0.05", "epochs=1", "batch_size=8", "device=cpu", "data.workers=0"]


@pytest.fixture
def fake_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register readers of the fake files for one test."""
    monkeypatch.setattr(load_data, "_READERS", dict(load_data._READERS))
    monkeypatch.setitem(DATASETS, "imagenet", DATASETS["imagenet"])
    runpy.run_path(str(READERS))


@pytest.mark.usefixtures("fake_readers")
@pytest.mark.parametrize("update", ["accumulate", "online"])
@pytest.mark.parametrize("name", WRITERS)
def test_a_preset_trains(name: str, update: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path, np.random.default_rng(0))
    shorter = ["T=2", "T_eval=1,2"] if name == "imagenet" else []
    config = ottt.load_config(name, [*NARROW, f"data.root={tmp_path}", f"rule.update={update}", *shorter])
    result = ottt.train(config)
    assert result.status is Status.FINISHED
    assert np.isfinite(list(result.metrics.values())).all()
    assert result.metrics["train/loss"] > 0
    assert 0 <= result.metrics["rate/total"] < 1
    assert ("test/top1_at_01" in result.metrics) == (name == "imagenet")
