"""Large images tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from .images import like

MULTIPLE = 8  # pixels that sides of tiles are multiples of


@dataclass(frozen=True)
class Window:
    """A tile of an image: ``outer`` is computed, ``core`` is kept, both as (top, bottom, left, right)."""

    core: tuple[int, int, int, int]
    outer: tuple[int, int, int, int]

    def cut(self, image: Tensor) -> Tensor:
        """The outer part of [..., H, W]."""
        top, bottom, left, right = self.outer
        return image[..., top:bottom, left:right]

    def inner(self, painted: Tensor, scale: int = 1, enlarged: int = 1) -> Tensor:
        """The core of an outer part that was computed, at 1 / ``scale`` of the resolution, or ``enlarged``."""
        top, bottom, left, right = self.core
        y, x = self.outer[0], self.outer[2]
        # The last core may end inside a cell of the coarse grid.
        rows, columns = -(-(bottom - y) // scale), -(-(right - x) // scale)
        rows, columns, first, start = (enlarged * index for index in (rows, columns, (top - y) // scale, (left - x) // scale))
        return painted[..., first:rows, start:columns]


def windows(image: Tensor, tile: int, margin: int) -> Iterator[Window]:
    """Tiles that cover an image once, each with ``margin`` more pixels around it as far as there are any."""
    height, width = image.shape[-2:]
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            outer = (max(0, top - margin), min(height, bottom + margin), max(0, left - margin), min(width, right + margin))
            yield Window((top, bottom, left, right), outer)


def by_tiles(paint: Callable[[Window], Tensor], image: Tensor, tile: int, margin: int, enlarged: int = 1) -> Tensor:
    """Fill images like ``image`` [N, 3, H, W] with the cores of what ``paint`` makes of each window.

    Equal to painting it whole when ``margin`` is at least the reach of the network, and nothing in it looks further.

    Args:
        paint: makes [N, 3, h, w] of a window, or ``enlarged`` times that.
        image: [N, 3, H, W], in floats or 8-bit numbers.
        tile: side of the cores; 0: one as large as the image.
        margin: pixels around each core.
        enlarged: how many times larger than the image the result is.
    """
    height, width = image.shape[-2:]
    result = image.new_empty(*image.shape[:2], enlarged * height, enlarged * width)
    for window in windows(image, tile or max(height, width), margin):
        top, bottom, left, right = (enlarged * side for side in window.core)
        result[..., top:bottom, left:right] = like(window.inner(paint(window), enlarged=enlarged), image)
    return result
