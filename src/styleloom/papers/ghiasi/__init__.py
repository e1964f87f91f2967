"""Ghiasi et al., "Exploring the structure of a real-time, arbitrary neural artistic stylization network", BMVC 2017.

Dumoulin's network has a scale and a shift of its features for each style that it was trained for. Here a second network
looks at the style *image* and predicts them, so a style that was never seen takes one pass as well. Between the two stands a
short vector, the embedding of a style: styles mix there, and a photograph's own embedding gives (nearly) the photograph back.

Differs from the paper:
    - the embedding is predicted from statistics of vgg19-lite's features, means, deviations and correlations at five layers,
      where the paper has the mean features of Inception-v3;
    - four of the residual blocks work at an eighth of the resolution, for larger strokes;
    - scales and shifts also depend on the weight of the style term, which differs from example to example in training
      (Babaeizadeh and Ghiasi, "Adjustable Real-time Style Transfer", ICLR 2020): ``style_weight`` is chosen at use;
    - the style term compares means, covariances and sliced distributions (Heitz et al., "A Sliced Wasserstein Loss for Neural
      Texture Synthesis", CVPR 2021), at two resolutions, and the content term features without their mean and deviation;
    - in its own style a photograph still looks painted, so weaker styles also let the photograph through (``EVEN``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from styleloom.core.settings import CountOrNone, Range, configured
from styleloom.data import color, images
from styleloom.data.checks import check_masks, check_styles, shares_of
from styleloom.loops.one_pass import OnePass, Painter, check_batch, overlaid, paint, thumbnail
from styleloom.nn.layers import Moment

from .architecture import ENCODER as ENCODER
from .architecture import KIND as KIND
from .architecture import LAYERS as LAYERS
from .architecture import PROJECTED as PROJECTED
from .architecture import WEIGHTS as WEIGHTS
from .architecture import AnyStyle as AnyStyle
from .architecture import StylePredictor as StylePredictor
from .architecture import load as load
from .training import CONTENT_LAYERS as CONTENT_LAYERS
from .training import DIRECTIONS as DIRECTIONS
from .training import RECIPES as RECIPES
from .training import SMALLEST as SMALLEST
from .training import STYLE_LAYERS as STYLE_LAYERS
from .training import Examples as Examples
from .training import GhiasiRecipe as GhiasiRecipe
from .training import GhiasiTask as GhiasiTask
from .training import objective as objective
from .training import style_loss as style_loss
from .training import train as train
from .training import train_for_style as train_for_style

EVEN = 0.3
"""Power of the strength with which what was painted covers the photograph: then equal steps look equal, from 0 on."""


@dataclass(frozen=True)
class GhiasiConfig(OnePass):
    """Settings for painting any style; ``alpha`` below 1 mixes in the photograph's own style, and the photograph.

    Args:
        model: by default anystyle (ghiasi), adain-lite (adain) or pastiche-16 (dumoulin), or a model file of the method.
        style_size: longer side at which style images are looked at: larger strokes where it is larger; 0: as they are.
        style_weight: how far the style displaces the photograph, 1/4 to 4.
    """

    style_is_image: ClassVar[bool] = True
    model: str = "anystyle"
    style_size: CountOrNone = 384
    style_weight: Annotated[float, Range(1 / WEIGHTS, WEIGHTS)] = 1.0


PRESETS = {"best": GhiasiConfig()}


def configure(preset: str = "best", **settings: Any) -> GhiasiConfig:
    """A preset with some settings changed.

    Raises:
        StyleLoomError: an unknown preset or setting, or a value that :class:`GhiasiConfig` refuses.
    """
    return configured(PRESETS, preset, settings)


class GhiasiPainter(Painter):
    """Networks with embedded styles, ready to paint; see :func:`painter`."""

    def __init__(
        self,
        network: AnyStyle,
        styles: Sequence[Tensor],
        config: GhiasiConfig,
        shares: Sequence[float],
        masks: Sequence[Tensor] | None,
    ) -> None:
        self.network, self.styles, self.shares, self.masks = network, styles, shares, masks
        self.config: GhiasiConfig = config
        # Styles that take the content's colors are embedded image by image.
        self.embeddings = None if config.keep_color != "none" else [self._embedded(style) for style in styles]

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] -> [N, 3, H', W']."""
        check_batch(images)
        regions = check_masks(self.masks, len(self.styles), images)
        shared = self.embeddings is not None and self.config.alpha == 1  # by all images

        def repainted(image: Tensor) -> Tensor:
            embeddings = self._embeddings_for(image)
            if regions is None:
                mixture = torch.stack([share * each for share, each in zip(self.shares, embeddings, strict=True)]).sum(0)
                return self._painted(image, mixture)
            layers = [self._painted(image, each) for each in embeddings]
            return overlaid(layers, regions, self.shares, image)

        return repainted(images) if shared else torch.cat([repainted(image) for image in images.split(1)])

    def _embeddings_for(self, image: Tensor) -> list[Tensor]:
        """The styles' embeddings for an image, of its colors and strength."""
        embeddings = self.embeddings
        if embeddings is not None and self.config.alpha == 1:
            return embeddings
        small, looks = color.prepare_colors(thumbnail(image), self.styles, self.config.keep_color)
        if embeddings is None:
            embeddings = [self._embedded(look) for look in looks]
        if self.config.alpha < 1:
            own = self._embedded(small)
            embeddings = [torch.lerp(own, each, self.config.alpha) for each in embeddings]
        return embeddings

    @torch.inference_mode()
    def _embedded(self, image: Tensor) -> Tensor:
        size = self.config.style_size
        return self.network.embed(images.resize_to_fit(image, size) if size else image)

    def _painted(self, image: Tensor, embedding: Tensor) -> Tensor:
        network = self.network.network
        # One pair for all images is a layer's own scale and shift, which is faster than a pair each.
        norms = [(scale[0], shift[0]) for scale, shift in self.network.norms(embedding, self.config.style_weight)]

        def prepared(small: Tensor) -> Callable[[Tensor], Tensor]:
            statistics: list[Moment] = network.statistics(small, norms)
            return lambda part: network(part, norms, statistics)

        visible = replace(self.config, alpha=self.config.alpha**EVEN)
        return paint(image, visible, network.reach, lambda part: network(part, norms), prepared)


def painter(
    config: GhiasiConfig,
    styles: Sequence[Tensor],
    weights: Sequence[float] | None = None,
    masks: Sequence[Tensor] | None = None,
    *,
    model: AnyStyle | None = None,
    device: str | torch.device = "cpu",
) -> GhiasiPainter:
    """Make the networks ready for a device and embed the styles.

    Args:
        config: see :class:`GhiasiConfig`.
        styles: images [1, 3, h, w] in [0, 1], of any sizes.
        weights: share of each style, scaled to sum to 1; equal by default.
        masks: a mask [1, 1, H, W] in [0, 1] for each style, of the content's size. Each style is painted whole, and the
            results are laid over one another. One mask serves two styles.
        model: networks to use instead of ``config.model``.
        device: device of the networks and the images.

    Returns:
        What repaints images [N, 3, H, W] in [0, 1] or of 8-bit numbers.

    Raises:
        StyleLoomError: tensors that are no images, weights that do not fit, or no such model.
    """
    check_styles(styles)
    shares = shares_of(weights if weights is not None else [1.0] * len(styles), "weights", count=len(styles))
    network = config.ready(model if model is not None else load(config.model), torch.device(device))
    return GhiasiPainter(network, [style.to(device) for style in styles], config, shares, masks)


def stylize(
    content: Tensor,
    style: Tensor | Sequence[Tensor],
    config: GhiasiConfig = PRESETS["best"],
    *,
    weights: Sequence[float] | None = None,
    masks: Sequence[Tensor] | None = None,
    model: AnyStyle | None = None,
) -> Tensor:
    """Repaint images in one pass each, in the style of an image or a mixture of several.

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
