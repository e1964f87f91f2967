"""Masks drawn from words, smoothed, and used: ``box:10,10,60,60``, ``ellipse:32,32,20,12``, ``polygon:5,5,60,5,30,50``."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError

SHAPES = dict(box="left,top,right,bottom", ellipse="x,y,half width,half height", polygon="x,y,x,y,x,y,...")
OVER = 4  # subpixels a side


def shape_mask(text: str, width: int, height: int) -> Tensor:
    """A mask [1, 1, H, W] in [0, 1] of shapes in pixels, several joined with ``+``, with smooth edges.

    Raises:
        StyleLoomError: another text, or a shape that covers nothing.
    """
    fine = np.zeros((height * OVER, width * OVER), dtype=bool)
    for part in text.split("+"):
        fine |= _drawn(part, fine.shape)
    mask = torch.from_numpy(fine).float().view(height, OVER, width, OVER).mean((1, 3))[None, None]
    if not bool(mask.any()):
        raise StyleLoomError(f"{text!r} covers nothing of an image of {width} x {height} px")
    return mask


def _drawn(text: str, shape: tuple[int, int]) -> np.ndarray:
    """One shape in subpixels."""
    from skimage.draw import polygon2mask

    kind, _, rest = text.partition(":")
    try:
        numbers = [float(each) * OVER for each in re.split(r"[,\s]+", rest.strip())]
    except ValueError:
        numbers = []
    counts = dict(box=len(numbers) == 4, ellipse=len(numbers) == 4, polygon=len(numbers) >= 6 and len(numbers) % 2 == 0)
    if not counts.get(kind, False) or not np.isfinite(numbers).all():
        raise StyleLoomError(f"{text!r} is no shape; write {' or '.join(f'{name}:{what}' for name, what in SHAPES.items())}")
    y, x = np.arange(shape[0])[:, None] + 0.5, np.arange(shape[1]) + 0.5
    if kind == "box":
        left, top, right, bottom = numbers
        inside: np.ndarray = (x >= left) & (x < right) & (y >= top) & (y < bottom)
    elif kind == "ellipse":
        center_x, center_y, a, b = numbers
        inside = ((x - center_x) / (a or 1e-9)) ** 2 + ((y - center_y) / (b or 1e-9)) ** 2 <= 1
    else:
        inside = polygon2mask(shape, np.array(numbers).reshape(-1, 2)[:, ::-1] - 0.5)
    return inside


def is_shape(text: str | Path) -> bool:
    """Whether a text names a shape, not a file."""
    return str(text).partition(":")[0] in SHAPES


def feathered(mask: Tensor, width: float) -> Tensor:
    """A mask [N, 1, H, W] that rises from 0 at its border to 1 so many pixels *inside* of it; outside it stays 0.

    Args:
        mask: in [0, 1]; what is at least half is inside.
        width: in pixels; 0 leaves the mask as it is.
    """
    from scipy.ndimage import distance_transform_edt

    if width <= 0:
        return mask
    # The image's own border is no border of the mask.
    padded = [np.pad(each[0].numpy() >= 0.5, 1, mode="edge") for each in mask.cpu()]
    depth = [distance_transform_edt(each)[1:-1, 1:-1] if not each.all() else np.full(mask.shape[2:], width) for each in padded]
    rising = torch.from_numpy(np.stack(depth)).float()[:, None] / (width + 0.5)
    share = rising.clamp(0, 1).to(mask)
    return share * share * (3 - 2 * share)


def check_mask(mask: Tensor, what: str = "the mask") -> None:
    """Raise StyleLoomError where a mask [N, 1, H, W] covers nothing, or everything."""
    least, most = (float(each) for each in mask.aminmax())
    if most < 0.5:
        size = f"{mask.shape[3]} x {mask.shape[2]} px"
        raise StyleLoomError(f"{what} covers nothing of the image of {size}; paint what is to be changed white, within it")
    if least >= 0.5:
        raise StyleLoomError(f"{what} covers everything, so that nothing is left to go by; paint what is to stay black")


def blend(original: Tensor, changed: Tensor, mask: Tensor) -> Tensor:
    """``changed`` where the mask is 1, ``original`` to the bit where it is 0: [N, 3, H, W] each, mask [N or 1, 1, H, W]."""
    return torch.where(mask > 0, torch.lerp(original, changed.to(original), mask), original)
