"""One epoch of each data set's preset on a few samples in the published format, with a narrow network.

The studies of a data set all start from its preset.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import ottt
from ottt.data import load
from ottt.data.cifar import read_cifar
from ottt.data.cifar10_dvs import read_cifar10_dvs
from ottt.data.dvs128_gesture import read_dvs128_gesture
from ottt.data.fashion import read_fashion_mnist
from ottt.data.frames import Framing
from ottt.data.info import DATASETS
from ottt.data.sets import Prepared
from ottt.schema import Status
from tests.ottt.data.writers import (
    aedat2,
    aedat3,
    cifar_batch,
    idx,
    packed,
    published,
    random_events,
    tar_gz,
    zipped,
)

Reader = Callable[[Path, Framing], Prepared]
NARROW = ["model.width=0.05", "epochs=1", "batch_size=4", "device=cpu", "data.workers=0"]
RNG = np.random.default_rng(0)


def cifar(root: Path, name: str) -> Reader:
    images = RNG.integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
    if name == "cifar10":
        batches = {
            f"cifar-10-batches-py/data_batch_{i}": cifar_batch(images[i : i + 1], [i], b"labels") for i in range(1, 6)
        }
        batches["cifar-10-batches-py/test_batch"] = cifar_batch(images[:2], [0, 9], b"labels")
    else:
        batches = {
            "cifar-100-python/train": cifar_batch(images, [0, 1, 2, 97, 98, 99], b"fine_labels"),
            "cifar-100-python/test": cifar_batch(images[:2], [0, 99], b"fine_labels"),
        }
    file = published(root, f"{name}.tar.gz", tar_gz(batches))
    return lambda folder, _: read_cifar(folder, name, file=file)


def fashion_mnist(root: Path) -> Reader:
    images, labels = RNG.integers(0, 256, (6, 28, 28), dtype=np.uint8), np.arange(6, dtype=np.uint8)
    contents = [idx(images), idx(labels), idx(images[:2]), idx(labels[:2])]
    files = tuple(published(root, f"part{i}.gz", packed(content)) for i, content in enumerate(contents))
    sums = tuple(hashlib.md5(content).hexdigest() for content in contents)
    return lambda folder, _: read_fashion_mnist(folder, files=files, contents=sums)


def cifar10_dvs(root: Path) -> Reader:
    recordings = {f"cat/cifar10_cat_{i}.aedat": aedat2(random_events(300, i)) for i in range(6)}
    files = (published(root, "cat.zip", zipped(recordings)),)
    return lambda folder, framing: read_cifar10_dvs(folder, framing, files=files, per_class=6, train_per_class=4)


def dvs128_gesture(root: Path) -> Reader:
    rows = "class,startTime_usec,endTime_usec\n" + "".join(f"{k},{k}00000,{k + 1}00000\n" for k in range(1, 5))
    archive = {
        f"DvsGesture/{user}{end}": content
        for user in ("user01_led", "user29_lab")
        for end, content in ((".aedat", aedat3(random_events(4000, 1))), ("_labels.csv", rows.encode()))
    }
    archive["DvsGesture/trials_to_train.txt"] = b"user01_led.aedat\n"
    archive["DvsGesture/trials_to_test.txt"] = b"user29_lab.aedat\n"
    files = (published(root, "DvsGesture.tar.gz", tar_gz(archive)), published(root, "names.csv", b"action,label\n"))
    return lambda folder, framing: read_dvs128_gesture(folder, framing, files=files)


def smoke(name: str, root: Path, *changes: str) -> dict[str, float]:
    config = ottt.load_config(name, [*NARROW, f"data.root={root}", *changes])
    result = ottt.train(config)
    assert result.status is Status.FINISHED
    assert np.isfinite(list(result.metrics.values())).all()
    return result.metrics


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("cifar10", lambda root: cifar(root, "cifar10")),
        ("cifar100", lambda root: cifar(root, "cifar100")),
        ("fashion_mnist", fashion_mnist),
        ("cifar10_dvs", cifar10_dvs),
        ("dvs128_gesture", dvs128_gesture),
    ],
)
@pytest.mark.parametrize("update", ["accumulate", "online"])
def test_a_preset_trains(
    name: str, write: Callable[[Path], Reader], update: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(load._READERS, name, write(tmp_path))
    metrics = smoke(name, tmp_path, f"rule.update={update}")
    assert metrics["train/loss"] > 0
    assert 0 <= metrics["rate/total"] < 1


@pytest.mark.parametrize("changes", [["rule.update=online"], ["T_eval=1,4"]], ids=["online", "accumulate"])
def test_imagenets_preset_trains(changes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "imagenet", replace(DATASETS["imagenet"], classes=2))
    for part in ("train", "val"):
        for label in range(2):
            folder = tmp_path / "imagenet" / part / f"n0{label}"
            folder.mkdir(parents=True)
            for i in range(2):
                cv2.imwrite(str(folder / f"{i}.JPEG"), RNG.integers(0, 256, (240, 300, 3), dtype=np.uint8))
    metrics = smoke("imagenet", tmp_path, "T=2", *changes)
    assert metrics["train/loss"] > 0
    assert ("test/top1_at_04" in metrics) == ("T_eval=1,4" in changes)
