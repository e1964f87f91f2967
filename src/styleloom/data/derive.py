"""Derive input images from photographs to make training pairs: edges, gray, a small copy, a hole.

Pairs for pix2pix come of any folder of photographs this way; and a photograph becomes what such a network takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import RandomState
from torch import Tensor

from styleloom.data import color

from . import images

AB_RANGE = 110.0  # of Lab's a and b, which sRGB stays within
SMALLER = 4  # of "low": how many times

Pair = tuple[Tensor, Tensor]
"""Input [A, H, W] and answer [B, H, W], in [0, 1]."""


@dataclass(frozen=True)
class Derivation:
    """A way to make a pair of a photograph, and a photograph of a network's answer.

    Attributes:
        in_channels, out_channels: numbers of channels of input and answer.
        pair: pair of an RGB image [3, H, W] in [0, 1] and a random state.
        finish: an RGB image [N, 3, H, W] of a photograph [N, 3, H, W] and the answer [N, B, H, W], all in [0, 1].
        drawn: input may also be an image that a user made, such as a drawing.
        at_use: the input is made of a photograph at use, too; otherwise it is what the user has, small or with a hole.
    """

    in_channels: int
    out_channels: int
    pair: Callable[[Tensor, RandomState], Pair]
    finish: Callable[[Tensor, Tensor], Tensor] = lambda photo, answer: answer
    drawn: bool = False
    at_use: bool = True


def canny(image: Tensor, sigma: float = 1.0) -> Tensor:
    """Black lines on white where brightness changes most (Canny 1986): [3, H, W] in [0, 1] -> [1, H, W]."""
    from skimage.feature import canny as edges

    gray = color.luma(image[None])[0, 0].double().numpy()
    return 1 - torch.from_numpy(edges(gray, sigma=sigma, low_threshold=0.04, high_threshold=0.12).astype(np.float32))[None]


def xdog(image: Tensor, sigma: float = 0.8, sharpness: float = 18.0, threshold: float = 0.72, steepness: float = 12.0) -> Tensor:
    """Lines and dark areas as if drawn with ink: [3, H, W] in [0, 1] -> [1, H, W], black on white.

    Winnemoeller, Kyprianidis and Olsen, "XDoG: an extended difference-of-Gaussians compendium", 2012, Eq. 5 and 7.
    """
    from scipy.ndimage import gaussian_filter

    gray = color.luma(image[None])[0, 0].numpy()
    near, far = gaussian_filter(gray, sigma), gaussian_filter(gray, 1.6 * sigma)
    sharpened = torch.from_numpy((1 + sharpness) * near - sharpness * far)
    soft = 1 + torch.tanh(steepness * (sharpened - threshold))
    return torch.where(sharpened >= threshold, torch.ones(()), soft).clamp(0, 1)[None]


def rgb_to_lab(image: Tensor) -> Tensor:
    """[N, 3, H, W] in [0, 1], sRGB -> CIE L*a*b* (D65): L in 0 to 100, a and b about -110 to 110."""
    linear = torch.where(image <= 0.04045, image / 12.92, ((image.clamp_min(0) + 0.055) / 1.055) ** 2.4)
    xyz = torch.einsum("ij,njhw->nihw", _RGB_TO_XYZ.to(image), linear) / _WHITE.to(image).view(3, 1, 1)
    root = torch.where(xyz > (6 / 29) ** 3, xyz.clamp_min(1e-8) ** (1 / 3), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """The inverse of :func:`rgb_to_lab`, clipped to [0, 1]."""
    lightness, a, b = lab.unbind(1)
    y = (lightness + 16) / 116
    root = torch.stack([y + a / 500, y, y - b / 200], 1)
    xyz = torch.where(root > 6 / 29, root**3, 3 * (6 / 29) ** 2 * (root - 4 / 29)) * _WHITE.to(lab).view(3, 1, 1)
    linear = torch.einsum("ij,njhw->nihw", torch.linalg.inv(_RGB_TO_XYZ).to(lab), xyz)
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055).clamp(0, 1)


_RGB_TO_XYZ = torch.tensor(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = torch.tensor([0.95047, 1.0, 1.08883])


def _gray_and_color(image: Tensor) -> Pair:
    lab = rgb_to_lab(image[None])[0]
    return lab[:1] / 100, (lab[1:] / AB_RANGE + 1) / 2


def _colored(photo: Tensor, answer: Tensor) -> Tensor:
    """The photograph's lightness under the answer's colors."""
    return lab_to_rgb(torch.cat([rgb_to_lab(photo)[:, :1], (answer * 2 - 1) * AB_RANGE], 1))


def _small(image: Tensor) -> Tensor:
    """A copy that lost detail, at the same size."""
    height, width = image.shape[-2:]
    reduced = images.resize(image[None], (max(1, height // SMALLER), max(1, width // SMALLER)))
    return images.resize(reduced, (height, width))[0].clamp(0, 1)


def _with_hole(image: Tensor, rng: RandomState) -> Pair:
    """Gray in a box of a quarter to half of the sides; the fourth channel is 1 there."""
    height, width = image.shape[-2:]
    tall, wide = (max(1, round(side * rng.uniform(0.25, 0.5))) for side in (height, width))
    top, left = rng.randint(height - tall + 1), rng.randint(width - wide + 1)
    hole = torch.zeros(1, height, width)
    hole[:, top : top + tall, left : left + wide] = 1
    return torch.cat([torch.lerp(image, torch.full_like(image, 0.5), hole), hole], 0), image


DERIVATIONS: Mapping[str, Derivation] = {
    "edges": Derivation(1, 3, lambda image, rng: (canny(image), image), drawn=True),
    "xdog": Derivation(1, 3, lambda image, rng: (xdog(image), image), drawn=True),
    "gray": Derivation(1, 2, lambda image, rng: _gray_and_color(image), _colored),
    "low": Derivation(3, 3, lambda image, rng: (_small(image), image), at_use=False),
    "hole": Derivation(4, 3, _with_hole, at_use=False),
}
"""By name, what inputs are made of a photograph."""


def framed(several: list[Tensor], size: int, load_size: int, rng: RandomState, *, flip: bool, nearest: int = 0) -> list[Tensor]:
    """The same square of images of one scene, [C, H, W] each -> [C, size, size].

    Args:
        several: images of one height and width.
        size: side of the square.
        load_size: shorter side that images are brought to before; 0: their own, or ``size`` where they are smaller.
        rng: chooses the place, and whether to turn.
        flip: turn half of them.
        nearest: how many of the first are label maps, whose colors must not be mixed.
    """
    height, width = several[0].shape[-2:]
    shorter = load_size or max(size, min(height, width))
    scale = max(shorter, size) / min(height, width)
    tall, wide = max(size, round(height * scale)), max(size, round(width * scale))
    top, left = rng.randint(tall - size + 1), rng.randint(wide - size + 1)
    turned = flip and rng.uniform() < 0.5
    results = []
    for index, image in enumerate(several):
        if (tall, wide) != (height, width):
            if index < nearest:
                image = F.interpolate(image[None], (tall, wide), mode="nearest-exact")[0]
            else:
                image = images.resize(image[None], (tall, wide))[0]
        image = image[:, top : top + size, left : left + size]
        results.append(image.flip(2) if turned else image)
    return results
