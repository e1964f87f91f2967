"""TIFF files that Pillow reads wrongly or with fewer bits: more than 8 bits, other than color channels, several planes.

One rule decides for every reader: a TIFF of at most 8 bits and one to four channels of color is Pillow's, every other one is
read here. So an image has the same numbers in training, in measurements and at use.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from styleloom.core.errors import StyleLoomError

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
COLOR = ("MINISWHITE", "MINISBLACK", "RGB", "PALETTE", "SEPARATED", "YCBCR", "CIELAB")
UNSIGNED = 1  # value of the tag SampleFormat
MOST_CHANNELS = 64  # of a file, beyond which its axes are taken to be others


@dataclass(frozen=True)
class DeepTiff:
    """Pixels of a TIFF that Pillow cannot read as they are.

    Attributes:
        array: [H, W, C] of float32 in [0, 1], upright, 0 for black.
        has_alpha: the last channel is opacity.
        profile: embedded ICC profile.
    """

    array: np.ndarray
    has_alpha: bool
    profile: bytes | None


def is_tiff(file: str | Path | BinaryIO) -> bool:
    """Whether a file begins as a TIFF does; False where it cannot be opened."""
    try:
        if isinstance(file, str | Path):
            with Path(file).open("rb") as opened:
                return opened.read(4) in MAGIC
        position = file.tell()
        start = file.read(4)
        file.seek(position)
    except OSError:
        return False
    return start in MAGIC


def read_deep(file: str | Path | BinaryIO, max_pixels: int) -> DeepTiff | None:
    """Read a TIFF, or return None for one that Pillow reads right.

    Args:
        file: a path, or a file opened in binary mode.
        max_pixels: images with more pixels are refused before they are decoded.

    Raises:
        StyleLoomError: a camera's raw file.
        ValueError: numbers that are no image.
        Exception: whatever tifffile raises for a damaged file.
    """
    import tifffile

    data = file if isinstance(file, str | Path) else BytesIO(file.read())
    if not isinstance(file, str | Path):
        file.seek(0)
    with tifffile.TiffFile(data) as opened:
        page, series = opened.pages[0], opened.series[0]
        assert isinstance(page, tifffile.TiffPage)
        if "DNGVersion" in page.tags or (page.subifds and page.is_reduced):
            name = str(file) if isinstance(file, str | Path) else "the file"
            size = f"{page.imagewidth} x {page.imagelength} px"
            raise StyleLoomError(
                f"{name} is a camera's raw file, of which only a preview of {size} is an image; develop it into TIFF first"
            )
        if page.imagewidth * page.imagelength > max_pixels:
            return None  # Pillow's reader says so
        if len(series.pages) == 1 and _is_pillows(page):
            return None
        try:
            array = _channels_last(series.asarray(), series.axes)
        except ValueError as error:
            if "imagecodecs" in str(error) and getattr(page.photometric, "name", "") == "MINISBLACK":
                return None  # a compression that only Pillow knows here, of grays that it reads with all their bits
            raise
        profile = page.tags.get("InterColorProfile")
        array = _upright(_scaled(array, page), int(page.tags["Orientation"].value) if "Orientation" in page.tags else 1)
        alpha = len(page.extrasamples) == 1 and int(page.extrasamples[0]) in (1, 2) and len(series.pages) == 1
        return DeepTiff(np.ascontiguousarray(array), alpha, bytes(profile.value) if profile is not None else None)


def _is_pillows(page: Any) -> bool:
    """Whether Pillow reads a page with all its bits and channels."""
    known = getattr(page.photometric, "name", "") in COLOR
    return known and page.bitspersample <= 8 and page.sampleformat == UNSIGNED and page.samplesperpixel <= 4


def has_planes_first(first: int, second: int, last: int) -> bool:
    """Whether an array of these three sizes is [C, H, W]: a first axis much too small for the rows of an image."""
    return first < last and (last > MOST_CHANNELS or first <= 4 < last or (second == last and first != second))


def _channels_last(array: np.ndarray, axes: str) -> np.ndarray:
    """[H, W, C] of an array whose axes are named as tifffile names them; pages may be channels, or rows."""
    if array.ndim == 3 and "S" not in axes:
        return np.moveaxis(array, 0, 2) if has_planes_first(*array.shape) else array
    others = [index for index, axis in enumerate(axes) if axis not in "YX"]
    array = array.transpose([axes.index("Y"), axes.index("X"), *others])
    return array.reshape(*array.shape[:2], -1)


def _scaled(array: np.ndarray, page: Any) -> np.ndarray:
    """Samples of any kind as float32 in [0, 1], 0 for black."""
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
        if not np.isfinite(array).all() or array.min(initial=0) < 0 or array.max(initial=0) > 1:
            raise ValueError(f"floating-point values from {array.min():g} to {array.max():g}, which have to be 0 to 1")
    elif array.dtype == bool:
        array = array.astype(np.float32)
    elif array.dtype.kind in "ui":
        if array.min(initial=0) < 0:
            raise ValueError(f"signed numbers from {array.min()} on; wanted 0 and above")
        most = 2**page.bitspersample - 1 if array.dtype.kind == "u" else 2 ** (page.bitspersample - 1) - 1
        array = (array / most).astype(np.float32)
    else:
        raise ValueError(f"numbers of type {array.dtype}; wanted floats in [0, 1] or unsigned numbers")
    return 1 - array if getattr(page.photometric, "name", "") == "MINISWHITE" else array


def _upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """An array [H, W, C] turned and mirrored as its Orientation tag asks."""
    if orientation in (5, 6, 7, 8):
        array = array.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array
