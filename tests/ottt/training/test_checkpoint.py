"""Checkpoint files: damage is found and named, and never read as another state."""

import random
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import ottt
from experiments.cli import app
from ottt.errors import UserError
from ottt.training.checkpoint import (
    FORMAT,
    NEWEST,
    PREVIOUS,
    DamagedCheckpointWarning,
    read_checkpoint,
    write_checkpoint,
)
from ottt.training.trainer import Trainer

CONFIG = ottt.load_config({"model.width": 0.1, "T": 2, "epochs": 3, "batch_size": 512, "device": "cpu"})
FLIPS, FUZZED = 60, 60


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    """After two epochs."""
    made = Trainer(CONFIG)
    made.train_epoch()
    made.train_epoch()
    return made


@pytest.fixture
def folder(trainer: Trainer, tmp_path: Path) -> Path:
    """Both checkpoints of the trial."""
    trainer.save(tmp_path)
    trainer.save(tmp_path)
    return tmp_path


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def earlier(state: dict[str, Any], path: Path) -> None:
    """Write what versions without a digest wrote."""
    torch.save({key: value for key, value in state.items() if key != FORMAT}, path)


def test_a_checkpoint_is_a_file_of_torch(folder: Path) -> None:
    state = torch.load(folder / NEWEST, weights_only=True)
    assert state["epoch"] == 2
    with zipfile.ZipFile(folder / NEWEST) as archive:
        assert archive.testzip() is None
        assert archive.comment.startswith(b"ottt-sha256:")


def test_no_flipped_bit_goes_unnoticed(folder: Path) -> None:
    path, rng = folder / NEWEST, random.Random(0)
    content = path.read_bytes()
    end = range(8 * (len(content) - 98), 8 * len(content))  # the end of the archive, with the comment
    for bit in [*rng.sample(range(8 * len(content)), FLIPS), *rng.sample(end, FLIPS)]:
        path.write_bytes(flipped(content, bit))
        with pytest.raises(UserError, match=r"checkpoint\.pt: damaged") as error:
            read_checkpoint(path)
        assert len(str(error.value).splitlines()) == 1


def fuzzed(content: bytes, rng: random.Random) -> bytes:
    """Cut, overwritten, with a hole, or with something added."""
    start = rng.randrange(len(content))
    count = rng.randrange(1, 2000)
    noise = rng.randbytes(count)
    return rng.choice(
        [
            content[:start],
            content[start:],
            content[:start] + noise + content[start + count :],
            content[:start] + content[start + count :],
            content[:start] + noise + content[start:],
            content + noise,
            content[:-count],
            content[:start] + bytes(len(content) - start),
        ]
    )


@pytest.mark.parametrize("is_new", [True, False])
def test_no_fuzzed_file_raises_anything_else(is_new: bool, folder: Path) -> None:
    path, rng = folder / NEWEST, random.Random(1)
    if not is_new:
        earlier(read_checkpoint(path), path)
    content = path.read_bytes()
    expected = read_checkpoint(path)
    refused = []
    for _ in range(FUZZED):
        path.write_bytes(fuzzed(content, rng))
        try:
            state = read_checkpoint(path)
        except UserError as error:
            refused.append(error.problems)
            continue
        # Damage between the parts of an archive that has no digest.
        assert not is_new
        assert all(torch.equal(value, expected["net"][name]) for name, value in state["net"].items())
    assert len(refused) > FUZZED / 2
    assert all(len(lines) == 1 and lines[0].startswith(f"{path}: ") for lines in refused)


def test_a_flipped_bit_in_a_file_without_digest_changes_no_tensor(folder: Path) -> None:
    path, rng = folder / NEWEST, random.Random(2)
    expected = read_checkpoint(path)
    earlier(expected, path)
    content = path.read_bytes()
    found = 0
    for bit in rng.sample(range(8 * len(content)), FLIPS):
        path.write_bytes(flipped(content, bit))
        try:
            state = read_checkpoint(path)
        except UserError:
            found += 1
            continue
        assert state.keys() | {FORMAT} == expected.keys()
        assert all(torch.equal(value, expected["net"][name]) for name, value in state["net"].items())
        assert (state["epoch"], state["config"], state["optimizer"]["param_groups"]) == (
            expected["epoch"],
            expected["config"],
            expected["optimizer"]["param_groups"],
        )
    assert found > FLIPS / 3


def test_a_new_file_is_not_taken_for_an_earlier_one(folder: Path) -> None:
    path = folder / NEWEST
    content = path.read_bytes()
    for without in (content[:-76], content[:-76] + b"other-label:" + content[-64:]):
        path.write_bytes(without)
        with pytest.raises(UserError, match=r"damaged"):
            read_checkpoint(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b""
    with pytest.raises(UserError, match="damaged: the SHA-256 at its end is missing"):
        read_checkpoint(path)


def test_the_state_of_an_earlier_version_is_loaded(trainer: Trainer, folder: Path) -> None:
    earlier(read_checkpoint(folder), folder / NEWEST)
    resumed = Trainer(CONFIG)
    resumed.load(folder / NEWEST)
    assert resumed.epoch == 2
    assert all(torch.equal(value, trainer.net.state_dict()[name]) for name, value in resumed.net.state_dict().items())


def reshaped(state: dict[str, Any], part: str) -> dict[str, Any]:
    if part == "net":
        name = next(iter(state["net"]))
        return {**state, "net": {**state["net"], name: torch.zeros(3)}}
    buffers = {i: {"momentum_buffer": torch.zeros(3)} for i in state["optimizer"]["state"]}
    return {**state, "optimizer": {**state["optimizer"], "state": buffers}}


Change = Callable[[dict[str, Any]], object]

WRONG: list[tuple[Change, str]] = [
    (lambda state: {**state, "epoch": -5}, "epoch must be 0 to 3, its trial's epochs, got -5"),
    (lambda state: {**state, "epoch": 99}, "epoch must be 0 to 3, its trial's epochs, got 99"),
    (lambda state: {**state, "epoch": "x"}, "epoch must be of another type, got 'x'"),
    (lambda state: {**state, "epoch": True}, "epoch must be of another type, got 'True'"),
    (lambda state: {key: value for key, value in state.items() if key != "net"}, "must hold 'net', found none"),
    (lambda state: {key: value for key, value in state.items() if key != "trial"}, "must hold 'trial', found none"),
    (lambda state: {**state, "net": {}}, r" must be of shape \[.*\] in this network, got absent"),
    (lambda state: {**state, "net": {**state["net"], "more": 1}}, "more must be absent in this network, got no tensor"),
    (lambda state: reshaped(state, "net"), r" must be of shape \[.*\] in this network, got of shape \[3\]"),
    (
        lambda state: reshaped(state, "optimizer"),
        r"optimizer.momentum_buffer must be of shape \[.*, got of shape \[3\]",
    ),
    (lambda state: {**state, "optimizer": {}}, "optimizer must fit the network: 'param_groups'"),
    (lambda state: {**state, "schedule": {"last_epoch": 1}}, "schedule must be after epoch 2, got {'last_epoch': 1}"),
    (lambda state: {**state, "order": torch.zeros(3)}, "must be of this precision and kind of device: "),
    (lambda state: {**state, "trial": "0" * 16}, r"must be of trial [0-9a-f]{16}, got one of 0{16}"),
]


@pytest.mark.parametrize(("change", "rule"), WRONG, ids=[rule[:40] for _, rule in WRONG])
def test_a_state_that_does_not_fit_is_one_line_and_the_older_one_is_used(
    change: Change, rule: str, folder: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    state = change(read_checkpoint(folder / NEWEST))
    assert isinstance(state, dict)
    file = write_checkpoint(wrong, state)
    with pytest.raises(UserError, match=rf"wrong/checkpoint\.pt: .*{rule}") as error:
        Trainer(CONFIG).load(file)
    assert len(str(error.value).splitlines()) == 1
    shutil.copyfile(folder / NEWEST, wrong / PREVIOUS)
    resumed = Trainer(CONFIG)
    with pytest.warns(DamagedCheckpointWarning, match=r"wrong/checkpoint\.pt: .*; using checkpoint\.previous\.pt"):
        resumed.load(wrong)
    assert resumed.epoch == 2


@pytest.mark.parametrize("command", ["train", "evaluate"])
@pytest.mark.parametrize("kind", ["text", "nothing", "list", "another", "tensors", "wide"])
def test_commands_name_what_is_no_checkpoint(command: str, kind: str, tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "given.pt"
    match kind:
        case "text":
            path.write_text("epoch: 3\n")
        case "nothing":
            path.write_bytes(b"")
        case "list":
            torch.save([1, 2], path)
        case "another":
            torch.save({"net": 5, "epoch": "x"}, path)
        case "tensors":
            torch.save({"weight": torch.zeros(3)}, path)
        case "wide":
            earlier(reshaped(read_checkpoint(folder), "net"), path)
    settings = ["digits", *(f"{key}={value}" for key, value in (("model.width", 0.1), ("T", 2), ("device", "cpu")))]
    arguments = ["train", *settings, "--resume", str(path)] if command == "train" else ["evaluate", str(path)]
    done = CliRunner().invoke(app, arguments, standalone_mode=False)
    assert isinstance(done.exception, UserError), done.exception
    assert len(done.exception.problems) == 1
    assert str(done.exception).startswith(f"{path}: ")


def test_other_settings_of_an_evaluation_must_fit_the_weights(folder: Path) -> None:
    done = CliRunner().invoke(app, ["evaluate", str(folder), "model.width=0.2"], standalone_mode=False)
    assert isinstance(done.exception, UserError), done.exception
    assert "in this network, got of shape" in str(done.exception)


def test_reading_a_whole_checkpoint_warns_of_nothing(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_checkpoint(folder)["epoch"] == 2
