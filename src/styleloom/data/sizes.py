"""Sizes of images: resizing, sheets, and numbers of 8 bits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def resize(image: Tensor, size: Sequence[int]) -> Tensor:
    """Resample with an antialiased bicubic filter.

    Args:
        image: [N, 3, h, w] in [0, 1].
        size: (H, W) in pixels.

    Returns:
        [N, 3, H, W] in [0, 1].
    """
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    return F.interpolate(image, tuple(size), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)


BAND = 256  # rows at a time


def reduce(image: Tensor, size: Sequence[int]) -> Tensor:
    """:func:`resize` of images [N, C, h, w] in [0, 1] or of bytes, as floats, a band of rows at a time: little memory."""
    cubic: dict[str, Any] = dict(mode="bicubic", antialias=True)
    bands = [F.interpolate(floats(band), (band.shape[2], size[1]), **cubic) for band in image.split(BAND, 2)]
    return F.interpolate(torch.cat(bands, 2), tuple(size), **cubic).clamp(0, 1)


def enlarged(image: Tensor, size: Sequence[int]) -> Iterator[tuple[slice, Tensor]]:
    """:func:`resize` of images [N, C, h, w] in [0, 1] to a larger size, a band of rows at a time, and which rows they are."""
    height = image.shape[2]
    wide = F.interpolate(image, (height, size[1]), mode="bicubic", antialias=True)
    unit = torch.eye(height, dtype=image.dtype, device=image.device)
    weights = F.interpolate(unit[None, None], (size[0], height), mode="bicubic", antialias=True)[0, 0]  # of the rows of each row
    for start in range(0, size[0], BAND):
        rows = slice(start, start + BAND)
        used = weights[rows].any(0).nonzero()[[0, -1], 0].tolist()
        among = slice(used[0], used[1] + 1)
        yield rows, (weights[rows, among] @ wide[..., among, :]).clamp_(0, 1)


def fitted_size(image: Tensor, longest: int) -> tuple[int, int]:
    """(H, W) of the image with its longer side at ``longest`` pixels and its proportions kept."""
    height, width = image.shape[-2:]
    scale = longest / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize_to_fit(image: Tensor, longest: int) -> Tensor:
    """Resample to a longer side, with proportions kept.

    Args:
        image: [N, 3, h, w] in [0, 1].
        longest: pixels of the longer side.

    Returns:
        [N, 3, H, W] in [0, 1].
    """
    return resize(image, fitted_size(image, longest))


def grid(rows: Sequence[Tensor], gap: int = 4) -> Tensor:
    """Rows of images of one size, [N, 3, H, W] each -> one sheet [1, 3, H', W'] on white."""
    height, width = rows[0].shape[-2:]
    columns = max(len(row) for row in rows)
    sheet = torch.ones(1, 3, len(rows) * (height + gap) - gap, columns * (width + gap) - gap)
    for top, row in enumerate(rows):
        for left, image in enumerate(row.clamp(0, 1).cpu()):
            y, x = top * (height + gap), left * (width + gap)
            sheet[0, :, y : y + height, x : x + width] = image
    return sheet


def floats(image: Tensor) -> Tensor:
    """An image or a part of one in [0, 1], from 8-bit numbers where it is kept so."""
    return image.float() / 255 if image.dtype == torch.uint8 else image


def like(painted: Tensor, image: Tensor) -> Tensor:
    """Clipped to [0, 1] and of the dtype of ``image``: rounded to 8 bits where that is."""
    painted = painted.clamp(0, 1)
    return (painted * 255).round().to(torch.uint8) if image.dtype == torch.uint8 else painted
