"""A plan measures a kind of trial once: the next one goes by that, unless anything that matters has changed."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.costs import calibrate, estimate, known_speed
from experiments.costs.calibrate import Measurement
from experiments.costs.known_speed import LONGEST_S, KnownSpeeds
from experiments.results.trial_records import TrialRecords
from experiments.sweep_spec.run_settings import Share
from tests.experiments.specs import spec

SPEED = Measurement(start_s=0.5, epoch_s=2.0, samples_per_s=100.0)
SWEEP = spec(axes={"T": [1, 2], "optim.lr": [0.1, 0.2]}, base={"epochs": 4, "batch_size": 512, "model.width": 0.1})

Plan = Callable[[], str]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "ottt" / "speed"


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """The estimate of a plan, as it is printed."""
    return lambda: estimate.estimated(SWEEP, TrialRecords(tmp_path / "trials")).text()


def test_the_second_plan_measures_nothing_and_says_the_same(plan: Plan, cache: Path) -> None:
    first, second = plan(), plan()
    assert first.endswith("2 kinds of trial measured now, 0 by an earlier plan, 0 known from trials that ran")
    assert second.endswith("0 kinds of trial measured now, 2 by an earlier plan, 0 known from trials that ran")
    assert first.partition(" kinds")[0][:-1] == second.partition(" kinds")[0][:-1]
    assert re.search(r"about .* on this machine", second)
    next(cache.iterdir()).write_bytes(b"{")
    assert plan().endswith("1 kinds of trial measured now, 1 by an earlier plan, 0 known from trials that ran")


def test_a_measurement_is_kept_for_its_kind() -> None:
    KnownSpeeds().keep("one", SPEED)
    assert (KnownSpeeds().get("one"), KnownSpeeds().get("other")) == (SPEED, None)


@pytest.mark.parametrize("what", ["code_hash", "version", "gpus_here"])
def test_other_code_torch_or_machine_is_measured_anew(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    KnownSpeeds().keep("one", SPEED)
    monkeypatch.setattr(known_speed, what, lambda *_: "another")
    assert KnownSpeeds().get("one") is None


def test_an_old_or_damaged_measurement_does_not_count(cache: Path) -> None:
    KnownSpeeds().keep("one", SPEED)
    [file] = cache.iterdir()
    old = time.time() - LONGEST_S
    os.utime(file, (old + 3600, old + 3600))
    assert KnownSpeeds().get("one") == SPEED
    os.utime(file, (old - 1, old - 1))
    assert KnownSpeeds().get("one") is None
    for content in ("", "[]", '{"start_s": 1}', '{"seconds": 1}'):
        file.write_text(content, encoding="utf-8")
        assert KnownSpeeds().get("one") is None


def test_without_a_cache_every_plan_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    KnownSpeeds().keep("one", SPEED)
    assert KnownSpeeds().get("one") is None


def test_no_process_outlives_its_measurements() -> None:
    child = calibrate.start([(SWEEP.base, Share(cpu=1.0, gpu=0.0))] * 100)
    found = calibrate.outcome(child)
    assert isinstance(next(found), Measurement)
    assert child.returncode is None
    found.close()  # type: ignore[attr-defined]
    assert child.returncode == -signal.SIGKILL
