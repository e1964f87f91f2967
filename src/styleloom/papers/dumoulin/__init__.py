"""Dumoulin, Shlens and Kudlur, "A Learned Representation for Artistic Style", ICLR 2017.

Johnson needs a network for each style. But the convolutions of such networks can be shared: a style is then nothing but
the scale and the shift after each normalization, some 3,000 numbers, and mixtures of those numbers are mixtures of
styles. A style is added to a trained network by fitting only its own numbers.

Differs from the paper:
    - the features are those of any network, by default vgg19-lite, and layer terms are shares of their targets;
    - weights are averaged over training (``ema_decay=0`` is the paper).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from styleloom.core.settings import configured
from styleloom.data.checks import check_masks, shares_of
from styleloom.loops.one_pass import OnePass, Painter, check_batch, overlaid, paint

from .architecture import KIND as KIND
from .architecture import StyleNet as StyleNet
from .architecture import join as join
from .architecture import load as load
from .architecture import save as save
from .training import CONTENT_LAYER as CONTENT_LAYER
from .training import JOINED as JOINED
from .training import RECIPES as RECIPES
from .training import DumoulinRecipe as DumoulinRecipe
from .training import DumoulinTask as DumoulinTask
from .training import train as train


@dataclass(frozen=True)
class DumoulinConfig(OnePass):
    """Settings for painting with a network of several styles.

    Args:
        model: pastiche-16 or a model file.
    """

    model: str = "pastiche-16"


PRESETS = {"best": DumoulinConfig()}


def configure(preset: str = "best", **settings: Any) -> DumoulinConfig:
    """A preset with some settings changed.

    Raises:
        StyleLoomError: an unknown preset or setting, or a value that :class:`DumoulinConfig` refuses.
    """
    return configured(PRESETS, preset, settings)


class DumoulinPainter(Painter):
    """A network with the shares of its styles, ready to paint; see :func:`painter`."""

    def __init__(
        self,
        network: StyleNet,
        styles: Sequence[str],
        config: DumoulinConfig,
        shares: Sequence[float],
        masks: Sequence[Tensor] | None,
    ) -> None:
        self.network, self.shares, self.masks = network, shares, masks
        self.config: DumoulinConfig = config
        self.styles = [network.shares_of({style: 1.0}) for style in styles]
        mixture: dict[str, float] = {}
        for style, share in zip(styles, shares, strict=True):
            mixture[style] = mixture.get(style, 0) + share
        self.mixture = network.shares_of(mixture)

    def __call__(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] -> [N, 3, H', W']."""
        check_batch(images)
        regions = check_masks(self.masks, len(self.styles), images)
        if regions is None:
            return self._painted(images, self.mixture)
        return overlaid([self._painted(images, each) for each in self.styles], regions, self.shares, images)

    def _painted(self, images: Tensor, shares: Tensor) -> Tensor:
        shares = shares.to(images.device)
        network = self.network

        def prepared(image: Tensor) -> Callable[[Tensor], Tensor]:
            statistics = network.network.statistics(image, network.norms(shares))
            return lambda part: network(part, shares, statistics)

        return paint(images, self.config, network.network.reach, lambda part: network(part, shares), prepared)


def painter(
    config: DumoulinConfig,
    styles: Sequence[str],
    weights: Sequence[float] | None = None,
    masks: Sequence[Tensor] | None = None,
    *,
    model: StyleNet | None = None,
    device: str | torch.device = "cpu",
) -> DumoulinPainter:
    """Make the network ready for a device and a mixture of its styles.

    Args:
        config: see :class:`DumoulinConfig`.
        styles: names of the network's styles.
        weights: share of each style, scaled to sum to 1; equal by default.
        masks: a mask [1, 1, H, W] in [0, 1] for each style, of the content's size. Each style is painted whole, and the
            results are laid over one another. One mask serves two styles.
        model: network to use instead of ``config.model``.
        device: device of the network and the images.

    Returns:
        What repaints images [N, 3, H, W] in [0, 1] or of 8-bit numbers.

    Raises:
        StyleLoomError: no such model or style, or weights that do not fit.
    """
    shares = shares_of(weights if weights is not None else [1.0] * len(styles), "weights", count=len(styles))
    network = config.ready(model if model is not None else load(config.model), torch.device(device))
    return DumoulinPainter(network, styles, config, shares, masks)


def stylize(
    content: Tensor,
    style: str | Sequence[str],
    config: DumoulinConfig = PRESETS["best"],
    *,
    weights: Sequence[float] | None = None,
    masks: Sequence[Tensor] | None = None,
    model: StyleNet | None = None,
) -> Tensor:
    """Repaint images in one pass each, in any mixture of the network's styles.

    Args:
        content: [N, 3, H, W] in [0, 1], or of 8-bit numbers; each image is painted by itself.
        style: one or several names of the network's styles.
        config, weights, masks, model: see :func:`painter`, also for errors.

    Returns:
        [N, 3, H', W'], as ``content``.
    """
    check_batch(content)
    styles = [style] if isinstance(style, str) else list(style)
    return painter(config, styles, weights, masks, model=model, device=content.device)(content)
