"""Splits that leave a part empty, and readers that do not keep to what is known of their data set."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import ottt
from experiments.cli import app
from ottt.data.info import DATASETS, held_out
from ottt.data.readers.digits import read_digits
from ottt.data.sets import Prepared, checked, split
from ottt.errors import UserError

LABELS = np.repeat(np.arange(3), (4, 5, 6))


def test_the_largest_class_of_the_digits_is_known() -> None:
    data = read_digits()
    assert np.bincount(data.labels[: data.train]).max() == DATASETS["digits"].most == DATASETS["digits_dvs"].most


@pytest.mark.parametrize(
    ("name", "fraction", "parts"),
    [
        ("digits", 0.0, None),
        ("digits", 0.0001, (1438, 0)),
        ("digits", 0.003, (1438, 0)),  # 146 * 0.003 < 0.5
        ("digits", 0.0035, None),
        ("digits", 0.996, None),
        ("digits", 0.999, (0, 1438)),
        ("cifar10", 0.00009, (50_000, 0)),
        ("cifar10", 0.00011, None),
        ("imagenet", 0.0003, (1_281_167, 0)),
        ("dvs128_gesture", 0.0004, (1176, 0)),
        ("dvs128_gesture", 0.001, None),  # its largest class is not listed
        ("dvs128_gesture", 0.9999, None),
    ],
)
def test_parts_that_are_certainly_empty(name: str, fraction: float, parts: tuple[int, int] | None) -> None:
    assert DATASETS[name].parts(fraction) == parts


@pytest.mark.parametrize("fraction", [0.0001, 0.003, 0.0035, 0.15, 0.5, 0.996, 0.999])
def test_what_is_known_of_the_digits_agrees_with_their_split(fraction: float) -> None:
    counts = np.bincount(read_digits().labels[:1438]).tolist()
    val = sum(held_out(count, fraction) for count in counts)
    expected = (1438 - val, val) if val in {0, 1438} else None
    assert DATASETS["digits"].parts(fraction) == expected


@pytest.mark.parametrize(
    ("fraction", "got"),
    [(0.05, "0.05: 15 for training, 0 for validation"), (0.95, "0.95: 0 for training, 15 for validation")],
)
def test_a_split_leaves_no_part_empty(fraction: float, got: str) -> None:
    labels = np.concatenate([LABELS, LABELS])
    with pytest.raises(UserError, match=rf"data\.val_fraction must leave samples for training and .*, got {got}$"):
        split(labels, 15, val_fraction=fraction, seed=0)
    assert [len(part) for part in vars(split(labels, 15, val_fraction=0.2, seed=0)).values()] == [12, 3, 15]
    assert len(split(labels, 15, val_fraction=0, seed=0).val) == 0


@pytest.mark.parametrize(
    ("fraction", "got"),
    [("0.0001", "1438 for training, 0 for validation"), ("0.999", "0 for training, 1438 for validation")],
)
def test_training_refuses_before_it_reads_data(fraction: str, got: str) -> None:
    arguments = ["train", "digits", f"data.val_fraction={fraction}"]
    done = CliRunner().invoke(app, arguments, standalone_mode=False)
    assert isinstance(done.exception, UserError)
    assert len(done.exception.problems) == 1
    assert str(done.exception).endswith(f"got {fraction}: {got}")


def test_a_sweep_plan_refuses_before_it_reads_data(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "name: s\nseeds: 1\nbase: {data.val_fraction: 0.0001}\naxes: {T: [2, 3]}\nscheduler: {name: asha}\n"
    )
    done = CliRunner().invoke(app, ["sweep", "plan", str(spec)], standalone_mode=False)
    assert isinstance(done.exception, UserError)
    assert len(done.exception.problems) == 1
    assert str(done.exception).endswith("got 0.0001: 1438 for training, 0 for validation")


def test_no_fraction_is_changed_by_the_check() -> None:
    assert ottt.load_config("digits", ["data.val_fraction=0.15"]).data.val_fraction == 0.15


DATA = Prepared(np.zeros((15, 1, 8, 8), np.uint8), LABELS, 10, "")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"labels": LABELS + 8}, "digits: labels must be 0 to 9, got 10"),
        ({"labels": LABELS - 1}, "digits: labels must be 0 to 9, got -1"),
        ({"labels": LABELS[:-1]}, "digits: must have a label per sample, got 14 for 15"),
        ({"train": 15}, "digits: must have samples for training and testing, got 15 of 15 for training"),
        ({"train": 0}, "digits: must have samples for training and testing, got 0 of 15 for training"),
        ({"inputs": np.zeros((15, 8, 8))}, r"digits: samples must have shape \(1, 8, 8\), got \(15, 8, 8\)"),
    ],
)
def test_readers_keep_to_what_is_known_of_their_data_set(change: dict, rule: str) -> None:
    assert checked(DATA, DATASETS["digits"], "digits") is DATA
    with pytest.raises(UserError, match=rule):
        checked(replace(DATA, **change), DATASETS["digits"], "digits")
