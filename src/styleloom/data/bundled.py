"""Bundled images: four photographs from scikit-image's wheel, the sixteen drawn style images, and eight portraits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.drawn.painterly import STYLES, draw

from . import images

PHOTOGRAPHS = {"astronaut": "astronaut", "cat": "chelsea", "coffee": "coffee", "rocket": "rocket"}
NAMES = (*PHOTOGRAPHS, *STYLES)


def is_bundled(name: str) -> bool:
    """Whether a name means a bundled image: a file of that name wins."""
    return name in NAMES and not Path(name).exists()


def bundled(name: str) -> Tensor:
    """A bundled image by name: a photograph as it is, or a style image of 512 pixels.

    Args:
        name: one of ``NAMES``.

    Returns:
        [1, 3, H, W] in [0, 1].

    Raises:
        StyleLoomError: an unknown name.
    """
    if name in STYLES:
        return draw(name)
    if name not in PHOTOGRAPHS:
        raise StyleLoomError(f"no bundled image {name!r}; choose one of {', '.join(NAMES)}")
    from skimage import data  # takes a second, and only photographs need it

    array = np.array(getattr(data, PHOTOGRAPHS[name])(), dtype=np.float32)  # [H, W, 3]
    return torch.from_numpy(array / 255).permute(2, 0, 1)[None].contiguous()


def portraits() -> Tensor:
    """Eight portraits that ``portraits-128`` and what belongs to it were not trained on: [8, 3, 128, 128] in [0, 1].

    Synthetic people, artflow.ai, CC BY 4.0.
    """
    sheet = images.read(Path(__file__).with_name("portraits.png"))
    return torch.cat(sheet.split(sheet.shape[2], 3))
