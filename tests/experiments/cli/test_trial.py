"""`ottt train`, `ottt evaluate` and `ottt models`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ottt

TINY = ("digits", "model.width=0.25", "T=2", "epochs=2", "batch_size=256", "device=cpu")


def run(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "experiments.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    done = run("train", *TINY, "--checkpoints", str(folder), "--json")
    (folder / "report.json").write_text(done.stdout)
    *epochs, last = done.stderr.splitlines()
    assert [line.split()[1] for line in epochs] == ["1/2", "2/2"]
    assert last == f"checkpoint of epoch 2: {folder}"
    return folder


def test_evaluating_a_checkpoint_gives_what_training_reported(trained: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    done = run("evaluate", str(trained), "T_eval=1,2,4", "--json", "--pictures", str(pictures))
    report, before = (json.loads(text)["report"] for text in (done.stdout, (trained / "report.json").read_text()))
    assert report["top1"] == before["top1"]
    assert report["rates"] == before["rates"]
    assert list(report["top1_at"]) == ["1", "2", "4"]
    assert sum(map(sum, report["confusion"])) == report["samples"] == 359
    written = {file.name: file.stat().st_size for file in pictures.iterdir()}
    assert written.keys() == {"rates.png", "confusion.png", "accuracy_against_time.png"}
    assert min(written.values()) > 5_000


def test_other_samples_and_text(trained: Path) -> None:
    text = run("evaluate", str(trained), "--part", "val").stdout
    assert "samples     216" in text
    assert "pJ per AC" in text
    assert "--part must be one of" in run("evaluate", str(trained), "--part", "all", status=2).stderr


def test_training_resumes_from_a_checkpoint(trained: Path) -> None:
    whole = run("train", *TINY, "epochs=2", "--json").stdout
    assert json.loads(whole) == json.loads((trained / "report.json").read_text())
    refused = run("train", *TINY, "neuron.tau=3", "--resume", str(trained), status=2).stderr
    assert "must be of trial" in refused


def test_original_checkpoints_need_a_configuration(tmp_path: Path) -> None:
    config = ottt.load_config({"model.name": "vgg11_ws", "model.width": 0.125})
    net = ottt.build_model(config)
    torch.save({"net": ottt.reference_state_dict(net), "epoch": 1, "max_test_acc": 0.0}, tmp_path / "original.pth")
    assert "needs --config, got none" in run("evaluate", str(tmp_path / "original.pth"), status=2).stderr
    (tmp_path / "trial.yaml").write_text("model: {name: vgg11_ws, width: 0.125}\nT: 2\nval_fraction: 1\n")
    arguments = ("evaluate", str(tmp_path / "original.pth"), "--config", str(tmp_path / "trial.yaml"))
    assert (
        "trial.yaml:3: val_fraction is not a known key (did you mean data.val_fraction?)"
        in run(*arguments, status=2).stderr
    )
    (tmp_path / "trial.yaml").write_text("model: {name: vgg11_ws, width: 0.125}\nT: 2\n")
    assert json.loads(run(*arguments, "--json").stdout)["report"]["samples"] == 359


def test_divergence_is_reported(tmp_path: Path) -> None:
    done = run("train", *TINY, "model.name=vgg11", "optim.lr=1e30", "--checkpoints", str(tmp_path / "c"), status=1)
    assert "diverged: training loss became" in done.stderr
    assert "last good checkpoint: " in done.stderr
    last = run("train", *TINY, "epochs=1", "batch_size=2048", "optim.lr=1e30", status=1)  # in the only update
    assert last.stderr == "diverged: val loss became inf in epoch 1; last good checkpoint: none\n"
    assert last.stdout == ""


def test_models_lists_every_network() -> None:
    rows = json.loads(run("models", "--json").stdout)
    assert rows["vgg11_ws"]["parameters"]["32x32x3, 10"] == 9_228_362
    assert rows["nfresnet34"]["parameters"]["224x224x3, 1000"] == 21_797_688
    assert len(rows) == 15
