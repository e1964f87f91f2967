"""Abdal, Qin and Wonka, "Image2StyleGAN++: How to Edit the Embedded Images?", CVPR 2020.

Image2StyleGAN meets a whole image. With masks it meets parts of several: what is masked out is left to the generator, which
fills it so that the whole is an image of its kind. First w descends, a w for each layer, then the noise maps, in sequence; noise
takes up what w cannot. Inpainting, outpainting, crossover, scribbles and local styles are one loss with different masks
(Section 4):

    L = ||M (G - x)||^2 + perceptual(M, G, x) + lambda_s L_style(M_s, G, y)

Differs from the paper:
    - two images that are to be met in two masks are composed first, and the seam between them is left to the generator;
    - features are those of vgg19-lite; what a feature sees beyond the mask is the target in both;
    - L_style is a share of the style's own Gram matrix, so that its weight is 1 whatever the image;
    - any optimizer serves: the learned one needs tens of steps where the paper's Adam takes thousands;
    - the prior holds what is masked out near to the mean w;
    - the result is blended into the image, with a feather inside the mask: outside nothing changes, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.data.masks import blend, check_mask, feathered
from styleloom.nn.losses import moments
from styleloom.nn.vgg import Features

from .image2stylegan import Term

STYLE_LAYER = "conv3_3"
PRIOR_WEIGHT = 0.001  # of the mean squared distance from the mean w, where something is left open
FEATHER = 0.06  # of an image's side
SEAM = 0.08  # of an image's side, on both sides of the border of two images, that is left to the generator


@dataclass(frozen=True)
class Target:
    """Target of a local edit.

    Attributes:
        image: [N, 3, R, R] in [0, 1], what is to be met.
        compared: [N, 1, R, R] in [0, 1], where it is met; elsewhere the generator decides.
        changed: [N, 1, R, R] in [0, 1], where the result differs from ``original``, with its feather.
        original: [N, 3, R, R], into which the result is blended.
        style: [N, 3, R, R] and where its style is asked for, [N, 1, R, R].
    """

    image: Tensor
    compared: Tensor
    changed: Tensor
    original: Tensor
    style: tuple[Tensor, Tensor] | None = None

    def blended(self, image: Tensor) -> Tensor:
        """A generator's image [N, 3, R, R] where the edit is, the original everywhere else."""
        return blend(self.original.to(image), image, self.changed.to(image))

    def terms(self, features: Features, weight: float = 1.0) -> Callable[[], Sequence[Term]]:
        """The style term, for ``further`` of :func:`styleloom.papers.image2stylegan.steps`."""
        if self.style is None or not weight:
            return tuple
        style, where = self.style
        return lambda: [StyleTerm(features, style, where, weight)]


class StyleTerm:
    """Distance of the Gram matrix of conv3_3 within a mask to that of a style image there, as a share of the latter.

    Args:
        features: perceptual network.
        style: [N, 3, R, R] in [0, 1].
        where: [N, 1, R, R], the mask of both.
        weight: weight of the term.
    """

    name = "style"

    def __init__(self, features: Features, style: Tensor, where: Tensor, weight: float) -> None:
        self.features, self.weight = features, weight
        self.tensors: Sequence[Tensor] = [style, where]
        with torch.no_grad():
            read = features(style, [STYLE_LAYER])[STYLE_LAYER].float()
            self.where = F.adaptive_avg_pool2d(where.to(read), read.shape[-2:])
            self.gram = moments(read, self.where).second

    def __call__(self, image: Tensor) -> Tensor:
        """Loss [N] of images [N, 3, H, W] in [0, 1]."""
        read = self.features(image, [STYLE_LAYER])[STYLE_LAYER].float()
        difference = (moments(read, self.where).second - self.gram).square().mean((1, 2))
        return self.weight * difference / self.gram.square().mean((1, 2)).clamp(min=1e-12)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some of the images."""
        self.where, self.gram = self.where[list(rows)], self.gram[list(rows)]


def _feather(mask: Tensor) -> Tensor:
    return feathered(mask, FEATHER * mask.shape[-1])


def inpainting(image: Tensor, hole: Tensor) -> Target:
    """Fill a hole.

    Args:
        image: [N, 3, R, R] in [0, 1].
        hole: [1 or N, 1, R, R], 1 where the image is to be made anew.

    Raises:
        StyleLoomError: a hole that is nowhere or everywhere.
    """
    check_mask(hole)
    hole = hole.expand(len(image), -1, -1, -1)
    # The blend fades inside of the hole, so what it fades into must be met there as well: only beyond the feather all is free.
    return Target(image, 1 - hole, _feather(hole), image)


def outpainting(image: Tensor, across: int, down: int) -> Target:
    """Move an image, and paint what comes into view.

    Args:
        image: [N, 3, R, R] in [0, 1].
        across, down: pixels to the right and down.

    Raises:
        StyleLoomError: no move, or one that leaves less than a quarter of a side.
    """
    side = image.shape[-1]
    if (across, down) == (0, 0) or max(abs(across), abs(down)) > 0.75 * side:
        raise StyleLoomError(f"a shift of {across},{down} px of an image of {side} px; wanted some, and at most three quarters")
    ys, xs = torch.arange(side) - down, torch.arange(side) - across
    moved = image[:, :, ys.clamp(0, side - 1)][:, :, :, xs.clamp(0, side - 1)]
    seen = ((ys >= 0) & (ys < side))[:, None] & ((xs >= 0) & (xs < side))
    return inpainting(moved, (~seen).float()[None, None].to(image))


def crossover(first: Tensor, second: Tensor, mask: Tensor) -> Target:
    """The second image where the mask is 1, the first elsewhere, and a seam that the generator makes.

    Args:
        first, second: [N, 3, R, R] in [0, 1].
        mask: [1 or N, 1, R, R].

    Raises:
        StyleLoomError: images of different shapes, or a mask that is nowhere or everywhere.
    """
    if first.shape != second.shape:
        raise StyleLoomError(f"images of shapes {list(first.shape)} and {list(second.shape)}; wanted two of one size")
    check_mask(mask)
    width = SEAM * first.shape[-1]
    mask = mask.expand(len(first), -1, -1, -1)
    apart = torch.maximum(feathered(mask, width), feathered(1 - mask, width))  # 0 at the border, 1 away from it
    everywhere = torch.ones_like(mask)
    return Target(torch.lerp(first, second, (mask >= 0.5).to(first)), apart, everywhere, first)


def scribble(image: Tensor, scribbled: Tensor) -> Target:
    """An image that someone has drawn on: what was drawn is met as the generator can, the rest stays.

    Args:
        image: [N, 3, R, R] in [0, 1].
        scribbled: the same with strokes on it.

    Raises:
        StyleLoomError: images of different shapes, or without a difference.
    """
    if image.shape != scribbled.shape:
        raise StyleLoomError(f"images of shapes {list(image.shape)} and {list(scribbled.shape)}; wanted two of one size")
    drawn = ((image - scribbled).abs().amax(1, keepdim=True) > 4 / 255).float()
    if not bool(drawn.any()):
        raise StyleLoomError("both images are the same; draw on the second one")
    reach = max(1, round(SEAM * image.shape[-1]))
    around = F.max_pool2d(drawn, 2 * reach + 1, stride=1, padding=reach)  # the strokes, and room for what they mean
    return Target(scribbled, torch.ones_like(drawn), _feather(around), image)


def copy_paste(image: Tensor, source: Tensor, mask: Tensor, across: int = 0, down: int = 0) -> Target:
    """Target that moves the masked part of a source to another place of an image.

    Args:
        image, source: [N, 3, R, R] in [0, 1]; they may be one.
        mask: [1 or N, 1, R, R], what is copied.
        across, down: pixels by which it is moved.

    Raises:
        StyleLoomError: images of different shapes, or a mask that is nowhere or everywhere, before or after the move.
    """
    moved = torch.roll(source, (down, across), (2, 3))
    place = torch.roll(mask, (down, across), (2, 3))
    height, width = mask.shape[-2:]
    # What would come in again at the other side is cut off.
    rows, columns = torch.arange(height), torch.arange(width)
    place = place * ((rows - down >= 0) & (rows - down < height)).to(mask)[:, None]
    place = place * ((columns - across >= 0) & (columns - across < width)).to(mask)
    target = crossover(image, moved, place)
    reach = max(1, round(SEAM * width))
    around = F.max_pool2d((place >= 0.5).float(), 2 * reach + 1, stride=1, padding=reach).expand(len(image), -1, -1, -1)
    return Target(target.image, target.compared, _feather(around), image)


def local_style(image: Tensor, style: Tensor, mask: Tensor) -> Target:
    """The style of another image within a mask: its Gram matrix there, while the rest is met as it is.

    Args:
        image, style: [N, 3, R, R] in [0, 1].
        mask: [1 or N, 1, R, R].

    Raises:
        StyleLoomError: images of different shapes, or a mask that is nowhere or everywhere.
    """
    target = inpainting(image, mask)
    if image.shape != style.shape:
        raise StyleLoomError(f"images of shapes {list(image.shape)} and {list(style.shape)}; wanted two of one size")
    kept = target.compared + 0.1 * (1 - target.compared)  # within the mask the image still says what it is of
    return Target(target.image, kept, target.changed, image, (style, mask.expand(len(image), -1, -1, -1)))
