"""Still images: files in their published formats, written independently, and errors in them."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from ottt.data.files import DEBIAN_FASHION, FILES, SourceFile
from ottt.data.readers.cifar import read_cifar
from ottt.data.readers.fashion import CONTENTS, read_fashion_mnist
from ottt.data.readers.idx import parse_idx
from ottt.data.sets import Prepared
from ottt.errors import UserError, command
from tests.ottt.data.writers import cifar_batch, idx, packed, published, tar_gz

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 28, 28), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5, 9], dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (12, 3, 32, 32), dtype=np.uint8)


def fashion(root: Path, *, gzipped: bool) -> tuple[tuple[SourceFile, ...], tuple[str, ...]]:
    parts = {
        "train-images": IMAGES[:4],
        "train-labels": LABELS[:4],
        "t10k-images": IMAGES[4:],
        "t10k-labels": LABELS[4:],
    }
    contents = [idx(part) for part in parts.values()]
    suffix = ".gz" if gzipped else ""
    files = [
        published(root, f"FashionMNIST/raw/{name}{suffix}", packed(content) if gzipped else content)
        for name, content in zip(parts, contents, strict=True)
    ]
    return tuple(files), tuple(hashlib.md5(content).hexdigest() for content in contents)


def cifar(root: Path, name: str) -> SourceFile:
    if name == "cifar10":
        members = {
            f"cifar-10-batches-py/data_batch_{i}": cifar_batch(COLOUR[2 * i - 2 : 2 * i], [i, i + 1], b"labels")
            for i in range(1, 6)
        }
        members["cifar-10-batches-py/test_batch"] = cifar_batch(COLOUR[10:], [0, 9], b"labels")
    else:
        members = {
            "cifar-100-python/train": cifar_batch(COLOUR[:10], list(range(90, 100)), b"fine_labels"),
            "cifar-100-python/test": cifar_batch(COLOUR[10:], [0, 9], b"fine_labels"),
        }
    return published(root, f"{name}.tar.gz", tar_gz(members))


@pytest.mark.parametrize("gzipped", [True, False])
def test_fashion_mnist_round_trip(gzipped: bool, tmp_path: Path) -> None:
    files, contents = fashion(tmp_path, gzipped=gzipped)
    data = read_fashion_mnist(tmp_path, files=files, contents=contents)
    assert np.array_equal(data.inputs[:, 0], IMAGES)
    assert data.inputs.dtype == np.uint8
    assert np.array_equal(data.labels, LABELS)
    assert data.train == 4


def test_an_altered_or_truncated_file_is_named_and_not_cached(tmp_path: Path) -> None:
    files, contents = fashion(tmp_path, gzipped=True)
    path = tmp_path / files[0].path
    whole = path.read_bytes()
    for damaged, problem in ((whole[:-20], "damaged"), (packed(idx(IMAGES[:4] ^ 1)), "must have MD5")):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=problem) as error:
            read_fashion_mnist(tmp_path, files=files, contents=contents)
        assert error.value.problems[0].startswith(f"{path}:")
        assert [entry.suffix for entry in (tmp_path / "cache").iterdir()] == [".lock"]
    path.write_bytes(whole)
    assert len(read_fashion_mnist(tmp_path, files=files, contents=contents).labels) == 6


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (idx(IMAGES)[:-1], "must hold 4704 values, got 4703"),
        (idx(IMAGES) + b"x", "must hold 4704 values, got 4705"),
        (idx(IMAGES)[:9], "header of 16 bytes, got 9"),
        (b"\0\0\x0d\1\0\0\0\0", "must start with 00 00 08"),
        (b"", "got nothing"),
    ],
)
def test_idx_refuses(content: bytes, rule: str) -> None:
    with pytest.raises(UserError, match=rule):
        parse_idx(content, "f")


@pytest.mark.skipif(not Path(DEBIAN_FASHION).is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_debian_package(tmp_path: Path) -> None:
    data = read_fashion_mnist(tmp_path)
    assert data.inputs.shape == (70_000, 1, 28, 28)
    assert data.train == 60_000
    assert np.bincount(data.labels[:60_000]).tolist() == [6000] * 10
    assert data.inputs[:60_000].mean() / 255 == pytest.approx(0.2860, abs=5e-5)
    assert data.inputs[:60_000].std() / 255 == pytest.approx(0.3530, abs=5e-5)
    assert len(CONTENTS) == len(FILES["fashion_mnist"])


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_round_trip(name: str, tmp_path: Path) -> None:
    data = read_cifar(tmp_path, name, file=cifar(tmp_path, name))
    assert np.array_equal(data.inputs, COLOUR)
    assert data.train == 10
    expected = [1, 2, 2, 3, 3, 4, 4, 5, 5, 6] if name == "cifar10" else list(range(90, 100))
    assert data.labels.tolist() == [*expected, 0, 9]


def test_a_cached_data_set_no_longer_needs_its_files(tmp_path: Path) -> None:
    file = cifar(tmp_path, "cifar10")
    first = read_cifar(tmp_path, "cifar10", file=file)
    (tmp_path / file.path).unlink()
    again: Prepared = read_cifar(tmp_path, "cifar10", file=file)
    assert again.digest == first.digest
    assert isinstance(again.inputs, np.memmap)


def test_cifar_refuses(tmp_path: Path) -> None:
    file = cifar(tmp_path, "cifar10")
    path = tmp_path / file.path
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=rf"cifar10\.tar\.gz: must have MD5 {file.md5}, got .*: truncated or altered"):
        read_cifar(tmp_path, "cifar10", file=file)
    missing = published(tmp_path, "empty.tar.gz", tar_gz({"cifar-10-batches-py/test_batch": b""}))
    with pytest.raises((UserError, EOFError)):
        read_cifar(tmp_path, "cifar10", file=missing)


def test_missing_files_are_named_with_their_source(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        read_cifar(tmp_path, "cifar100")
    (line,) = error.value.problems
    assert line.startswith(
        f"{tmp_path}/cifar-100-python.tar.gz: missing; `{command('datasets', 'download', 'cifar100')}` gets it from"
    )
    assert "https://www.cs.toronto.edu" in line


def test_checksums_are_those_of_torchvision() -> None:
    from torchvision.datasets import CIFAR10, CIFAR100, FashionMNIST

    for name, theirs in (("cifar10", CIFAR10), ("cifar100", CIFAR100)):
        (file,) = FILES[name]
        assert (file.url, file.md5, file.path) == (theirs.url, theirs.tgz_md5, theirs.filename)
    ours = {(file.name, file.md5) for file in FILES["fashion_mnist"]}
    assert ours == set(FashionMNIST.resources)
    assert FILES["fashion_mnist"][0].url == FashionMNIST.mirrors[0] + FashionMNIST.resources[0][0]
