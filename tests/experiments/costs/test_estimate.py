"""What a plan says of GPUs: measured on one, or not stated."""

import itertools
import re
from pathlib import Path

import pytest
import torch

from experiments.costs import calibrate
from experiments.costs.calibrate import Measurement
from experiments.costs.estimate import estimated
from experiments.results.folder import Results
from experiments.sweep_spec.run_settings import Share
from ottt.config.trial import TrialConfig
from tests.experiments.specs import spec

ALONE = Share(1.0, 0.0)
SMALL = {"device": "cpu", "batch_size": 64, "model.width": 0.1}


def test_gpu_hours_are_measured_on_a_gpu_or_not_stated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Share] = []

    def measure(jobs: list[tuple[TrialConfig, Share]]) -> list[Measurement]:
        asked.extend(share for _, share in jobs)
        return [Measurement(start_s=0.0, epoch_s=36.0, samples_per_s=1.0)] * len(jobs)

    monkeypatch.setattr("experiments.costs.estimate.measure", measure)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    said = {}
    for gpus, gpu in itertools.product((0, 1), (0, 0.25, "auto")):
        monkeypatch.setattr("experiments.costs.estimate.gpus_here", lambda gpus=gpus: gpus)
        sweep = spec(seeds=2, base={**SMALL, "epochs": 100, "T": 2 + gpus}, resources={"gpu": gpu})
        said[gpus, gpu] = estimated(sweep, Results(tmp_path).records).text()
    assert [share.gpu for share in asked] == [0, 0, 0.25, 1.0]  # of auto without a GPU the measurement is that of 0
    missing = "not estimated: GPU-hours: there is no GPU here to measure on"
    assert [missing in text for text in said.values()] == [False, True, True, False, False, False]
    assert ["about" in text for text in said.values()] == [True, False, True, True, True, True]
    assert [re.findall(r"[^,]* GPU-hours(?=,)", text) for text in said.values()] == [
        *([], [], [], []),
        [" 0.5 GPU-hours"],  # two trials of an hour on a quarter of a GPU
        [" at most 2 GPU-hours"],
    ]


def test_a_trial_without_a_gpu_share_is_measured_where_it_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    devices: list[torch.device | None] = []

    class Stop(Exception):
        pass

    def made(config: TrialConfig, *, device: torch.device | None = None) -> None:
        devices.append(device)
        raise Stop

    monkeypatch.setattr("ottt.training.trainer.Trainer", made)
    for share, device in ((ALONE, "auto"), (Share(1, 0.5), "auto"), (ALONE, "cuda")):
        with pytest.raises(Stop):
            calibrate._measured(TrialConfig().replace({"device": device}), share)
    assert devices == [torch.device("cpu"), None, None]
