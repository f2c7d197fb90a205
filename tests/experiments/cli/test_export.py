"""`ottt export`."""

import sys
from pathlib import Path

import pytest
import torch

import ottt
from experiments.cli import main
from experiments.cli.export import RESETS
from ottt.export import nir as exporter
from ottt.training.trainer import Trainer

nir = pytest.importorskip("nir")

TINY = {"data.name": "digits", "model.width": 0.25, "T": 2, "epochs": 1, "batch_size": 512}


@pytest.fixture
def ottt_export(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ottt", "export", "nir", *arguments])
        status = main()
        return status, *capsys.readouterr()

    return run


def test_a_trained_network_is_written_with_what_a_reader_must_know(ottt_export, tmp_path: Path) -> None:
    trainer = Trainer(ottt.load_config(TINY))
    trainer.save(tmp_path / "trained")
    status, out, err = ottt_export("trained")
    assert (status, out, err) == (0, "wrote network.nir: 22 nodes, 24 edges\n", "")
    graph = nir.read("network.nir")
    assert graph.metadata["trial"] == trainer.config.trial_hash
    assert (graph.metadata["dt"], graph.metadata["decay"], graph.metadata["time_steps"]) == (1e-4, 0.5, 2)
    weight = trainer.net.stem.kernel().detach()
    assert torch.equal(torch.from_numpy(graph.nodes["conv_0"].weight), weight)
    status, out, err = ottt_export("trained", "deep/own.nir", "--reset", "lif", "--dt", "1e-3")
    assert (status, out) == (0, "wrote deep/own.nir: 13 nodes, 12 edges\n")
    assert err == "note: the reader must subtract v_threshold after a spike: a LIF node alone would be set to v_reset\n"
    assert nir.read("deep/own.nir").nodes["neurons_0"].tau == pytest.approx(2e-3)


def test_checkpoints_of_the_original_code_need_their_configuration(ottt_export, tmp_path: Path) -> None:
    config = ottt.load_config(
        {"data.name": "cifar10", "model.name": "vgg11_ws", "model.width": 0.1, "precision": "bf16"}
    )
    (tmp_path / "own.yaml").write_text(
        "{data: {name: cifar10}, model: {name: vgg11_ws, width: 0.1}, precision: bf16}\n"
    )
    torch.save({"net": ottt.reference_state_dict(ottt.build_model(config))}, tmp_path / "theirs.pth")
    status, _, err = ottt_export("theirs.pth")
    assert (status, err) == (
        2,
        "error: theirs.pth: a checkpoint of the original code needs its configuration, got none\n",
    )
    status, _, err = ottt_export("theirs.pth", "--config", "own.yaml")
    assert (status, err) == (0, "note: the network was trained in bf16; its kernels are exported in float32\n")
    assert nir.read("network.nir").metadata["input_mean"] == pytest.approx([0.4914 * 255, 0.4822 * 255, 0.4465 * 255])


def test_mistakes_are_one_line(ottt_export, tmp_path: Path) -> None:
    Trainer(ottt.load_config(TINY | {"model.name": "r400"})).save(tmp_path / "r400")
    for arguments, line in (
        (("r400",), "r400 cannot be exported: the bias of its recurrence acts from the second time step on"),
        (("nothing",), "nothing: no such file or folder"),
        (("r400", "--reset", "hard"), "--reset must be one of loop, lif, got 'hard'"),
        (("r400", "--dt", "0"), "dt must be > 0 s, got 0.0"),
    ):
        status, out, err = ottt_export(*arguments)
        assert (status, out) == (2, "")
        assert err.startswith(f"error: {line}")
        assert err.count("\n") == 1
    assert not (tmp_path / "network.nir").exists()


def test_the_choices_are_the_exporters() -> None:
    assert RESETS == exporter.RESETS
