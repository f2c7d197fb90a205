"""Augmentation of whole batches on their device, with an explicit generator.

Shapes: B batch, C channels, H W image, `...` frames, if any; all frames of a sample are changed alike.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

AREA = (0.02, 0.4)  # area of a cutout, as a share of the image
ASPECT = (0.4, 2.5)  # height / width of a cutout


@dataclass(frozen=True)
class Augmentation:
    """Crop, flip and cutout; see `ottt.config.groups.AugmentConfig`.

    Attributes:
        crop: zero pixels around an image, which is then cropped to its size at a random place; 0: no crop.
        flip: probability of a left-right flip.
        cutout: probability of a rectangle of one random value.
        white: value of the brightest pixel.
    """

    crop: int = 0
    flip: float = 0.0
    cutout: float = 0.0
    white: int = 255

    def __call__(self, images: Tensor, *, generator: torch.Generator) -> Tensor:
        """Augmented copies of `images`, [B,...,C,H,W] of any type, with independent draws per sample."""
        if self.crop or self.flip:
            images = _crop_and_flip(images, self.crop, self.flip, generator)
        if self.cutout:
            images = _cut_out(images, self.cutout, self.white, generator)
        return images


def _crop_and_flip(images: Tensor, pad: int, flip: float, generator: torch.Generator) -> Tensor:
    """Pad, crop and flip with one indexing operation."""
    batch, height, width = len(images), images.shape[-2], images.shape[-1]
    device = images.device
    top_B, left_B = torch.randint(2 * pad + 1, (2, batch), generator=generator, device=device)
    flipped_B = torch.rand(batch, generator=generator, device=device) < flip
    rows_BH = top_B[:, None] + torch.arange(height, device=device)
    columns_W = torch.arange(width, device=device)
    columns_BW = left_B[:, None] + torch.where(flipped_B[:, None], columns_W.flip(0), columns_W)
    padded_BNHW = F.pad(images, [pad] * 4).flatten(1, -3)
    samples = torch.arange(batch, device=device)[:, None, None, None]
    planes = torch.arange(padded_BNHW.shape[1], device=device)[:, None, None]
    changed = padded_BNHW[samples, planes, rows_BH[:, None, :, None], columns_BW[:, None, None, :]]
    return changed.view(images.shape)


def _cut_out(images: Tensor, probability: float, white: int, generator: torch.Generator) -> Tensor:
    """Random erasing (Zhong et al. 2020): uniform area and aspect, then a uniform place among those that fit."""
    batch, height, width = len(images), images.shape[-2], images.shape[-1]
    draws = torch.rand((6, batch), generator=generator, device=images.device)
    area_B = height * width * (AREA[0] + (AREA[1] - AREA[0]) * draws[0])
    aspect_B = ASPECT[0] + (ASPECT[1] - ASPECT[0]) * draws[1]
    rows_BH = _random_interval((area_B * aspect_B).sqrt(), draws[2], height)
    columns_BW = _random_interval((area_B / aspect_B).sqrt(), draws[3], width)
    chosen_B = draws[4] < probability
    inside_BHW = chosen_B[:, None, None] & rows_BH[:, :, None] & columns_BW[:, None, :]
    value_B = (draws[5] * (white + 1)).floor().to(images.dtype)
    ones = (1,) * (images.dim() - 3)
    return torch.where(inside_BHW.view(batch, *ones, height, width), value_B.view(batch, *ones, 1, 1), images)


def _random_interval(length_B: Tensor, draw_B: Tensor, size: int) -> Tensor:
    """Mask [B,size] of an interval of this length at a random place among `size` pixels."""
    whole_B = length_B.round().clamp(max=size)
    start_B = (draw_B * (size - whole_B + 1)).floor()
    pixels = torch.arange(size, device=length_B.device)
    return (pixels >= start_B[:, None]) & (pixels < (start_B + whole_B)[:, None])
