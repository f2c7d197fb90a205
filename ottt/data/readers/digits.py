"""Reader of the handwritten digits that ship with scikit-learn: 1,797 images of 8x8 pixels with 17 grey levels."""

from importlib.metadata import distribution

import numpy as np

from ottt.data.sets import Prepared
from ottt.data.splits import fingerprint, stratified

FILE = "sklearn/datasets/data/digits.csv.gz"  # per line 64 pixels and the class
TEST_FRACTION = 0.2
TEST_SEED = 0  # fixed: the test set does not depend on the validation split


def read_digits() -> Prepared:
    """The data set as [N,1,8,8] uint8, 0 to 16, the test samples last."""
    # `load_digits` reads the same file, but its imports would cost every worker of a sweep two seconds.
    table = np.loadtxt(str(distribution("scikit-learn").locate_file(FILE)), delimiter=",", dtype=np.int64)
    pixels, classes = table[:, :-1], table[:, -1]
    train, test = stratified(classes, TEST_FRACTION, TEST_SEED)
    order = np.concatenate([train, test])
    images = pixels[order].reshape(-1, 1, 8, 8).astype(np.uint8)
    labels = classes[order]
    return Prepared(images, labels, len(train), fingerprint(images, labels))
