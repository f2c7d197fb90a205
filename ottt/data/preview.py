"""A figure of some samples of a data set.

Shapes: N samples, T frames, C channels, H W image.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ottt.data.info import DataInfo
from ottt.data.samples import Samples

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLASSES = 10  # most classes shown
PER_CLASS = 10  # still images shown per class
FRAMES = 10  # most frames shown of a recording
CELL = 0.9  # inches

Picture = NDArray[np.float32]  # [H,W,3], 0 to 1


def sheet(samples: Samples, info: DataInfo) -> "Figure":
    """A figure with a row per class: ten still images, or one recording over time, brighter red and darker blue."""
    from matplotlib.figure import Figure

    shown = _first_of_each_class(samples.labels.cpu().numpy(), 1 if info.events else PER_CLASS)
    chosen = samples.select([position for positions in shown.values() for position in positions])
    inputs, _ = next(chosen.batches(len(chosen)))
    stored = samples.normalisation.undo(inputs).cpu().numpy()
    rows = _over_time(stored) if info.events else _grid(stored, list(shown.values()), info.white)
    figure = Figure(figsize=(CELL * max(map(len, rows)) + 1.6, CELL * len(rows) + 0.5), layout="constrained")
    axes = figure.subplots(len(rows), max(map(len, rows)), squeeze=False)
    for line, row, label in zip(axes, rows, shown, strict=True):
        for axis in line:
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set(color="0.85", linewidth=0.5)
        for axis, picture in zip(line, row, strict=False):
            axis.imshow(picture, interpolation="nearest")
        name = info.class_names[label] if info.class_names else f"class {label}"
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize="small")
    if info.events:
        for axis, frame in zip(axes[0], _shown_frames(stored.shape[1]), strict=True):
            axis.set_title(f"t = {frame + 1}", fontsize="small")
    return figure


def _first_of_each_class(labels: NDArray[np.int64], each: int) -> dict[int, list[int]]:
    """Positions of the first `each` samples of up to ten classes, evenly spread over all classes, by class."""
    present = np.unique(labels)
    classes = present[np.linspace(0, len(present) - 1, min(CLASSES, len(present))).astype(int)]
    return {int(label): np.flatnonzero(labels == label)[:each].tolist() for label in classes}


def _grid(stored_NCHW: NDArray[np.float32], positions: list[list[int]], white: int) -> list[list[Picture]]:
    """Still images in colour, class by class."""
    colour = np.broadcast_to(stored_NCHW, (len(stored_NCHW), 3, *stored_NCHW.shape[2:]))
    pictures = iter(np.clip(colour / white, 0, 1).transpose(0, 2, 3, 1))
    return [[next(pictures) for _ in row] for row in positions]


def _over_time(stored_NT2HW: NDArray[np.float32]) -> list[list[Picture]]:
    """Frames of each recording: white without events, full colour at the 99th percentile of the counts."""
    rows = []
    for frames_T2HW in stored_NT2HW[:, _shown_frames(stored_NT2HW.shape[1])]:
        busy = frames_T2HW[frames_T2HW > 0.5]
        full = np.percentile(busy, 99) if len(busy) else 1.0
        darker, brighter = np.clip(frames_T2HW / full, 0, 1).transpose(1, 0, 2, 3)
        red, green, blue = 1 - darker, 1 - np.maximum(darker, brighter), 1 - brighter
        rows.append(list(np.stack([red, green, blue], axis=-1)))
    return rows


def _shown_frames(count: int) -> list[int]:
    return torch.linspace(0, count - 1, min(count, FRAMES)).round().int().tolist()
