"""Parts that one-pass methods share: size, colors, strength, and tiles of large images."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from styleloom.core.errors import StyleLoomError
from styleloom.core.precision import PRECISIONS, precision_on
from styleloom.core.settings import Checked, CountOrNone, OneOf, Share
from styleloom.core.shapes import Float, Shaped
from styleloom.core.threads import mapped
from styleloom.data import color, images
from styleloom.data.images import floats, like
from styleloom.data.tiles import MULTIPLE, Window, by_tiles
from styleloom.nn.layers import placed

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class OnePass(Checked):
    """Settings of every method that paints in one pass.

    Args:
        size: longer side of the result in pixels; 0: that of the content.
        alpha: strength of the style, 0 to 1.
        keep_color: "none", "luminance" (paint brightness only) or "matching" (adain, ghiasi: recolor the style image first).
        precision: "fp32", or "bf16" where the processor is fast at it; statistics and colors stay in fp32.
        tile: images of more than tile x tile pixels are painted tile by tile, without a seam; 0: never.
        stroke_size: longer side in pixels at which a larger image is painted; the result is enlarged, and some of the
            photograph's detail is carried up. Strokes are larger where it is smaller, and large images take less time. 0: paint
            at the size of the result.
    """

    size: CountOrNone = 0
    alpha: Share = 1.0
    keep_color: Annotated[str, OneOf(color.KEEP_COLOR)] = "none"
    precision: Annotated[str, OneOf(PRECISIONS)] = "fp32"
    tile: int = 1024
    stroke_size: CountOrNone = 640
    style_is_image: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.keep_color == "matching" and not self.style_is_image:
            raise StyleLoomError(
                'keep_color "matching" recolors style images, and this method\'s styles are its own; use "luminance"'
            )
        if self.tile < 0 or self.tile % MULTIPLE:
            raise StyleLoomError(f"tile is {self.tile}; it must be a multiple of {MULTIPLE}, or 0 for none")

    def ready(self, network: Network, device: torch.device) -> Network:
        """The network on a device; in another precision a copy, whose convolutions alone compute in it.

        Raises:
            StyleLoomError: bf16 on a processor without instructions for it.
        """
        dtype = precision_on(device, self.precision)
        convolutions = (nn.Conv2d, nn.ConvTranspose2d)
        if any(module.weight.dtype != dtype for module in network.modules() if isinstance(module, convolutions)):
            network = deepcopy(network)
            for module in network.modules():
                if isinstance(module, convolutions):
                    module.to(dtype)
        return placed(network, device)

    def fits(self, image: Tensor) -> bool:
        """Whether an image is painted as a whole."""
        return not self.tile or image.shape[-2] * image.shape[-1] <= self.tile**2


class Painter(ABC):
    """A one-pass method made ready for a device: its network prepared and its styles embedded, once for any number of images.

    May be called from several threads at the same time.

    Attributes:
        config: settings that it paints with.
    """

    config: Checked

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """Repaint images [N, 3, H, W] in [0, 1] or of 8-bit numbers, each by itself -> [N, 3, H', W'], as ``images``.

        Raises:
            StyleLoomError: tensors that are no images, or masks of another size.
        """


def check_batch(images: Tensor) -> None:
    """Raise StyleLoomError unless images are [N, 3, H, W], of floats or 8-bit numbers."""
    right = images.ndim == 4 and images.shape[1] == 3 and len(images)
    if not right or not (images.is_floating_point() or images.dtype == torch.uint8):
        raise StyleLoomError(f"content is {images.dtype} of shape {list(images.shape)}; wanted a float [N, 3, H, W] in [0, 1]")


DETAIL = 0.4  # share of the photograph's detail that is carried up
STRIP = 8  # times longer than wide
CACHED = 2 * 256**2  # pixels painted at once on a CPU: with more, maps leave its cache, and an image takes up to 1.7 times longer
THUMBNAIL = 1024  # longer side of what a large image's statistics are taken from


def thumbnail(image: Shaped[Tensor, "n 3 H W"]) -> Float[Tensor, "n 3 h w"]:
    """Images as floats, no longer than ``THUMBNAIL``: [N, 3, H, W] of any dtype -> [N, 3, h, w] in [0, 1].

    A strip, which would become a line without any spread, keeps as many pixels as a square thumbnail has.
    """
    height, width = image.shape[-2:]
    if max(height, width) > STRIP * min(height, width):
        scale = min(1.0, THUMBNAIL / math.sqrt(height * width))
        return images.resize(floats(image), (max(1, round(scale * height)), max(1, round(scale * width))))
    stride = max(1, max(image.shape[-2:]) // (2 * THUMBNAIL))
    small = floats(image[..., ::stride, ::stride])
    return images.resize_to_fit(small, min(THUMBNAIL, max(small.shape[-2:])))


def groups(content: Tensor, config: OnePass) -> Iterator[Tensor]:
    """Images of the size asked for, [n, 3, H, W]: as many at once as pay, one where its colors are looked at."""
    height, width = images.fitted_size(content, config.size) if config.size else content.shape[-2:]
    pixels = CACHED if content.device.type == "cpu" else config.tile**2
    several = 1 if config.keep_color != "none" else max(1, pixels // (height * width))
    for part in content.split(several):
        yield part if tuple(part.shape[-2:]) == (height, width) else like(images.resize(floats(part), (height, width)), part)


def at_stroke_size(
    content: Shaped[Tensor, "n 3 h w"], config: OnePass, paint_small: Callable[[Tensor], Tensor]
) -> Shaped[Tensor, "n 3 h w"]:
    """Paint a reduced copy of images, and enlarge the result with detail of the photographs.

    Args:
        content: [N, 3, H, W] in [0, 1], or of 8-bit numbers, of the size of the result.
        config: settings whose ``stroke_size`` is smaller than the images.
        paint_small: paints images at their own size.

    Returns:
        [N, 3, H, W], as ``content``.
    """
    result = torch.empty_like(content)
    for image, into in zip(content.split(1), result.split(1), strict=True):
        reduced = images.reduce(image, images.fitted_size(image, config.stroke_size))
        painted = floats(paint_small(like(reduced, image)))
        # What the photograph has of detail is what its reduced copy has not.
        coarse = torch.cat([painted, color.luma(reduced)], 1)
        for rows, band in images.enlarged(coarse, image.shape[-2:]):
            detail = color.luma(image[..., rows, :]) - band[:, 3:]
            into[..., rows, :] = like(band[:, :3].add_(detail, alpha=DETAIL), image)
    return result


def finished(
    painted: Float[Tensor, "n 3 h w"], content: Float[Tensor, "n 3 h w"], keep_color: str, alpha: float = 1.0
) -> Float[Tensor, "n 3 h w"]:
    """Colors and strength as asked for: painted and content [N, 3, H, W] in [0, 1] -> the same."""
    painted = painted.clamp(0, 1)
    if keep_color == "luminance":
        painted = color.keep_luminance(painted, content)
    return torch.lerp(content, painted, alpha) if alpha < 1 else painted


def overlaid(layers: Sequence[Tensor], regions: Sequence[Tensor], shares: Sequence[float], content: Tensor) -> Tensor:
    """Images painted whole, laid over one another by region; where none is asked for, the content stays.

    Args:
        layers: [N, 3, H', W'] each, as ``content``.
        regions: [1, 1, H, W] in [0, 1] each.
        shares: shares of each layer.
        content: [N, 3, H, W] in [0, 1], or of 8-bit numbers.

    Returns:
        [N, 3, H', W'], as ``content``.
    """
    height, width = layers[0].shape[-2:]
    areas = [images.resize(region, (height, width)) * share for region, share in zip(regions, shares, strict=True)]
    whole = torch.stack(areas).sum(0)
    original = like(images.resize(floats(content), (height, width)), content)
    mixed = torch.stack([floats(layer) * area for layer, area in zip(layers, areas, strict=True)]).sum(0) / whole.clamp_min(1e-6)
    return like(torch.where(whole > 1e-6, mixed, floats(original)), content)


@torch.inference_mode()
def paint(
    content: Tensor,
    config: OnePass,
    margin: int,
    network: Callable[[Tensor], Tensor],
    prepared: Callable[[Tensor], Callable[[Tensor], Tensor]],
) -> Tensor:
    """Repaint images with a network whose statistics a large image takes from a thumbnail of it.

    Args:
        content: [N, 3, H, W] in [0, 1], or of 8-bit numbers.
        config: see :class:`OnePass`.
        margin: reach of the network in pixels, a multiple of 8.
        network: [n, 3, H, W] -> the same, each by its own statistics.
        prepared: the same with the statistics of the image given.
    """

    def painted(image: Tensor) -> Tensor:
        if config.stroke_size and max(image.shape[-2:]) > config.stroke_size:
            small = replace(config, size=0, stroke_size=0)
            paint_small = partial(paint, config=small, margin=margin, network=network, prepared=prepared)
            return at_stroke_size(image, config, paint_small)
        whole = config.fits(image)
        run = network if whole else prepared(color.content_colors(thumbnail(image), config.keep_color))

        def part(window: Window) -> Tensor:
            source = floats(window.cut(image))
            result = run(color.content_colors(source, config.keep_color))
            return finished(result, source, config.keep_color, config.alpha)

        result = by_tiles(part, image, 0 if whole else config.tile, margin)
        return color.keep_light(result, image, config.keep_color)

    parts = groups(content, config)
    several = len(content) > 1 and content.device.type == "cpu"
    results = list(mapped(painted, parts) if several else map(painted, parts))
    return torch.cat(results) if len(results) > 1 else results[0]
