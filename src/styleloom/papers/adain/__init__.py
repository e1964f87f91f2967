"""Huang and Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization", ICCV 2017.

Johnson trains a network for each style and Dumoulin a scale and a shift of the features for each. Here the style
*image* sets them: give the content's feature maps the mean and the standard deviation of the style's, and let one
decoder, trained once, turn any such features back into an image. So any style takes one pass.

Differs from the paper:
    - the encoder is any network of ``features`` (the shipped model's is vgg19-lite), its decoder the mirror of it;
    - layer terms are shares of their targets (``normalize``), so that one set of weights serves every encoder;
    - the decoder also learns to give back, pixel by pixel, what was encoded (``identity_weight``; 0 is the paper): it finds
      colors and edges many times sooner.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from styleloom.core.settings import CountOrNone, configured
from styleloom.data import color, images
from styleloom.data.checks import check_masks, check_styles, shares_of
from styleloom.data.images import floats
from styleloom.data.tiles import Window, by_tiles, windows
from styleloom.loops.one_pass import OnePass, Painter, at_stroke_size, check_batch, finished, groups, thumbnail
from styleloom.nn.layers import Moment

from .architecture import CONTENT_LAYER as CONTENT_LAYER
from .architecture import KIND as KIND
from .architecture import STYLE_LAYERS as STYLE_LAYERS
from .architecture import AdaIN as AdaIN
from .architecture import adain as adain
from .architecture import load as load
from .architecture import padded
from .architecture import unbiased_moments as unbiased_moments
from .training import DECAYS as DECAYS
from .training import RECIPES as RECIPES
from .training import AdaINRecipe as AdaINRecipe
from .training import AdaINTask as AdaINTask
from .training import loss as loss
from .training import train as train

REACH = 72  # pixels: 37 of the encoder and 30 of the decoder, rounded up


@dataclass(frozen=True)
class AdaINConfig(OnePass):
    """Settings for painting with AdaIN.

    Args:
        model: adain-lite or a model file.
        style_size: longer side at which style images are looked at: larger strokes where it is larger; 0: as they are.
    """

    style_is_image: ClassVar[bool] = True
    model: str = "adain-lite"
    style_size: CountOrNone = 512


PRESETS = {"best": AdaINConfig()}


def configure(preset: str = "best", **settings: Any) -> AdaINConfig:
    """A preset with some settings changed.

    Raises:
        StyleLoomError: an unknown preset or setting, or a value that :class:`AdaINConfig` refuses.
    """
    return configured(PRESETS, preset, settings)


class AdaINPainter(Painter):
    """A network with the statistics of the styles, ready to paint; see :func:`painter`."""

    def __init__(
        self,
        network: AdaIN,
        styles: Sequence[Tensor],
        config: AdaINConfig,
        shares: Sequence[float],
        masks: Sequence[Tensor] | None,
    ) -> None:
        self.network, self.styles, self.shares, self.masks = network, styles, shares, masks
        self.config: AdaINConfig = config
        # Styles that take the content's colors are encoded image by image.
        self.statistics = None if config.keep_color != "none" else [self._style(style) for style in styles]

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] -> [N, 3, H', W']; large images in two passes over their tiles, the first for their statistics."""
        check_batch(images)
        return self._painted(images, self.config, check_masks(self.masks, len(self.styles), images))

    @torch.inference_mode()
    def _style(self, image: Tensor) -> Moment:
        size = self.config.style_size
        return self.network.style(images.resize_to_fit(image, size) if size else image)

    def _painted(self, content: Tensor, config: AdaINConfig, masks: Sequence[Tensor] | None) -> Tensor:
        painted = []
        for image in groups(content, config):
            if config.stroke_size and max(image.shape[-2:]) > config.stroke_size:
                small = replace(config, size=0, stroke_size=0)

                def reduced(each: Tensor, small: AdaINConfig = small) -> Tensor:
                    areas = masks and [images.resize(mask, each.shape[-2:]) for mask in masks]
                    return self._painted(each, small, areas)

                painted.append(at_stroke_size(image, config, reduced))
                continue
            regions = masks and [images.resize(mask, image.shape[-2:]) for mask in masks]
            painted.append(self._at_own_size(image, config, regions))
        return torch.cat(painted)

    def _at_own_size(self, image: Tensor, config: AdaINConfig, regions: Sequence[Tensor] | None) -> Tensor:
        """Images [N, 3, H, W] painted as a whole, or tile by tile with the statistics of all tiles."""
        styles = self.statistics
        if styles is None:
            _, looks = color.prepare_colors(thumbnail(image), self.styles, config.keep_color)
            styles = [self._style(look) for look in looks]

        def encoded(window: Window) -> Tensor:
            return self.network.encode(padded(color.content_colors(floats(window.cut(image)), config.keep_color)))

        tile, statistics = 0, None  # one window, with statistics of its own
        if not config.fits(image):
            tile = config.tile
            statistics = _moments_of_all(window.inner(encoded(window), 8) for window in windows(image, tile, REACH))

        def part(window: Window) -> Tensor:
            source = floats(window.cut(image))
            areas = regions and [padded(window.cut(region)) for region in regions]
            x = self.network.restyle(encoded(window), styles, self.shares, alpha=config.alpha, masks=areas, content=statistics)
            return finished(self.network.decode(x)[..., : source.shape[-2], : source.shape[-1]], source, config.keep_color)

        return color.keep_light(by_tiles(part, image, tile, REACH), image, config.keep_color)


def painter(
    config: AdaINConfig,
    styles: Sequence[Tensor],
    weights: Sequence[float] | None = None,
    masks: Sequence[Tensor] | None = None,
    *,
    model: AdaIN | None = None,
    device: str | torch.device = "cpu",
) -> AdaINPainter:
    """Make the network ready for a device and encode the styles.

    Args:
        config: see :class:`AdaINConfig`.
        styles: images [1, 3, h, w] in [0, 1], of any sizes.
        weights: share of each style, scaled to sum to 1; equal by default.
        masks: a mask [1, 1, H, W] in [0, 1] for each style, of the content's size. One mask serves two styles.
        model: network to use instead of ``config.model``.
        device: device of the network and the images.

    Returns:
        What repaints images [N, 3, H, W] in [0, 1] or of 8-bit numbers.

    Raises:
        StyleLoomError: tensors that are no images, weights that do not fit, or no such model.
    """
    check_styles(styles)
    shares = shares_of(weights if weights is not None else [1.0] * len(styles), "weights", count=len(styles))
    network = config.ready(model if model is not None else load(config.model), torch.device(device))
    return AdaINPainter(network, [style.to(device) for style in styles], config, shares, masks)


def stylize(
    content: Tensor,
    style: Tensor | Sequence[Tensor],
    config: AdaINConfig = PRESETS["best"],
    *,
    weights: Sequence[float] | None = None,
    masks: Sequence[Tensor] | None = None,
    model: AdaIN | None = None,
) -> Tensor:
    """Repaint images in one pass each.

    Args:
        content: [N, 3, H, W] in [0, 1], or of 8-bit numbers; each image is painted by itself.
        style: one style [1, 3, h, w] in [0, 1], or several.
        config, weights, masks, model: see :func:`painter`, also for errors.

    Returns:
        [N, 3, H', W'], as ``content``.
    """
    check_batch(content)
    styles = [style] if isinstance(style, Tensor) else list(style)
    return painter(config, styles, weights, masks, model=model, device=content.device)(content)


def _moments_of_all(parts: Iterable[Tensor]) -> Moment:
    """Mean and unbiased variance over the positions of all parts together, [1, C, h, w] each."""
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for part in parts:
        flat = part.double().flatten(2)
        count += flat.shape[2]
        total = total + flat.sum(2)
        squares = squares + flat.square().sum(2)
    mean = total / count
    return mean.float(), ((squares - count * mean.square()) / max(1, count - 1)).clamp_min(0).float()
