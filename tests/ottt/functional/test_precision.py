"""What a product of float32 tensors is during a trial, and that it is restored."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

import ottt
from ottt.functional.precision import DTYPES, float32_products
from ottt.training.trainer import Trainer

TINY = {"model.width": 0.25, "T": 2, "epochs": 1, "batch_size": 512, "device": "cpu", "seed": 0}


def flags() -> dict[str, str]:
    backends = torch.backends
    return {
        "cuda.matmul": backends.cuda.matmul.fp32_precision,
        "cudnn.conv": backends.cudnn.conv.fp32_precision,
        "mkldnn.matmul": backends.mkldnn.matmul.fp32_precision,
        "mkldnn.conv": backends.mkldnn.conv.fp32_precision,
    }


EXACT = dict.fromkeys(flags(), "ieee")


@pytest.fixture
def careless() -> Iterator[dict[str, str]]:
    """A process that has asked for fast products: TF32 on GPUs, bfloat16 on CPUs."""
    before = flags()
    torch.backends.cuda.matmul.fp32_precision = torch.backends.cudnn.conv.fp32_precision = "tf32"
    torch.backends.mkldnn.matmul.fp32_precision = torch.backends.mkldnn.conv.fp32_precision = "bf16"
    yield flags()
    torch.backends.cuda.matmul.fp32_precision = before["cuda.matmul"]
    torch.backends.cudnn.conv.fp32_precision = before["cudnn.conv"]
    torch.backends.mkldnn.matmul.fp32_precision = before["mkldnn.matmul"]
    torch.backends.mkldnn.conv.fp32_precision = before["mkldnn.conv"]


@pytest.mark.parametrize("precision", DTYPES)
def test_flags_of_each_precision(precision: str, careless: dict[str, str]) -> None:
    tf32 = {"cuda.matmul": "tf32", "cudnn.conv": "tf32"} if precision == "tf32" else {}
    with float32_products(precision):
        assert flags() == EXACT | tf32
    assert flags() == careless
    with pytest.raises(ZeroDivisionError), float32_products(precision):
        _ = 1 / 0
    assert flags() == careless


def test_flags_that_nobody_set_stay_readable_by_torchs_older_names() -> None:
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    with float32_products("fp32"):
        pass
    assert (torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()) == before


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_flags_while_a_trial_trains_and_is_evaluated(precision: str, careless: dict[str, str]) -> None:
    trainer = Trainer(ottt.load_config({**TINY, "precision": precision}))
    seen: list[tuple[bool, dict[str, str]]] = []
    trainer.net.classifier.register_forward_hook(lambda *_: seen.append((trainer.net.training, flags())))
    trainer.net.stem.weight.register_hook(lambda _: seen.append((True, flags())))
    trainer.train_epoch()
    assert {training for training, _ in seen} == {True, False}
    assert all(found == EXACT for _, found in seen)
    assert flags() == careless


@pytest.mark.parametrize("model", ["small", "r400"])
def test_fp32_gives_the_same_numbers_whatever_the_process_asked_for(model: str, request: pytest.FixtureRequest) -> None:
    def trained() -> tuple[list[Any], float]:
        trainer = Trainer(ottt.load_config({**TINY, "model.name": model, "model.width": 1.0}))
        metrics = trainer.train_epoch()
        return [value.tolist() for value in trainer.net.parameters()], metrics["test/loss"]

    expected = trained()
    request.getfixturevalue("careless")
    assert trained() == expected


def test_tf32_is_refused_where_there_is_none() -> None:
    with pytest.raises(ottt.UserError) as error:
        Trainer(ottt.load_config({**TINY, "precision": "tf32"}))
    assert error.value.problems == ("precision must be fp32, bf16 or fp16 on cpu: this device has no TF32, got 'tf32'",)
