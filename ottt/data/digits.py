"""The handwritten digits that scikit-learn carries: 1,797 images of 8x8 pixels with 17 grey levels."""

import numpy as np

from ottt.data.sets import Prepared
from ottt.data.splits import fingerprint, stratified

TEST_FRACTION = 0.2
TEST_SEED = 0  # the test set is the same whatever the validation split


def read_digits() -> Prepared:
    """The data set as [N,1,8,8] uint8, 0 to 16, the test samples last."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    train, test = stratified(bunch.target.astype(np.int64), TEST_FRACTION, TEST_SEED)
    order = np.concatenate([train, test])
    images = bunch.images[order, None].astype(np.uint8)
    labels = bunch.target[order].astype(np.int64)
    return Prepared(images, labels, len(train), fingerprint(images, labels))
