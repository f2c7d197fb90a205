"""Augmentation: statistics over 10^4 images against the definitions, and reproducibility."""

import numpy as np
import pytest
import torch

from ottt.data.augment import Augmentation

N = 10_000
SIDE = 16


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(*, side: int = SIDE, samples: int = N) -> torch.Tensor:
    """Images whose pixels hold their position, from 1: the row in channel 0, the column in channel 1."""
    rows = torch.arange(1, side + 1, dtype=torch.uint8)[:, None].expand(side, side)
    return torch.stack([rows, rows.T]).expand(samples, 2, side, side)


def uniform(counts: np.ndarray, total: int) -> bool:
    """Whether counts agree with a uniform distribution: chi square within five deviations of its expectation."""
    expected = total / len(counts)
    chi2 = ((counts - expected) ** 2 / expected).sum()
    return bool(abs(chi2 - (len(counts) - 1)) < 5 * np.sqrt(2 * (len(counts) - 1)))


def test_crop_offsets_are_uniform_and_pixels_move_together() -> None:
    images = Augmentation(crop=4)(numbered(), generator=generator())
    middle = images[:, :, SIDE // 2, SIDE // 2].long() - (SIDE // 2 + 1)  # [N,2]: offsets, rows and columns
    assert middle.abs().max() == 4
    for offsets in middle.T:
        assert uniform(torch.bincount(offsets + 4, minlength=9).numpy(), N)
    assert abs(np.corrcoef(middle.T.numpy())[0, 1]) < 0.05
    i = int((middle == torch.tensor([3, -2])).all(1).nonzero()[0])
    expected = torch.zeros(SIDE, SIDE, dtype=torch.uint8)
    expected[: SIDE - 3, 2:] = numbered(samples=1)[0, 0, 3:, : SIDE - 2]
    assert torch.equal(images[i, 0], expected)


@pytest.mark.parametrize("probability", [0.5, 0.2, 1.0])
def test_flip_rate(probability: float) -> None:
    images = numbered()
    flipped = Augmentation(flip=probability)(images, generator=generator())
    is_flipped = (flipped == images.flip(-1)).flatten(1).all(1)
    unchanged = (flipped == images).flatten(1).all(1)
    assert (is_flipped ^ unchanged).all()
    assert is_flipped.double().mean().item() == pytest.approx(
        probability, abs=5 * np.sqrt(probability * (1 - probability) / N)
    )


def test_cutout_rate_area_aspect_place_and_value() -> None:
    side = 64
    blank = torch.full((N, 1, side, side), -1.0)
    cut = Augmentation(cutout=0.5, white=255)(blank, generator=generator())[:, 0]
    inside = cut >= 0
    hit = inside.flatten(1).any(1)
    assert hit.double().mean().item() == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(N))

    inside, cut = inside[hit], cut[hit]
    heights, widths = inside.any(2).sum(1).double(), inside.any(1).sum(1).double()
    assert torch.equal(inside.flatten(1).sum(1).double(), heights * widths)  # whole rectangles
    share = heights * widths / side**2
    deviation = 0.38 / np.sqrt(12)
    assert share.mean().item() == pytest.approx(0.21, abs=5 * deviation / np.sqrt(len(share)))
    assert share.std().item() == pytest.approx(deviation, rel=0.03)
    assert share.min() > 0.017
    assert share.max() < 0.415
    aspect = heights / widths
    assert aspect.mean().item() == pytest.approx(1.45, abs=5 * 0.606 / np.sqrt(len(share)))
    assert aspect.min() > 0.35
    assert aspect.max() < 2.9

    values = cut.amax((1, 2))
    assert torch.equal((cut == values[:, None, None]), inside)  # one value each
    assert uniform(torch.bincount((values // 16).long(), minlength=16).numpy(), len(values))
    room = side - heights
    top = inside.any(2).double().argmax(1)
    place = (top / room)[room > 8]
    assert place.mean().item() == pytest.approx(0.5, abs=5 * 0.32 / np.sqrt(len(place)))
    assert 0.0 in place
    assert 1.0 in place


def test_cutout_fills_all_channels_alike_and_keeps_the_type() -> None:
    images = numbered(samples=100)
    cut = Augmentation(cutout=1.0)(images, generator=generator())
    assert cut.dtype == torch.uint8
    changed = (cut != images).any(1)
    assert (cut[:, 0] == cut[:, 1])[changed].float().mean() > 0.95  # except where a pixel had the value already


def test_all_frames_of_a_recording_move_alike() -> None:
    frames = numbered(samples=50)[:, None].expand(50, 7, 2, SIDE, SIDE).float()
    moved = Augmentation(crop=4, flip=0.5)(frames, generator=generator())
    assert moved.shape == frames.shape
    assert (moved == moved[:, :1]).all()
    assert len({tuple(sample.flatten().tolist()) for sample in moved[:, 0, 0]}) > 30
    assert torch.equal(moved[:, 0], Augmentation(crop=4, flip=0.5)(frames[:, 0], generator=generator()))


def test_same_seed_same_batch_and_no_global_state() -> None:
    augment = Augmentation(crop=4, flip=0.5, cutout=0.5)
    before = torch.get_rng_state()
    images = numbered(samples=64)
    first = augment(images, generator=generator(7))
    assert torch.equal(first, augment(images, generator=generator(7)))
    assert not torch.equal(first, augment(images, generator=generator(8)))
    assert torch.equal(before, torch.get_rng_state())


def test_without_augmentation_nothing_is_copied_or_drawn() -> None:
    images, source = numbered(samples=3), generator()
    state = source.get_state()
    assert Augmentation()(images, generator=source) is images
    assert torch.equal(source.get_state(), state)


def test_a_cutout_before_a_flip_has_the_distribution_of_one_after_it() -> None:
    """The original crops, cuts out and flips; the argument is in docs/data.md. Both orders, without and with mirroring.

    The rectangles of the same draws are mirrored, so the two samples of places differ, and their distributions agree:
    of the left edge, of its joint values with the width, and, in each order, whether or not the image is flipped.
    """
    side, blank = 12, torch.full((8 * N, 1, 12, 12), -1.0)
    cut = Augmentation(cutout=1.0)(blank, generator=generator())[:, 0] >= 0
    columns = cut.any(1)
    flipped = torch.rand(8 * N, generator=generator(1)) < 0.5
    after, before = columns, torch.where(flipped[:, None], columns.flip(1), columns)  # a flip moves an earlier cutout
    counts = []
    for intervals in (after, before):
        left, width = intervals.int().argmax(1), intervals.sum(1)
        assert torch.equal(width, columns.sum(1))
        counts.append(torch.bincount(flipped * 500 + width * 20 + left, minlength=1000).double())
    assert not torch.equal(after, before)
    both = counts[0] + counts[1]
    often = both > 20
    chi2 = ((counts[0] - counts[1])[often] ** 2 / both[often]).sum().item()
    cells = int(often.sum())
    assert cells > 100
    assert chi2 < cells + 5 * np.sqrt(2 * cells)
    # For every width, both edges are equally likely, which is what mirroring needs.
    for width in range(3, side):
        left = columns[columns.sum(1) == width].int().argmax(1)
        assert uniform(torch.bincount(left, minlength=side - width + 1).numpy(), len(left)) or len(left) < 100
