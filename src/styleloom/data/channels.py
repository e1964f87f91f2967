"""Images of any number of channels and any depth: NumPy arrays and TIFF files; other files are read as RGB."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError

from . import images
from .tiff import MOST_CHANNELS, has_planes_first, is_tiff, read_deep

ARRAYS = {".npy", ".tif", ".tiff"}


def read_channels(
    path: str | Path | BinaryIO, *, name: str | None = None, max_pixels: int = images.MAX_PIXELS, channels: int = 0
) -> Tensor:
    """Read an image with all its channels.

    Args:
        path: ``.npy`` ([H, W] or [H, W, C], of floats in [0, 1] or of 8- or 16-bit numbers), ``.tif`` of any depth and number of
            channels, or whatever :func:`~styleloom.data.images.read` reads.
        name: what errors call it, and by whose suffix an opened file is told.
        max_pixels: refuse images of more pixels.
        channels: number of channels that is wanted; 4 reads the opacity of PNG and WebP too.

    Returns:
        [1, C, H, W] in [0, 1].

    Raises:
        StyleLoomError: no such file, a damaged one, or other numbers.
    """
    label = name or str(path)
    suffix = Path(label).suffix.lower()
    if suffix not in ARRAYS and channels != 4:
        return images.read(path, max_pixels=max_pixels, name=name)
    if isinstance(path, str | Path) and not Path(path).is_file():
        raise StyleLoomError(f"no such image: {path}; give the path of an image file")
    try:
        if suffix == ".npy":
            array = np.load(path, allow_pickle=False)
        else:
            deep = read_deep(path, max_pixels) if is_tiff(path) else None
            if deep is not None:
                _check_size(deep.array, label, max_pixels)
                return torch.from_numpy(deep.array).permute(2, 0, 1)[None].contiguous()
            image = images.pixels_with_channels(path, max_pixels, channels)
            return images.read(path, max_pixels=max_pixels, name=name) if image is None else image
    except StyleLoomError:
        raise
    except Exception as error:  # a decoder fed with hostile bytes may raise anything
        raise StyleLoomError(f"cannot read {label}: damaged, or not an array ({error})") from error
    return _as_image(array, label, max_pixels)


def _as_image(array: np.ndarray, label: str, max_pixels: int) -> Tensor:
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim == 3 and has_planes_first(*array.shape):
        array = np.moveaxis(array, 0, 2)
    if array.ndim != 3 or 0 in array.shape or array.shape[2] > MOST_CHANNELS:
        raise StyleLoomError(
            f"{label} is an array {list(array.shape)}; wanted [H, W] or [H, W, C] of at most {MOST_CHANNELS} channels"
        )
    _check_size(array, label, max_pixels)
    if array.dtype == np.uint8 or array.dtype == np.uint16:
        array = array.astype(np.float32) / np.iinfo(array.dtype).max
    elif array.dtype.kind == "f":
        array = array.astype(np.float32)
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise StyleLoomError(f"{label} has floating-point values outside of 0 to 1; scale them")
    else:
        raise StyleLoomError(f"{label} is of {array.dtype}; wanted floats in [0, 1], or unsigned numbers of 8 or 16 bits")
    return torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1)[None].contiguous()


def _check_size(array: np.ndarray, label: str, max_pixels: int) -> None:
    if array.shape[0] * array.shape[1] > max_pixels:
        raise StyleLoomError(f"{label} has {array.shape[1]} x {array.shape[0]} pixels, more than the limit of {max_pixels:,}")
