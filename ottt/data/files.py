"""The published files of each data set: their sources, local paths and checksums."""

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ottt.errors import UserError, command


@dataclass(frozen=True)
class SourceFile:
    """A published file, or a folder of them.

    Attributes:
        path: local path below `data.root`.
        url: address of the file, or of the page where users get it.
        md5: checksum of the file as published; None for a folder.
        fetchable: whether a program can download it.
        elsewhere: other folders where a package can have installed it.
    """

    path: str
    url: str
    md5: str | None = None
    fetchable: bool = True
    elsewhere: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name without folders."""
        return PurePosixPath(self.path).name

    def find(self, root: Path) -> Path | None:
        """The path of the file, compressed or not; None if there is none."""
        places = [root / self.path, *(Path(folder) / self.name for folder in self.elsewhere)]
        candidates = [form for place in places for form in (place, place.with_name(place.name.removesuffix(".gz")))]
        return next((path for path in candidates if path.exists()), None)


# Checksums are those of torchvision or tonic if they have the data set, else those of the publisher.
_CIFAR = "https://www.cs.toronto.edu/~kriz"
_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
_FIGSHARE = "https://ndownloader.figshare.com/files"
_IBM = "https://ibm.ent.box.com/s/3hiq58ww1pbbjrinh367ykfdf60xsfm8/folder/50167556794"
_MENDELEY = "https://data.mendeley.com/public-files/datasets/468j46mzdv/files"
_IMAGENET = "https://image-net.org/download.php"
DEBIAN_FASHION = "/usr/share/datasets/fashion-mnist"  # folder of Debian's package dataset-fashion-mnist


def _fashion(name: str, md5: str) -> SourceFile:
    return SourceFile(f"FashionMNIST/raw/{name}", f"{_FASHION}/{name}", md5, elsewhere=(DEBIAN_FASHION,))


def _cifar10_dvs(name: str, number: int, md5: str) -> SourceFile:
    return SourceFile(f"cifar10_dvs/{name}.zip", f"{_FIGSHARE}/{number}", md5)


def _gesture(name: str, md5: str) -> SourceFile:
    return SourceFile(f"dvs128_gesture/{name}", _IBM, md5, fetchable=False)


def _nmnist(part: str, key: str, md5: str) -> SourceFile:
    return SourceFile(f"NMNIST/{part}.zip", f"{_MENDELEY}/{key}/file_downloaded", md5)


def _tonic_gesture(part: str, number: int, md5: str) -> SourceFile:
    return SourceFile(f"DVSGesture/ibmGesture{part}.tar.gz", f"{_FIGSHARE}/{number}", md5)


FILES: dict[str, tuple[SourceFile, ...]] = {
    "cifar10": (
        SourceFile("cifar-10-python.tar.gz", f"{_CIFAR}/cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"),
    ),
    "cifar100": (
        SourceFile("cifar-100-python.tar.gz", f"{_CIFAR}/cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85"),
    ),
    "fashion_mnist": (
        _fashion("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        _fashion("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        _fashion("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        _fashion("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ),
    "imagenet": (
        SourceFile("imagenet/train", _IMAGENET, fetchable=False),
        SourceFile("imagenet/val", _IMAGENET, fetchable=False),
    ),
    "cifar10_dvs": (
        _cifar10_dvs("airplane", 7712788, "0afd5c4bf9ae06af762a77b180354fdd"),
        _cifar10_dvs("automobile", 7712791, "8438dfeba3bc970c94962d995b1b9bdd"),
        _cifar10_dvs("bird", 7712794, "a9c207c91c55b9dc2002dc21c684d785"),
        _cifar10_dvs("cat", 7712812, "52c63c677c2b15fa5146a8daf4d56687"),
        _cifar10_dvs("deer", 7712815, "b6bf21f6c04d21ba4e23fc3e36c8a4a3"),
        _cifar10_dvs("dog", 7712818, "f379ebdf6703d16e0a690782e62639c3"),
        _cifar10_dvs("frog", 7712842, "cad6ed91214b1c7388a5f6ee56d08803"),
        _cifar10_dvs("horse", 7712851, "e7cbbf77bec584ffbf913f00e682782a"),
        _cifar10_dvs("ship", 7712836, "41c7bd7d6b251be82557c6cce9a7d5c9"),
        _cifar10_dvs("truck", 7712839, "89f3922fd147d9aeff89e76a2b0b70a7"),
    ),
    "dvs128_gesture": (
        _gesture("DvsGesture.tar.gz", "8a5c71fb11e24e5ca5b11866ca6c00a1"),
        _gesture("gesture_mapping.csv", "109b2ae64a0e1f3ef535b18ad7367fd1"),
    ),
    "digits": (),
    "digits_dvs": (),
    "tonic:NMNIST": (
        _nmnist("train", "39c25547-014b-4137-a934-9d29fa53c7a0", "20959b8e626244a1b502305a9e6e2031"),
        _nmnist("test", "05a4d654-7e03-4c15-bdfa-9bb2bcbea494", "69ca8762b2fe404d9b9bad1103e97832"),
    ),
    "tonic:DVSGesture": (
        _tonic_gesture("Train", 38022171, "3a8f0d4120a166bac7591f77409cb105"),
        _tonic_gesture("Test", 38020584, "56070e45dadaa85fff82e0fbfbc06de5"),
    ),
}


def locate(name: str, root: Path, files: tuple[SourceFile, ...]) -> list[Path]:
    """The paths of the files of data set `name`.

    Raises:
        UserError: one line per missing file, with its source and its local path.
    """
    found = [file.find(root) for file in files]
    missing = [file for file, path in zip(files, found, strict=True) if path is None]
    if missing:
        raise UserError(*(_how_to_get(name, root, file) for file in missing))
    return [path for path in found if path is not None]


def verify(path: Path, file: SourceFile) -> None:
    """Check that the file at `path` is the published one.

    Raises:
        UserError: the checksum differs.
    """
    check_md5(path, md5_of(path), file)


def check_md5(path: Path, got: str, file: SourceFile, *, expected: str | None = None) -> None:
    """Check that the MD5 `got` of the file at `path` is `expected`, by default that of `file`.

    Raises:
        UserError: the checksum differs.
    """
    md5 = expected or file.md5
    if got != md5:
        raise UserError(f"{path}: must have MD5 {md5}, got {got}: truncated or altered; get it again from {file.url}")


def md5_of(path: Path) -> str:
    """MD5 of a file, in hex; a check against damage, not against malice."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _how_to_get(name: str, root: Path, file: SourceFile) -> str:
    path = root / file.path
    if file.fetchable:
        return f"{path}: missing; `{command('datasets', 'download', name)}` gets it from {file.url}, or put it there"
    return f"{path}: missing; get it from {file.url} and put it there"
