"""A few random samples of every data set that is not made on the spot, in its published format.

python -m tests.fake_data FOLDER      then read them with the plugin tests/fake_readers.py
"""

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from tests.ottt.data.writers import aedat2, aedat3, cifar_batch, idx, packed, published, random_events, tar_gz, zipped

TRAIN, TEST = 20, 4  # samples of two classes: 10 % of each can be held out
LABELS = np.arange(TRAIN + TEST) % 2


def cifar10(root: Path, rng: np.random.Generator) -> None:
    images = rng.integers(0, 256, (TRAIN + TEST, 3, 32, 32), dtype=np.uint8)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    parts = {
        f"cifar-10-batches-py/{name}": cifar_batch(images[i : i + 4], LABELS[i : i + 4].tolist(), b"labels")
        for name, i in zip(names, range(0, TRAIN + TEST, 4), strict=True)
    }
    published(root, "cifar-10-python.tar.gz", tar_gz(parts))


def cifar100(root: Path, rng: np.random.Generator) -> None:
    images = rng.integers(0, 256, (TRAIN + TEST, 3, 32, 32), dtype=np.uint8)
    labels = (99 * LABELS).tolist()
    train, test = (
        cifar_batch(images[part], labels[part], b"fine_labels") for part in (slice(TRAIN), slice(TRAIN, None))
    )
    published(root, "cifar-100-python.tar.gz", tar_gz({"cifar-100-python/train": train, "cifar-100-python/test": test}))


def fashion_mnist(root: Path, rng: np.random.Generator) -> None:
    images, labels = rng.integers(0, 256, (TRAIN + TEST, 28, 28), dtype=np.uint8), LABELS.astype(np.uint8)
    for name, part in (("train", slice(TRAIN)), ("t10k", slice(TRAIN, None))):
        published(root, f"FashionMNIST/raw/{name}-images-idx3-ubyte.gz", packed(idx(images[part])))
        published(root, f"FashionMNIST/raw/{name}-labels-idx1-ubyte.gz", packed(idx(labels[part])))


def cifar10_dvs(root: Path, rng: np.random.Generator) -> None:
    for name in ("airplane", "automobile"):
        events = [random_events(300, int(rng.integers(1000))) for _ in range((TRAIN + TEST) // 2)]
        members = {f"{name}/cifar10_{name}_{i}.aedat": aedat2(recording) for i, recording in enumerate(events)}
        published(root, f"cifar10_dvs/{name}.zip", zipped(members))


def dvs128_gesture(root: Path, rng: np.random.Generator) -> None:
    members = {}
    for part, user, count in (("train", "user01_led", TRAIN), ("test", "user29_lab", TEST)):
        rows = [f"{k % 2 + 1},{k}00000,{k + 1}00000" for k in range(count)]
        members[f"DvsGesture/{user}.aedat"] = aedat3(random_events(4000, int(rng.integers(1000))))
        members[f"DvsGesture/{user}_labels.csv"] = "\n".join(["class,startTime_usec,endTime_usec", *rows, ""]).encode()
        members[f"DvsGesture/trials_to_{part}.txt"] = f"{user}.aedat\n".encode()
    published(root, "dvs128_gesture/DvsGesture.tar.gz", tar_gz(members))
    published(root, "dvs128_gesture/gesture_mapping.csv", b"action,label\n")


def imagenet(root: Path, rng: np.random.Generator) -> None:
    for part, count in (("train", TRAIN), ("val", TEST)):
        for i in range(count):
            file = root / "imagenet" / part / f"n0{LABELS[i]}" / f"{i}.JPEG"
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), rng.integers(0, 256, (240, 300, 3), dtype=np.uint8))


WRITERS: dict[str, Callable[[Path, np.random.Generator], None]] = {
    write.__name__: write for write in (cifar10, cifar100, fashion_mnist, cifar10_dvs, dvs128_gesture, imagenet)
}


def main(folder: str) -> None:
    """Write all of them."""
    for write in WRITERS.values():
        write(Path(folder), np.random.default_rng(0))


if __name__ == "__main__":
    main(*sys.argv[1:])
