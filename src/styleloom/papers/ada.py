"""Augmentation that does not leak into what a generator learns, and its adaptation.

Karras et al., "Training Generative Adversarial Networks with Limited Data", NeurIPS 2020 (ADA), Appendix B: images that the
discriminator sees, real and made, are flipped, moved, turned, stretched and recolored with a probability that follows how
far the discriminator overfits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.random import SampleRandom

PIPELINES = "bgc"
# Symlet of order 6: the low-pass filter between the resolutions that images are resampled at.
SYM6 = (
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633, 0.4910559419267466,
    0.787641141030194, 0.3379294217276218, -0.07263752278646252, -0.021060292512300564, 0.04472490177066578,
    0.0017677118642428036, -0.007800708325034148,
)  # fmt: skip
XINT_MAX, SCALE_STD, ANISO_STD, XFRAC_STD = 0.125, 0.2, 0.2, 0.125
UNIFORM, NORMAL = 32, 8  # most numbers of each kind that the changes of an image take
BRIGHTNESS_STD, CONTRAST_STD, SATURATION_STD = 0.2, 0.5, 1.0


def augment(
    image: Tensor,
    p: float | Tensor,
    pipeline: str = "bgc",
    *,
    generator: SampleRandom | torch.Generator | None = None,
    percentile: float | None = None,
) -> Tensor:
    """Images, each changed by chance in some of many ways.

    Args:
        image: [N, 3, H, W] in [-1, 1].
        p: probability of each change.
        pipeline: letters of ``"b"``, flips and whole-pixel moves, ``"g"``, moves, turns and stretches, ``"c"``, colors.
        generator: generator of the chances; one for each image makes them independent of the batch.
        percentile: instead of chance, each change as large as this share of all of them: for tests.

    Returns:
        [N, 3, H, W]; gradients, and gradients of gradients, pass.

    Raises:
        StyleLoomError: an unknown letter, no probability, or no RGB images.
    """
    if not 0 <= float(p) <= 1:
        raise StyleLoomError(f"p is {float(p):g}; it must be from 0 to 1")
    if image.shape[1] != 3:
        raise StyleLoomError(f"images have {image.shape[1]} channels; only RGB is augmented")
    if unknown := set(pipeline) - set(PIPELINES):
        raise StyleLoomError(f"unknown augmentations {sorted(unknown)}; choose letters of {PIPELINES!r}")
    count, _, height, width = image.shape
    draw = _Draws(count, float(p), generator, percentile)
    geometry = _geometry(draw, pipeline, width, height)
    if geometry is not None and not torch.equal(geometry, torch.eye(3).expand_as(geometry)):
        image = _moved(image, geometry)
    if "c" in pipeline:
        colors = _colors(draw).to(image.device, image.dtype)
        image = (colors[:, :3, :3] @ image.flatten(2) + colors[:, :3, 3:]).view_as(image)
    return image


class _Draws:
    """Chances of a batch: with probability p a number drawn, otherwise what changes nothing."""

    def __init__(
        self, count: int, p: float, generator: SampleRandom | torch.Generator | None = None, percentile: float | None = None
    ) -> None:
        self.count, self.p, self.percentile = count, p, percentile
        if isinstance(generator, SampleRandom):
            uniform, normal = generator.uniform(UNIFORM), generator.normal(NORMAL)
        else:
            options: dict[str, Any] = dict(generator=generator, device=generator.device if generator is not None else None)
            uniform, normal = torch.rand(count, UNIFORM, **options), torch.randn(count, NORMAL, **options)
        self.uniform, self.normal = uniform.cpu().unbind(1), normal.cpu().unbind(1)  # drawn at once: devices answer slowly
        self._next = dict(uniform=0, normal=0)

    def _drawn(self, kind: str, size: int) -> Tensor:
        """[N, size] numbers that were not used yet."""
        start = self._next[kind]
        self._next[kind] = start + size
        return torch.stack(getattr(self, kind)[start : start + size], 1)

    def __call__(
        self, shape: Callable[[Tensor], Tensor], *, size: int = 1, normal: bool = False, p: float | None = None
    ) -> Tensor:
        """[N, size] of ``shape(number)``, or of ``shape(0)``; numbers are uniform in [0, 1] or normal."""
        nothing = torch.full((self.count, size), math.nan)
        if self.percentile is not None:
            fixed = torch.tensor(self.percentile)
            return shape((torch.erfinv(2 * fixed - 1) if normal else fixed).expand(self.count, size))
        numbers = self._drawn("normal" if normal else "uniform", size)
        chosen = self._drawn("uniform", 1) < (self.p if p is None else p)
        return torch.where(chosen, shape(numbers), nothing)


def _matrix(rows: list[list[Any]], count: int) -> Tensor:
    """[N, R, C] of rows of numbers and [N] tensors."""
    return torch.stack([torch.stack([torch.as_tensor(e).float().expand(count) for e in row], -1) for row in rows], -2)


def _shift(x: Tensor, y: Tensor) -> Tensor:
    return _matrix([[1, 0, x], [0, 1, y], [0, 0, 1]], len(x))


def _scale(x: Tensor, y: Tensor) -> Tensor:
    return _matrix([[x, 0, 0], [0, y, 0], [0, 0, 1]], len(x))


def _turn(angle: Tensor) -> Tensor:
    return _matrix([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0], [0, 0, 1]], len(angle))


def _geometry(draw: _Draws, pipeline: str, width: int, height: int) -> Tensor | None:
    """The map [N, 3, 3] from a result's pixels to those of the image, both around their centers."""
    if not set(pipeline) & {"b", "g"}:
        return None
    size = torch.tensor([width, height]).float()
    inverse = torch.eye(3).expand(draw.count, 3, 3)
    if "b" in pipeline:
        flip = draw(lambda u: (2 * u).floor())[:, 0].nan_to_num(0)
        inverse = inverse @ _scale(1 - 2 * flip, torch.ones(draw.count))
        quarter = draw(lambda u: (4 * u).floor())[:, 0].nan_to_num(0)
        inverse = inverse @ _turn(math.pi / 2 * quarter)
        steps = (draw(lambda u: (2 * u - 1) * XINT_MAX, size=2).nan_to_num(0) * size).round()
        inverse = inverse @ _shift(-steps[:, 0], -steps[:, 1])
    if "g" in pipeline:
        factor = draw(lambda n: (n * SCALE_STD).exp2(), normal=True)[:, 0].nan_to_num(1)
        inverse = inverse @ _scale(1 / factor, 1 / factor)
        p = 1 - math.sqrt(min(max(1 - draw.p, 0), 1))  # of each of two turns, so that one of them comes with p
        inverse = inverse @ _turn(draw(lambda u: (2 * u - 1) * math.pi, p=p)[:, 0].nan_to_num(0))
        factor = draw(lambda n: (n * ANISO_STD).exp2(), normal=True)[:, 0].nan_to_num(1)
        inverse = inverse @ _scale(1 / factor, factor)
        inverse = inverse @ _turn(_second(draw, p))
        moves = draw(lambda n: n * XFRAC_STD, size=2, normal=True).nan_to_num(0) * size
        inverse = inverse @ _shift(-moves[:, 0], -moves[:, 1])
    return inverse


def _second(draw: _Draws, p: float) -> Tensor:
    """The second turn, which a fixed percentile leaves out."""
    if draw.percentile is not None:
        return torch.zeros(draw.count)
    return draw(lambda u: (2 * u - 1) * math.pi, p=p)[:, 0].nan_to_num(0)


def _moved(image: Tensor, inverse: Tensor) -> Tensor:
    """Resample images along a map, at twice their resolution and filtered; beyond the border they are reflected."""
    count, channels, height, width = image.shape
    pad = len(SYM6) // 4
    center = torch.tensor([(width - 1) / 2, (height - 1) / 2])
    corners = _matrix(
        [[-center[0], center[0], center[0], -center[0]], [-center[1], -center[1], center[1], center[1]], [1] * 4], 1
    )
    reached = (inverse @ corners)[:, :2].permute(1, 0, 2).flatten(1)  # [2, 4 N]
    margin = torch.cat([-reached, reached]).amax(1) + (2 * pad - center).repeat(2)
    limit = torch.tensor([width - 1, height - 1]).repeat(2)
    left, top, right, bottom = (int(each) for each in margin.clamp_min(0).minimum(limit).ceil())
    image = F.pad(image, (left, right, top, bottom), mode="reflect")
    # Coordinates of the padded image, then of one twice as large, whose first pixel lies half a pixel further out.
    ones = torch.ones(1)
    inverse = _shift(ones * (left - right) / 2, ones * (top - bottom) / 2) @ inverse
    image = _doubled(image)
    inverse = _scale(2 * ones, 2 * ones) @ inverse @ _scale(ones / 2, ones / 2)
    inverse = _shift(-ones / 2, -ones / 2) @ inverse @ _shift(ones / 2, ones / 2)
    wide, high = 2 * (width + 2 * pad), 2 * (height + 2 * pad)
    inverse = _scale(2 / image.shape[3] * ones, 2 / image.shape[2] * ones) @ inverse @ _scale(wide / 2 * ones, high / 2 * ones)
    grid = F.affine_grid(inverse[:, :2].to(image.device), [count, channels, high, wide], align_corners=False)
    return _halved(_Sample.apply(image, grid.to(image.dtype)), pad)


def _doubled(image: Tensor) -> Tensor:
    """Twice the resolution through the wavelet's filter: [N, C, H, W] -> [N, C, 2 H, 2 W]."""
    count, channels, height, width = image.shape
    spread = image.new_zeros(count, channels, height, 2, width, 2)
    spread[:, :, :, 0, :, 0] = image
    before, after = (len(SYM6) + 1) // 2, (len(SYM6) - 2) // 2
    return _filtered(spread.view(count, channels, 2 * height, 2 * width), before, after, 2.0)


def _halved(image: Tensor, pad: int) -> Tensor:
    """Half the resolution through the same filter, mirrored, without ``2 pad`` pixels of each border."""
    before, after = (len(SYM6) - 1) // 2 - 2 * pad, (len(SYM6) - 2) // 2 - 2 * pad
    return _filtered(image, before, after, 1.0, mirrored=True, stride=2)


def _filtered(image: Tensor, before: int, after: int, gain: float, *, mirrored: bool = False, stride: int = 1) -> Tensor:
    row = torch.tensor(SYM6, dtype=image.dtype, device=image.device)
    row = row * (gain / row.sum())
    row = row if mirrored else row.flip(0)  # a convolution flips, ours does not
    channels = image.shape[1]
    image = F.pad(image, (before, after, before, after))
    image = F.conv2d(image, row.view(1, 1, 1, -1).expand(channels, -1, -1, -1), stride=(1, stride), groups=channels)
    return F.conv2d(image, row.view(1, 1, -1, 1).expand(channels, -1, -1, -1), stride=(stride, 1), groups=channels)


class _Sample(torch.autograd.Function):
    """Bilinear sampling, which is linear in the image: torch has its gradient, but not that gradient's own."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = image.shape
        return F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (grid,) = ctx.saved_tensors
        gradient_of_input: Tensor = _Spread.apply(gradient, grid, ctx.shape)
        return gradient_of_input, None


class _Spread(torch.autograd.Function):
    """The transpose of :class:`_Sample`."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        empty = gradient.new_zeros(1).expand(shape)
        gradient_of_input: Tensor = torch.ops.aten.grid_sampler_2d_backward(gradient, empty, grid, 0, 0, False, (True, False))[0]
        return gradient_of_input

    @staticmethod
    def backward(ctx: Any, again: Tensor) -> tuple[Tensor, None, None]:
        (grid,) = ctx.saved_tensors
        output: Tensor = _Sample.apply(again, grid)
        return output, None, None


def _colors(draw: _Draws) -> Tensor:
    """The map [N, 4, 4] of colors, in homogeneous coordinates."""
    count = draw.count
    eye = torch.eye(4)
    luma = torch.tensor([1.0, 1.0, 1.0, 0.0]) / math.sqrt(3)  # the gray axis
    along = torch.outer(luma, luma)
    b = draw(lambda n: n * BRIGHTNESS_STD, normal=True)[:, 0].nan_to_num(0)
    matrix = _matrix([[1, 0, 0, b], [0, 1, 0, b], [0, 0, 1, b], [0, 0, 0, 1]], count)
    c = draw(lambda n: (n * CONTRAST_STD).exp2(), normal=True)[:, 0].nan_to_num(1)
    matrix = _matrix([[c, 0, 0, 0], [0, c, 0, 0], [0, 0, c, 0], [0, 0, 0, 1]], count) @ matrix
    flip = draw(lambda u: (2 * u).floor())[:, 0].nan_to_num(0)
    matrix = (eye - 2 * along * flip[:, None, None]) @ matrix
    angle = draw(lambda u: (2 * u - 1) * math.pi)[:, 0].nan_to_num(0)[:, None, None]
    x, y, z = luma[:3]
    cross = torch.tensor([[0, -z, y, 0], [z, 0, -x, 0], [-y, x, 0, 0], [0, 0, 0, 0]])
    last = torch.diag(torch.tensor([0.0, 0.0, 0.0, 1.0]))
    turn = along + (eye - last - along) * angle.cos() + cross * angle.sin() + last  # Rodrigues
    s = draw(lambda n: (n * SATURATION_STD).exp2(), normal=True)[:, 0].nan_to_num(1)[:, None, None]
    return (along + (eye - along) * s) @ turn @ matrix


def adapted(p: float, sign_of_real: float, *, target: float, images: int, kimg: float) -> float:
    """The next probability, from the mean sign of the discriminator's logits of real images (Section 3).

    Args:
        p: the present one.
        sign_of_real: mean of sign(D(x)) since the last time: 1 for a discriminator that knows all images by heart.
        target: what to aim at.
        images: seen since the last time.
        kimg: thousands of images in which p can go from 0 to 1.
    """
    step = math.copysign(images / (1000 * kimg), sign_of_real - target) if sign_of_real != target else 0.0
    return min(max(p + step, 0.0), 1.0)
