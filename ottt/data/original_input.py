"""The frames of CIFAR10-DVS as the code of the paper's authors gave them to the network; its published results have it.

Counts went through an 8-bit image with two channels, grey and transparency, which spoils them in two ways: 255 x count
keeps its lowest 8 bits, so that 1 event is 255 and 2 are 254; and when the image is made smaller, pixels count as much
as their transparency, so that the first polarity is seen only where the second has events.

Shapes: T frames, H W frame.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WHITE = 255  # value of the brightest pixel


def as_original(counts_T2HW: NDArray[np.float32], size: int | None) -> NDArray[np.float32]:
    """Whole numbers 0 to 255, [T,2,H,W], of `size` x `size` pixels; None: of as many as the counts."""
    return np.stack([_image(counts_2HW, size) for counts_2HW in counts_T2HW]).astype(np.float32)


def _image(counts_2HW: NDArray[np.float32], size: int | None) -> NDArray[np.uint8]:
    wrapped = (WHITE * counts_2HW.astype(np.int64) % 256).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(wrapped.transpose(1, 2, 0)))
    assert image.mode == "LA", image.mode
    if size is not None:
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image).transpose(2, 0, 1)
