"""What an inversion minimizes: how far the pictures of latents are from those that are wanted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.progress import Losses
from styleloom.metrics.image import unit
from styleloom.nn.generator import Generator, to_image
from styleloom.nn.vgg import Features

LAYERS = ("conv1_1", "conv1_2", "conv3_2", "conv4_2")

Encoder = Callable[[Tensor], Tensor]
"""Pictures [N, 3, H, W] in [0, 1] to ws [N, num_ws, w_dim]."""


def pictured(generator: Generator, ws: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
    """Pictures [N, 3, R, R], nominally in [0, 1], of ws [N, num_ws, w_dim], with noise as it was trained or maps of one's own."""
    options: dict[str, Any] = dict(noise=noise) if noise is not None else dict(noise_mode="const")
    made: Tensor = generator.synthesis(ws, **options)
    return to_image(made, clamp=False)


@dataclass(frozen=True)
class Weights:
    """Of the terms of an objective.

    Args:
        pixel: weight of the mean squared difference of pixels in [0, 1].
        perceptual: weight of that of features, a mean over four layers.
        lpips: weight of the squared difference of features of unit length (Zhang et al. 2018).
        in_domain: weight of the mean squared difference of w and what the encoder says of its picture (Zhu et al. 2020).
        prior: weight of the mean squared distance from the mean w.
    """

    pixel: float = 1.0
    perceptual: float = 0.07
    lpips: float = 0.0
    in_domain: float = 0.0
    prior: float = 0.0

    def __post_init__(self) -> None:
        for name in ("pixel", "perceptual", "lpips", "in_domain", "prior"):
            if not 0 <= getattr(self, name) < math.inf:
                raise StyleLoomError(f"{name} is {getattr(self, name)}; it must be 0 or above")
        if not (self.pixel or self.perceptual or self.lpips):
            raise StyleLoomError("pixel, perceptual and lpips are all 0, so nothing is asked for; raise one of them")


@dataclass(frozen=True)
class Sight:
    """What there is to be seen at a place of a descent.

    Attributes:
        losses: [N].
        target, image: [N, 3, R, R], the pictures wanted and the present ones, nominally in [0, 1]; equal outside of a mask.
    """

    losses: Tensor
    target: Tensor
    image: Tensor


class Objective:
    """How far pictures of latents are from those that are wanted; what is asked of the targets is computed once.

    Args:
        generator: whose pictures they are.
        targets: [N, 3, R, R] in [0, 1], of the generator's resolution.
        features: perceptual network.
        weights: of the terms.
        masks: [N or 1, 1, R, R] in [0, 1]: where they are compared; everywhere unless told.
        encoder: for the in-domain term.
    """

    def __init__(
        self,
        generator: Generator,
        targets: Tensor,
        features: Features,
        weights: Weights,
        *,
        masks: Tensor | None = None,
        encoder: Encoder | None = None,
    ) -> None:
        self.generator, self.features, self.weights, self.encoder = generator, features, weights, encoder
        self.targets = targets
        with torch.no_grad():
            self.wanted = self._taps(targets)
        self.shows: Tensor | None = None
        self.counts: dict[int, Tensor] = {}
        if masks is not None:
            self.shows = (masks / masks.amax((2, 3), keepdim=True)).expand(len(targets), -1, -1, -1)
            sides = {targets.shape[-1], *(tap.shape[-1] for tap in self.wanted.values())}
            sized = {side: F.adaptive_avg_pool2d(self.shows, side) for side in sides}
            # Of mean 1, so that a mean over all positions is one over those that count.
            self.counts = {side: each / each.mean((2, 3), keepdim=True) for side, each in sized.items()}

    def _taps(self, image: Tensor) -> dict[str, Tensor]:
        if not (self.weights.perceptual or self.weights.lpips):
            return {}
        found: dict[str, Tensor] = self.features(image, LAYERS)
        return found

    def _apart(self, first: Tensor, second: Tensor) -> Tensor:
        """Mean squared difference of each pair where the mask is: [N]."""
        squared = (first - second).float().square()
        if self.counts:
            squared = squared * self.counts[first.shape[-1]]
        return squared.mean((1, 2, 3))

    def kept(self, rows: Sequence[int]) -> None:
        """Go on with these targets only."""
        places = list(rows)
        self.targets = self.targets[places]
        self.wanted = {layer: tap[places] for layer, tap in self.wanted.items()}
        self.counts = {side: each[places] for side, each in self.counts.items()}
        self.shows = None if self.shows is None else self.shows[places]

    def __call__(self, ws: Tensor, noise: Sequence[Tensor] | None = None) -> tuple[Tensor, Losses]:
        """Pictures [N, 3, R, R], nominally in [0, 1], and the weighted terms, [N] each, of ws [N, num_ws, w_dim]."""
        weights = self.weights
        image = pictured(self.generator, ws, noise)
        terms = self.compare(image)
        if weights.in_domain and self.encoder is not None:
            terms["in_domain"] = weights.in_domain * (ws - self.encoder(image)).square().mean((1, 2))
        if weights.prior:
            terms["prior"] = weights.prior * (ws - self.generator.w_avg).square().mean((1, 2))
        self._last = image.detach(), torch.stack(list(terms.values())).sum(0).detach()
        return image, terms

    @property
    def sight(self) -> Sight:
        """What was last evaluated."""
        image, losses = self._last
        target = self.targets
        if self.shows is not None:
            target = image + self.shows * (target - image)
        return Sight(losses.float(), target, image.float())

    def compare(self, image: Tensor) -> Losses:
        """The terms that pictures [N, 3, R, R] tell, [N] each."""
        weights = self.weights
        terms: Losses = {}
        if weights.pixel:
            terms["pixel"] = weights.pixel * self._apart(image, self.targets)
        # Features look around: where a target is not to be met they see it in both.
        taps = self._taps(image if self.shows is None else self.targets + self.shows * (image - self.targets))
        if weights.perceptual:
            parts = [self._apart(taps[layer], wanted) for layer, wanted in self.wanted.items()]
            terms["perceptual"] = weights.perceptual * torch.stack(parts).mean(0)
        if weights.lpips:
            parts = [self._apart(unit(taps[layer]), unit(wanted)) * wanted.shape[1] for layer, wanted in self.wanted.items()]
            terms["lpips"] = weights.lpips * torch.stack(parts).sum(0)
        return terms


def noise_regularizer(maps: Sequence[Tensor]) -> Tensor:
    """How much neighbors in noise maps [N, 1, H, W] depend on each other, on all scales down to 8 px (StyleGAN2, Eq. 5): [N]."""
    total = torch.zeros(len(maps[0]), device=maps[0].device)
    for noise in maps:
        while True:
            for axis in (2, 3):
                total = total + (noise * noise.roll(1, axis)).mean((1, 2, 3)).square()
            if noise.shape[-1] <= 8:
                break
            noise = F.avg_pool2d(noise, 2) * 2  # of unit variance again
    return total
