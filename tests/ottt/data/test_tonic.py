"""Data sets of tonic: small archives in the true format, where tonic would have downloaded them."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.cli import main
from ottt.config.load import load_config
from ottt.data.events import Events
from ottt.data.files import FILES, SourceFile
from ottt.data.frames import Framing
from ottt.data.info import DATASETS
from ottt.data.readers.tonic import read_tonic
from ottt.errors import UserError
from ottt.training.load_data import load_data
from ottt.training.trainer import Trainer
from tests.ottt.data.writers import published, random_events, tar_gz, zipped

NAME = "tonic:NMNIST"
FRAMING = Framing(4, "count", 34, 34)
tonic = pytest.importorskip("tonic")


def nmnist(events: Events) -> bytes:
    """A recording as the publisher describes it: five bytes per event, x, y, polarity and 23 bits of microseconds."""
    rows = zip(*(column.tolist() for column in events), strict=True)
    return b"".join(bytes([x, y]) + (p << 23 | t).to_bytes(3, "big") for t, x, y, p in rows)


def recording(seed: int) -> Events:
    return random_events(200, seed, size=34)


def archives(root: Path) -> tuple[SourceFile, ...]:
    """Two training recordings of each digit, one test recording; not in the order of labels and numbers."""
    digits = (3, 1, *[digit for digit in range(10) if digit not in (1, 3)])
    train = {f"Train/{d}/{n:05}.bin": nmnist(recording(10 * d + n)) for d in digits for n in (7, 2)}
    test = {f"Test/{digit}/{digit:05}.bin": nmnist(recording(1000 + digit)) for digit in digits}
    return published(root, "NMNIST/train.zip", zipped(train)), published(root, "NMNIST/test.zip", zipped(test))


def test_the_frames_are_those_of_the_events(tmp_path: Path) -> None:
    files = archives(tmp_path)
    data = read_tonic(NAME, tmp_path, FRAMING, files=files)
    assert (data.train, data.inputs.shape, data.inputs.dtype) == (20, (30, 4, 2, 34, 34), np.uint8)
    assert data.labels.tolist() == [digit for digit in range(10) for _ in (2, 7)] + list(range(10))
    for position, seed in ((0, 2), (1, 7), (6, 32), (19, 97), (20, 1000), (29, 1009)):
        assert np.array_equal(data.inputs[position], FRAMING(recording(seed))), position
    assert not np.array_equal(data.inputs[0], data.inputs[1])


def test_frames_are_cached_and_by_time_they_are_others(tmp_path: Path) -> None:
    files = archives(tmp_path)
    first = read_tonic(NAME, tmp_path, FRAMING, files=files)
    for file in files:
        (tmp_path / file.path).unlink()
    again = read_tonic(NAME, tmp_path, FRAMING, files=files)
    assert again.digest == first.digest
    with pytest.raises(UserError, match=r"train\.zip: missing"):  # another entry of the cache
        read_tonic(NAME, tmp_path, Framing(4, "time", 34, 34), files=files)


def test_tonic_reads_these_files_alike(tmp_path: Path) -> None:
    """That the files are what tonic expects is shown by tonic itself, which unpacks and lists them."""
    archives(tmp_path)
    read_tonic(NAME, tmp_path, FRAMING, files=archives(tmp_path))
    mine = type("NMNIST", (tonic.datasets.NMNIST,), {"_check_exists": lambda self: True})
    events, label = mine(save_to=str(tmp_path), train=True)[0]
    assert (len(events), label) == (200, 0)
    assert np.array_equal(events["t"], recording(2).t)


def test_gestures_are_cut_by_tonic(tmp_path: Path) -> None:
    """Recordings of tonic's DVSGesture are arrays of x, y, p and milliseconds in folders of user and light."""
    import io

    def saved(events: Events) -> bytes:
        buffer = io.BytesIO()
        np.save(buffer, np.stack([events.x, events.y, events.p, events.t // 1000], axis=1).astype(np.float64))
        return buffer.getvalue()

    def archive(part: str, users: tuple[int, ...]) -> SourceFile:
        members = {
            f"ibmGesture{part}/user{user:02}_led/{label}.npy": saved(random_events(100, 20 * user + label))
            for user in users
            for label in (10, 0, 4)
        }
        return published(tmp_path, f"DVSGesture/ibmGesture{part}.tar.gz", tar_gz(members))

    files = archive("Train", (2, 1)), archive("Test", (3,))
    framing = Framing(2, "count", 128, 128)
    data = read_tonic("tonic:DVSGesture", tmp_path, framing, files=files)
    assert data.labels.tolist() == [0, 10, 4, 0, 10, 4, 0, 10, 4]  # user01 first; "10" before "4", as paths are
    assert data.train == 6
    assert np.array_equal(data.inputs[1], framing(random_events(100, 30)))


def test_a_trial_trains_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FILES, NAME, archives(tmp_path))
    settings = {"data.name": NAME, "data.root": str(tmp_path), "T": 4, "model.width": 0.1, "data.val_fraction": 0.5}
    config = load_config(settings | {"data.frames.size": 17})
    data = load_data(config, torch.device("cpu"))
    assert [len(part) for part in (data.train, data.val, data.test)] == [10, 10, 10]
    inputs, labels = next(data.train.batches(5))
    assert inputs.shape == (5, 4, 2, 17, 17)
    assert inputs.isfinite().all()
    assert labels.tolist() == [0, 1, 2, 3, 4]
    trainer = Trainer(config.replace({"epochs": 1, "batch_size": 5}))
    metrics = trainer.train_epoch()
    assert 0 < metrics["train/loss"] < 10
    assert metrics["rate/total"] > 0


def test_a_sheet_of_its_samples_needs_no_preset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(FILES, NAME, archives(tmp_path))
    target = tmp_path / "sheet.png"
    monkeypatch.setattr(
        sys,
        "argv",
        ["ottt", "datasets", "show", NAME, "T=4", "data.val_fraction=0", f"data.root={tmp_path}", "--out", str(target)],
    )
    assert main() == 0, capsys.readouterr().err
    assert target.read_bytes().startswith(b"\x89PNG")


def test_what_is_listed_is_what_tonic_says() -> None:
    for name in ("tonic:NMNIST", "tonic:DVSGesture"):
        kind, info = getattr(tonic.datasets, name.removeprefix("tonic:")), DATASETS[name]
        assert (info.width, info.height, info.channels) == kind.sensor_size
        assert info.classes == len(kind.classes)
        for file, part in zip(FILES[name], ("train", "test"), strict=True):
            assert file.name == getattr(kind, f"{part}_filename")
            assert file.md5 == getattr(kind, f"{part}_md5")
            assert file.url.removesuffix("/file_downloaded").split("/")[-1] in getattr(kind, f"{part}_url")
            assert file.path.split("/")[0] == kind.__name__


def test_missing_altered_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        read_tonic(NAME, tmp_path, FRAMING)
    assert len(error.value.problems) == 2
    assert "NMNIST/train.zip: missing; " in error.value.problems[0]
    assert "datasets download tonic:NMNIST" in error.value.problems[0]
    train, test = archives(tmp_path)
    (tmp_path / test.path).write_bytes(b"another")
    with pytest.raises(UserError, match=r"test\.zip: must have MD5 .*truncated or altered"):
        read_tonic(NAME, tmp_path, FRAMING, files=(train, test))
    cut = published(tmp_path, "NMNIST/test.zip", zipped({"Test/0/00001.bin": nmnist(recording(1))[:-2]}))
    with pytest.raises(UserError, match=r"Test/0/00001\.bin: must be a recording as published"):
        read_tonic(NAME, tmp_path, FRAMING, files=(train, cut))
    outside = published(tmp_path, "NMNIST/test.zip", zipped({"Test/0/00001.bin": bytes([34, 0, 0, 0, 1])}))
    with pytest.raises(UserError, match="must lie on the sensor of 34 x 34, got x=34"):
        read_tonic(NAME, tmp_path, FRAMING, files=(train, outside))


@pytest.mark.parametrize(
    ("name", "hint"), [("tonic:NMINST", "tonic:NMNIST"), ("tonic:DVSGestures", "tonic:DVSGesture"), ("NMNIST", NAME)]
)
def test_an_unknown_name_is_one_line_with_a_near_one(name: str, hint: str) -> None:
    with pytest.raises(UserError) as error:
        load_config({"data.name": name})
    (line,) = error.value.problems
    assert f"(did you mean {hint}?), got '{name}'" in line


def test_without_tonic_one_line_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("tonic", "tonic.datasets"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError) as error:
        read_tonic(NAME, tmp_path, FRAMING, files=archives(tmp_path))
    (line,) = error.value.problems
    assert line.startswith("data.name=tonic:NMNIST needs tonic: pip install 'ottt-lab[neuromorphic]' (")
