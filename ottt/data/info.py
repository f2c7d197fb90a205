"""Facts about each data set, known without reading it. Standard library only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DataInfo:
    """A data set and the shape of its samples.

    Attributes:
        summary: one-line description.
        classes: number of classes.
        channels: channels of an image, or polarities of an event frame.
        height: height in pixels.
        width: width in pixels.
        train: number of samples published for training.
        test: number of samples published for testing.
        events: whether a sample is a recording of an event camera, given as frames over time.
        white: stored value of the brightest pixel; 1 (one event) for event frames.
        class_names: names in the order of the labels; empty if not listed here.
        most: number of training samples of the largest class; None if not listed here.
    """

    summary: str
    classes: int
    channels: int
    height: int
    width: int
    train: int = 0
    test: int = 0
    events: bool = False
    white: int = 255
    class_names: tuple[str, ...] = ()
    most: int | None = None

    def parts(self, fraction: float) -> tuple[int, int] | None:
        """Numbers of training and validation samples if one of them is certainly 0; else None: the labels decide.

        Args:
            fraction: share of every class that is held out for validation, see `held_out`.
        """
        largest = self.most or self.train
        if not largest or fraction == 0:
            return None
        if held_out(largest, fraction) == 0:
            return self.train, 0
        if self.most is not None and held_out(largest, fraction) == largest:
            return 0, self.train
        return None


def held_out(samples: int, fraction: float) -> int:
    """How many of a class's `samples` are held out: the share, rounded to whole samples."""
    return round(fraction * samples)


def empty_part(fraction: float, train: int, val: int) -> str:
    """What is wrong with a share of validation samples that leaves none for training or for validation."""
    return (
        "data.val_fraction must leave samples for training and for validation (0: no validation),"
        f" got {fraction}: {train} for training, {val} for validation"
    )


_DIGITS = tuple("0123456789")
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_FASHION = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
_GESTURES = (
    "hand clap",
    "right hand wave",
    "left hand wave",
    "right arm clockwise",
    "right arm counter-clockwise",
    "left arm clockwise",
    "left arm counter-clockwise",
    "arm roll",
    "air drums",
    "air guitar",
    "other",
)

DATASETS: dict[str, DataInfo] = {
    "cifar10": DataInfo(
        "colour photographs of ten things", 10, 3, 32, 32, 50_000, 10_000, class_names=_CIFAR10, most=5_000
    ),
    "cifar100": DataInfo("colour photographs of a hundred things", 100, 3, 32, 32, 50_000, 10_000, most=500),
    "fashion_mnist": DataInfo(
        "grey pictures of clothes", 10, 1, 28, 28, 60_000, 10_000, class_names=_FASHION, most=6_000
    ),
    "imagenet": DataInfo(
        "ILSVRC 2012: photographs of a thousand things", 1000, 3, 224, 224, 1_281_167, 50_000, most=1_300
    ),
    "cifar10_dvs": DataInfo(
        "CIFAR-10 pictures moving before an event camera",
        10,
        2,
        128,
        128,
        9_000,
        1_000,
        events=True,
        white=1,
        class_names=_CIFAR10,
        most=900,
    ),
    "dvs128_gesture": DataInfo(
        "hand and arm gestures before an event camera",
        11,
        2,
        128,
        128,
        1_176,
        288,
        events=True,
        white=1,
        class_names=_GESTURES,
    ),
    "digits": DataInfo(
        "handwritten digits that ship with scikit-learn",
        10,
        1,
        8,
        8,
        1_438,
        359,
        white=16,
        class_names=_DIGITS,
        most=146,
    ),
    "digits_dvs": DataInfo(
        "those digits before a simulated event camera",
        10,
        2,
        24,
        24,
        1_438,
        359,
        events=True,
        white=1,
        class_names=_DIGITS,
        most=146,
    ),
    "tonic:NMNIST": DataInfo(
        "MNIST's digits before a moving event camera, by the package tonic",
        10,
        2,
        34,
        34,
        60_000,
        10_000,
        events=True,
        white=1,
        class_names=_DIGITS,
        most=6_742,
    ),
    "tonic:DVSGesture": DataInfo(
        "the gestures of dvs128_gesture as the package tonic cuts them",
        11,
        2,
        128,
        128,
        1_077,
        264,
        events=True,
        white=1,
        class_names=_GESTURES,
    ),
}
