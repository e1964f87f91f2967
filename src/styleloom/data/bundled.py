"""Bundled images: four photographs from scikit-image's wheel, the sixteen drawn style images, and eight portraits."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.files import cache_folder, replacing
from styleloom.drawn import painterly
from styleloom.drawn.painterly import STYLES, draw

from . import images

PHOTOGRAPHS = {"astronaut": "astronaut", "cat": "chelsea", "coffee": "coffee", "rocket": "rocket"}
NAMES = (*PHOTOGRAPHS, *STYLES)


def read(path: str | Path | BinaryIO, *, max_pixels: int = images.MAX_PIXELS, as_bytes: bool = False) -> Tensor:
    """Read an image file, or a bundled image by its name; a file of that name wins.

    Args:
        path: see :func:`styleloom.data.images.read`, also for errors; or one of ``NAMES``.
        max_pixels: images with more pixels are refused before they are decoded.
        as_bytes: keep 8-bit numbers, a quarter of the memory; a bundled image is one of floats.

    Returns:
        [1, 3, H, W] in [0, 1], or uint8 with ``as_bytes``.
    """
    if isinstance(path, str) and is_bundled(path):
        return bundled(path)
    return images.read(path, max_pixels=max_pixels, as_bytes=as_bytes)


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
        return _drawn(name)
    if name not in PHOTOGRAPHS:
        raise StyleLoomError(f"no bundled image {name!r}; choose one of {', '.join(NAMES)}")
    from skimage import data  # takes a second, and only photographs need it

    array = np.array(getattr(data, PHOTOGRAPHS[name])(), dtype=np.float32)  # [H, W, 3]
    return torch.from_numpy(array / 255).permute(2, 0, 1)[None].contiguous()


def _drawn(name: str) -> Tensor:
    """A drawn style, from the cache where it has been drawn before: drawing takes longer than painting with it."""
    code = b"".join(path.read_bytes() for path in sorted(Path(painterly.__file__).parent.glob("*.py")))
    path = cache_folder() / f"{name}-{hashlib.sha256(code).hexdigest()[:12]}.npy"
    with contextlib.suppress(OSError, ValueError):
        return torch.from_numpy(np.load(path, allow_pickle=False))
    image = draw(name)
    with contextlib.suppress(OSError, StyleLoomError):  # a cache that cannot be written costs time, and nothing else
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, image.numpy())
    return image


def portraits() -> Tensor:
    """Eight portraits that ``portraits-128`` and what belongs to it were not trained on: [8, 3, 128, 128] in [0, 1].

    Synthetic people, artflow.ai, CC BY 4.0.
    """
    sheet = images.read(Path(__file__).with_name("portraits.png"))
    return torch.cat(sheet.split(sheet.shape[2], 3))
