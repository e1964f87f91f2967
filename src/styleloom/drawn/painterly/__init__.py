"""Sixteen painterly images drawn by code: StyleLoom's own style images, free of anyone's rights.

A name and a seed give the same image on every machine; other seeds vary composition and hues.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError, check_choice

from . import figures, strokes
from .brush import turn_hue

STYLES = {
    "swirls": strokes.swirls,
    "wave": strokes.wave,
    "stained-glass": figures.stained_glass,
    "pointillism": strokes.pointillism,
    "cubism": figures.cubism,
    "ink-wash": strokes.ink_wash,
    "mosaic": figures.mosaic,
    "geometric": figures.geometric,
    "primaries": figures.primaries,
    "drip": strokes.drip,
    "watercolor": strokes.watercolor,
    "impasto": strokes.impasto,
    "engraving": strokes.engraving,
    "gilded": figures.gilded,
    "marbling": strokes.marbling,
    "cutouts": figures.cutouts,
}


def draw(name: str, size: int = 512, seed: int = 0) -> Tensor:
    """Draw a style image.

    Args:
        name: one of ``STYLES``.
        size: side in pixels, at least 64.
        seed: 0 is the image as it was composed; others rearrange it and turn its hues.

    Returns:
        [1, 3, size, size] in [0, 1].

    Raises:
        StyleLoomError: an unknown name or a size below 64.
    """
    check_choice("style image", name, STYLES)
    if size < 64:
        raise StyleLoomError(f"size is {size}; style images need at least 64 pixels")
    rng = np.random.RandomState([list(STYLES).index(name), seed])
    canvas = STYLES[name](rng, size)
    if seed:
        canvas = turn_hue(canvas, rng.uniform(0, 2 * np.pi))
    return torch.from_numpy(np.ascontiguousarray(np.clip(canvas, 0, 1), dtype=np.float32)).permute(2, 0, 1)[None].contiguous()
