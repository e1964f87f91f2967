"""The square of a photograph that a generator knows: cut out, and put back.

A frame is a similarity transform (a center, a side, an angle). What is cut out is smoothed before it is made smaller; what is put
back fades out at the square's border, and where it has faded the photograph stays as it was, to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core.errors import StyleLoomError

from .images import resize

FEATHER = 0.12  # of the side, over which what is put back fades


@dataclass(frozen=True)
class Frame:
    """A square in a photograph.

    Attributes:
        x, y: center of the square, in pixels of the photograph from its upper left corner.
        side: in pixels.
        angle: by which its upper edge is turned clockwise, in radians.
        width, height: of the photograph.
    """

    x: float
    y: float
    side: float
    angle: float
    width: int
    height: int

    def _corners(self, points: Tensor) -> Tensor:
        """Points [..., 2] of the square, from (-1, -1) to (1, 1), in pixels of the photograph."""
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        turned = torch.stack(
            [cosine * points[..., 0] - sine * points[..., 1], sine * points[..., 0] + cosine * points[..., 1]], -1
        )
        return turned * (self.side / 2) + torch.tensor([self.x, self.y])

    def crop(self, photo: Tensor, size: int) -> Tensor:
        """The square of a photograph [1, C, H, W], as [1, C, size, size]; beyond the photograph its edge is mirrored.

        Raises:
            StyleLoomError: a photograph of another size.
        """
        self._check(photo)
        shrink = max(1.0, self.side / size)
        small = photo
        if shrink > 1:
            small = resize(photo, (max(1, round(self.height / shrink)), max(1, round(self.width / shrink))))
        line = (torch.arange(size) + 0.5) * (2 / size) - 1
        points = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)  # [size, size, 2]
        pixels = self._corners(points)
        grid = torch.stack([pixels[..., 0] * (2 / self.width) - 1, pixels[..., 1] * (2 / self.height) - 1], -1)
        return F.grid_sample(small, grid[None].to(photo), mode="bicubic", padding_mode="reflection", align_corners=False).clamp(
            0, 1
        )

    def paste(self, photo: Tensor, image: Tensor, *, instead_of: Tensor | None = None, feather: float = FEATHER) -> Tensor:
        """A photograph with an image in this square.

        Args:
            photo: [1, 3, H, W] in [0, 1].
            image: [1, 3, S, S] in [0, 1].
            instead_of: [1, 3, S, S]: only by what the image differs from this one the photograph is changed, so that its own
                detail stays; without it the image replaces the photograph.
            feather: share of the side over which the image fades out at the border.

        Returns:
            [1, 3, H, W]; outside of the square equal to the photograph, bit by bit.
        """
        self._check(photo)
        reach = self.side / 2 * (abs(math.cos(self.angle)) + abs(math.sin(self.angle))) + 1
        left, right = max(0, math.floor(self.x - reach)), min(self.width, math.ceil(self.x + reach))
        top, bottom = max(0, math.floor(self.y - reach)), min(self.height, math.ceil(self.y + reach))
        if left >= right or top >= bottom:
            return photo.clone()
        across, down = torch.arange(left, right) + 0.5 - self.x, torch.arange(top, bottom) + 0.5 - self.y
        dx, dy = torch.meshgrid(across, down, indexing="xy")
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        u, v = (cosine * dx + sine * dy) * (2 / self.side), (cosine * dy - sine * dx) * (2 / self.side)
        inside = ((1 - torch.maximum(u.abs(), v.abs())) / (2 * feather)).clamp(0, 1)
        weight = (inside * inside * (3 - 2 * inside))[None, None].to(photo)
        grid = torch.stack([u, v], -1)[None].to(photo)

        def placed(pasted: Tensor) -> Tensor:
            if pasted.shape[-1] > self.side:  # smoothed before it is made smaller
                smaller = max(1, math.ceil(self.side))
                pasted = F.interpolate(pasted, (smaller, smaller), mode="bicubic", antialias=True)
            return F.grid_sample(pasted.to(photo), grid, mode="bicubic", padding_mode="border", align_corners=False)

        part = photo[:, :, top:bottom, left:right]
        change = placed(image - instead_of) if instead_of is not None else placed(image) - part
        result = photo.clone()
        result[:, :, top:bottom, left:right] = torch.where(weight > 0, (part + weight * change).clamp(0, 1), part)
        return result

    def _check(self, photo: Tensor) -> None:
        height, width = photo.shape[-2:]
        if (width, height) != (self.width, self.height):
            raise StyleLoomError(
                f"the photograph is {width} x {height} px, and was {self.width} x {self.height} when the face was found; "
                "align it again"
            )


def center_frame(width: int, height: int) -> Frame:
    """The square in the middle of a photograph."""
    return Frame(width / 2, height / 2, min(width, height), 0.0, width, height)


def box_frame(box: Sequence[float], width: int, height: int) -> Frame:
    """The square around the middle of a box (left, top, right, bottom), in pixels, that just holds it.

    Raises:
        StyleLoomError: a box without area, or outside of the photograph.
    """
    left, top, right, bottom = box
    if not (left < right and top < bottom and left < width and top < height and right > 0 and bottom > 0):
        raise StyleLoomError(
            f"the box {','.join(f'{each:g}' for each in box)} is no part of a photograph of {width} x {height} px; "
            "write it as left,top,right,bottom"
        )
    return Frame((left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top), 0.0, width, height)


def landmark_frame(landmarks: Tensor, wanted: Tensor, width: int, height: int) -> Frame:
    """The square in which landmarks come to lie where they are wanted, by least squares (Umeyama 1991).

    Args:
        landmarks: [K, 2], x and y in pixels of the photograph.
        wanted: [K, 2], from 0 to 1 across and down the square.
        width, height: of the photograph.

    Raises:
        StyleLoomError: landmarks that are all in one place.
    """
    source, target = wanted.double() * 2 - 1, landmarks.double()
    a, b = source - source.mean(0), target - target.mean(0)
    spread = float(a.square().sum())
    # b = scale * rotation(angle) a, in the least squares sense.
    along = float((a * b).sum()) / max(spread, 1e-12)
    across = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / max(spread, 1e-12)
    scale, angle = math.hypot(along, across), math.atan2(across, along)
    if spread < 1e-9 or not scale > 0 or not math.isfinite(scale):
        raise StyleLoomError("the landmarks of the face are all in one place; give others, or a box")
    cosine, sine = math.cos(angle), math.sin(angle)
    mx, my = source.mean(0).tolist()
    x = float(target[:, 0].mean()) - scale * (cosine * mx - sine * my)
    y = float(target[:, 1].mean()) - scale * (sine * mx + cosine * my)
    return Frame(x, y, 2 * scale, angle, width, height)
