"""Calm places of a painted image: lattices that a network fills them with, fog over light and dark, and faces that move.

Where a photograph is flat (a sky, a wall, a dress), a painter leaves the canvas as calm as the calm places of the painting. A
network may fill it with blots at regular distances. Distances of features, which average over the whole image, do not see that.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.shapes import Bool, Float
from styleloom.data import color, images
from styleloom.nn import mtcnn

FLAT = 0.03  # deviation of luma within a window, below which a place of a photograph is flat
WINDOW = 17  # px at a longer side of 640
OCTAVES = 6  # of which the k-th has wavelengths of 2^k to 2^(k+1) px
LAGS = (8, 128)  # px, of regular distances
LOW = 24  # px at a longer side of 640, blur that leaves light and dark
UNSEEN = 4e-5  # mean square of a texture that the eye does not see: one and a half levels of 255
LEAST_SHARE = 0.02  # of an image, that must be flat


@dataclass(frozen=True)
class Lattice:
    """Texture in flat places, beside the painting's own in its calmest places.

    Attributes:
        energies: mean square of each octave in the flat places of the result, finest first.
        own: the same in the calmest places of the painting, of as large a share.
        regularity: highest autocorrelation at the distances of ``LAGS`` in the flat places of the result.
        own_regularity: the same of the painting.
        share: share of the photograph that is flat.
    """

    energies: tuple[float, ...]
    own: tuple[float, ...]
    regularity: float
    own_regularity: float
    share: float

    @property
    def excess(self) -> float:
        """Amplitude of the octave that most exceeds the painting's own, as a multiple of it."""
        return max(((a + UNSEEN) / (b + UNSEEN)) ** 0.5 for a, b in zip(self.energies, self.own, strict=True))


def local_deviation(image: Float[Tensor, "1 3 h w"], window: int) -> Float[Tensor, "1 1 h w"]:
    """Deviation of luma in a square around each pixel: [1, 3, H, W] -> [1, 1, H, W]."""
    luma = color.luma(image)
    padded = F.pad(luma, (window // 2,) * 4, mode="reflect")
    mean = F.avg_pool2d(padded, window, 1)
    return (F.avg_pool2d(padded.square(), window, 1) - mean.square()).clamp_min(0).sqrt()


def flat_places(photograph: Float[Tensor, "1 3 h w"]) -> Bool[Tensor, "1 1 h w"]:
    """Mask of the flat places of a photograph [1, 3, H, W]: [1, 1, H, W] of bools; what lies near an edge is not flat."""
    window = _odd(WINDOW * max(photograph.shape[-2:]) / 640)
    deviation = F.max_pool2d(local_deviation(photograph, window), window, 1, window // 2)
    return deviation < FLAT


def lattice(
    result: Float[Tensor, "1 3 h w"], photograph: Float[Tensor, "1 3 h w"], painting: Float[Tensor, "1 3 H W"]
) -> Lattice:
    """Measure the texture that a result has in flat places.

    Args:
        result: painted image [1, 3, H, W] in [0, 1].
        photograph: [1, 3, h, w] in [0, 1]; it is brought to the result's size.
        painting: style image [1, 3, h', w'] in [0, 1], at the size at which it was looked at.

    Raises:
        StyleLoomError: a photograph without flat places.
    """
    photograph = images.resize(photograph, result.shape[-2:])
    flat = flat_places(photograph).float()
    share = float(flat.mean())
    if share < LEAST_SHARE:
        raise StyleLoomError(f"{share:.1%} of the photograph is flat; wanted {LEAST_SHARE:.0%} or more")
    deviation = local_deviation(painting, _odd(WINDOW * max(painting.shape[-2:]) / 640))
    calmest = (deviation <= deviation.flatten().quantile(max(share, 0.2))).float()
    rest = _without(result, photograph, flat)
    return Lattice(
        _energies(rest, flat), _energies(painting, calmest), _regularity(rest, flat), _regularity(painting, calmest), share
    )


def fog(result: Float[Tensor, "1 3 h w"], photograph: Float[Tensor, "1 3 h w"]) -> float:
    """Loss of light and dark: RMS difference of low-frequency luma, less its mean, as a share of the photograph's deviation.

    Args:
        result: painted image [1, 3, H, W] in [0, 1].
        photograph: [1, 3, h, w] in [0, 1]; it is brought to the result's size.

    Returns:
        0 where light and dark are kept, 1 where all is gray.
    """
    photograph = images.resize(photograph, result.shape[-2:])
    one, other = (_low(color.luma(each)) for each in (result, photograph))
    difference = (one - one.mean()) - (other - other.mean())
    return float(difference.square().mean().sqrt() / other.std(correction=0).clamp_min(1e-3))


def face_shift(result: Tensor, photograph: Tensor) -> float | None:
    """Mean shift of the landmarks of the largest face, as a share of its height; None where none is found in the photograph.

    A face that is found in the photograph and not in the result counts as shifted by its whole height.

    Raises:
        StyleLoomError: the detector is not installed.
    """
    photograph = images.resize(photograph, result.shape[-2:])
    before, after = mtcnn.find(photograph), mtcnn.find(result)
    if not before:
        return None
    face = max(before, key=lambda each: each.size)
    height = face.box[3] - face.box[1]
    shifts = [float((each.landmarks - face.landmarks).norm(dim=1).mean()) / height for each in after]
    return min([1.0, *shifts])


def _without(result: Tensor, photograph: Tensor, mask: Tensor) -> Tensor:
    """A result less the colors that the photograph explains where the mask is, by a least-squares line for each channel."""
    rest = []
    inside = mask[0, 0] > 0
    for painted, own in zip(result[0], photograph[0], strict=True):
        x, y = own[inside] - own[inside].mean(), painted[inside] - painted[inside].mean()
        slope = (x * y).sum() / x.square().sum().clamp_min(1e-6)
        rest.append(painted - slope * (own - own[inside].mean()))
    return torch.stack(rest)[None]


def _odd(number: float) -> int:
    return max(3, 2 * round(number / 2) + 1)


def _low(luma: Tensor) -> Tensor:
    side = max(1, round(LOW * max(luma.shape[-2:]) / 640))
    return F.avg_pool2d(luma, side, max(1, side // 4), ceil_mode=True)


def _energies(image: Tensor, mask: Tensor) -> tuple[float, ...]:
    """Mean square of each octave where the mask is: differences of an image and its half, step by step.

    An octave is measured further from the mask's edge the longer its waves are, where there is such a place.
    """
    energies = []
    for _ in range(OCTAVES):
        inner = -F.max_pool2d(-mask, 3, 1, 1)
        mask = inner if float(inner.sum()) > 0 else mask
        half = F.avg_pool2d(image, 2, ceil_mode=True)
        back = F.interpolate(half, image.shape[-2:], mode="bilinear", align_corners=False)
        band = (image - back).square().mean(1, keepdim=True)
        energies.append(float((band * mask).sum() / mask.sum().clamp_min(1e-6)))
        image, mask = half, F.avg_pool2d(mask, 2, ceil_mode=True)
    return tuple(energies)


def _regularity(image: Tensor, mask: Tensor) -> float:
    """Highest normalized autocorrelation of luma at the distances of ``LAGS``, over pairs of places within the mask."""
    luma = color.luma(image)[0, 0]
    wide = _odd(LAGS[1])
    weights = F.avg_pool2d(mask, wide, 1, wide // 2, count_include_pad=False)[0, 0].clamp_min(1e-6)
    inside = mask[0, 0]
    level = F.avg_pool2d((luma * inside)[None, None], wide, 1, wide // 2, count_include_pad=False)[0, 0] / weights
    rest = (luma - level) * inside
    size = [luma.shape[0] + LAGS[1], luma.shape[1] + LAGS[1]]  # no distance wraps around

    def correlated(x: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(x, s=size).abs().square(), s=size)

    pairs, products = correlated(inside), correlated(rest)
    y = torch.arange(size[0])[:, None]
    x = torch.arange(size[1])[None]
    distance = torch.minimum(y, size[0] - y).square() + torch.minimum(x, size[1] - x).square()
    wanted = (distance >= LAGS[0] ** 2) & (distance <= LAGS[1] ** 2) & (pairs > 0.25 * float(inside.sum()))
    power = float(products[0, 0]) / max(float(inside.sum()), 1.0)
    if not bool(wanted.any()) or power < 1e-9:
        return 0.0
    return float((products[wanted] / pairs[wanted]).max()) / power
