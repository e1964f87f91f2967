"""The objective of an inversion: distance of the images of latents to their targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.progress import Losses
from styleloom.core.settings import Checked, Weight
from styleloom.metrics.image import unit
from styleloom.nn.generators import Generator, reduced, to_image
from styleloom.nn.vgg import Features

LAYERS = ("conv1_1", "conv1_2", "conv3_2", "conv4_2")
COMPARED_SIDE = 256
"""Images are compared at this many pixels a side at most, as in NVIDIA's projector."""

Encoder = Callable[[Tensor], Tensor]
"""Images [N, 3, H, W] in [0, 1] to ws [N, num_ws, w_dim]."""


class Term(Protocol):
    """A further term of an objective."""

    name: str
    tensors: Sequence[Tensor]

    def __call__(self, image: Tensor) -> Tensor:
        """Images [N, 3, R, R], nominally in [0, 1] -> [N]."""
        ...

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these images only."""
        ...


def render(generator: Generator, ws: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
    """Images [N, 3, R, R], nominally in [0, 1], of ws [N, num_ws, w_dim], with the trained noise maps or those that are given."""
    options: dict[str, Any] = dict(noise=noise) if noise is not None else dict(noise_mode="const")
    image: Tensor = generator.synthesis(ws, **options)
    return to_image(image, clamp=False)


@dataclass(frozen=True)
class Weights(Checked):
    """Weights of the terms of an objective.

    Args:
        pixel_weight: weight of the mean squared difference of pixels in [0, 1].
        perceptual_weight: weight of the mean squared difference of features, a mean over four layers.
        feature_distance_weight: weight of the squared difference of features of unit length (as LPIPS, Zhang et al. 2018,
            without its calibrated weights).
        in_domain_weight: weight of the mean squared difference of w and the encoder's w of its image (Zhu et al. 2020).
        prior_weight: weight of the mean squared distance from the mean w.
    """

    pixel_weight: Weight = 1.0
    perceptual_weight: Weight = 0.07
    feature_distance_weight: Weight = 0.0
    in_domain_weight: Weight = 0.0
    prior_weight: Weight = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.pixel_weight or self.perceptual_weight or self.feature_distance_weight):
            raise StyleLoomError(
                "pixel_weight, perceptual_weight and feature_distance_weight are all 0, so nothing is asked for; raise one"
            )


@dataclass(frozen=True)
class Observation:
    """Observation of a descent for an optimizer.

    Attributes:
        losses: [N].
        target, image: [N, 3, R, R], the targets and the present images, nominally in [0, 1]; equal outside of a mask.
        target_features, features: of these, by layer, [N, C, H, W] each; empty where they are not compared.
    """

    losses: Tensor
    target: Tensor
    image: Tensor
    target_features: Mapping[str, Tensor] = field(default_factory=dict)
    features: Mapping[str, Tensor] = field(default_factory=dict)


class Objective:
    """Distance of the images of latents to their targets; features of the targets are computed once.

    Args:
        generator: the generator whose images they are.
        targets: [N, 3, R, R] in [0, 1], of the generator's resolution.
        features: perceptual network.
        weights: weights of the terms.
        masks: [N or 1, 1, R, R] in [0, 1]: where they are compared; everywhere without any.
        encoder: encoder of the generator, for the in-domain term.
        extra_terms: terms beside those of the weights.
        side: larger images are reduced to this side before they are compared.
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
        extra_terms: Sequence[Term] = (),
        side: int = COMPARED_SIDE,
    ) -> None:
        self.generator, self.features, self.weights, self.encoder = generator, features, weights, encoder
        self.extra_terms = extra_terms
        self.side = side
        self.targets = targets = reduced(targets, side)
        with torch.no_grad():
            self.target_features = self._features(targets)
        self.latest_features: dict[str, Tensor] = {}
        self.masks: Tensor | None = None
        self.position_weights: dict[int, Tensor] = {}
        if masks is not None:
            self.masks = reduced(masks / masks.amax((2, 3), keepdim=True), side).expand(len(targets), -1, -1, -1)
            sides = {targets.shape[-1], *(each.shape[-1] for each in self.target_features.values())}
            sized = {side: F.adaptive_avg_pool2d(self.masks, side) for side in sides}
            # Of mean 1, so that a mean over all positions is one over those that count.
            self.position_weights = {side: each / each.mean((2, 3), keepdim=True) for side, each in sized.items()}

    def _features(self, image: Tensor) -> dict[str, Tensor]:
        if not (self.weights.perceptual_weight or self.weights.feature_distance_weight):
            return {}
        features: dict[str, Tensor] = self.features(image, LAYERS)
        return features

    def _mse(self, first: Tensor, second: Tensor) -> Tensor:
        """Mean squared difference of each pair where the mask is: [N]."""
        squared = (first - second).float().square()
        if self.position_weights:
            squared = squared * self.position_weights[first.shape[-1]]
        return squared.mean((1, 2, 3))

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these targets only."""
        rows = list(rows)
        self.targets = self.targets[rows]
        self.target_features = {layer: each[rows] for layer, each in self.target_features.items()}
        self.position_weights = {side: each[rows] for side, each in self.position_weights.items()}
        self.masks = None if self.masks is None else self.masks[rows]
        for term in self.extra_terms:
            term.keep(rows)

    def __call__(self, ws: Tensor, noise: Sequence[Tensor] | None = None) -> tuple[Tensor, Losses]:
        """Images [N, 3, R, R], nominally in [0, 1], and the weighted terms, [N] each, of ws [N, num_ws, w_dim]."""
        weights = self.weights
        image = render(self.generator, ws, noise)
        terms = self.compare(image)
        if weights.in_domain_weight and self.encoder is not None:
            terms["in_domain"] = weights.in_domain_weight * (ws - self.encoder(image)).square().mean((1, 2))
        if weights.prior_weight:
            terms["prior"] = weights.prior_weight * (ws - self.generator.w_avg).square().mean((1, 2))
        return image, terms | {term.name: term(image) for term in self.extra_terms}

    def observe(self, image: Tensor, losses: Tensor) -> Observation:
        """Observation of images [N, 3, R, R] with losses [N], at the side at which they are compared."""
        image, target = reduced(image.detach(), self.side), self.targets
        if self.masks is not None:
            target = image + self.masks * (target - image)
        return Observation(losses.detach().float(), target, image.float(), self.target_features, self.latest_features)

    def compare(self, image: Tensor) -> Losses:
        """The terms of images [N, 3, R, R] that do not depend on latents, [N] each."""
        weights, targets = self.weights, self.target_features
        image = reduced(image, self.side)
        terms: Losses = {}
        if weights.pixel_weight:
            terms["pixel"] = weights.pixel_weight * self._mse(image, self.targets)
        # Features see their surroundings: outside of a mask they see the target in both.
        features = self._features(image if self.masks is None else self.targets + self.masks * (image - self.targets))
        self.latest_features = {layer: each.detach() for layer, each in features.items()}
        if weights.perceptual_weight:
            parts = [self._mse(features[layer], target) for layer, target in targets.items()]
            terms["perceptual"] = weights.perceptual_weight * torch.stack(parts).mean(0)
        if weights.feature_distance_weight:
            parts = [self._mse(unit(features[layer]), unit(target)) * target.shape[1] for layer, target in targets.items()]
            terms["feature_distance"] = weights.feature_distance_weight * torch.stack(parts).sum(0)
        return terms


def noise_regularizer(maps: Sequence[Tensor]) -> Tensor:
    """Dependence of neighbors in noise maps [N, 1, H, W] on each other, on all scales down to 8 px (StyleGAN2, Eq. 5): [N]."""
    total = torch.zeros(len(maps[0]), device=maps[0].device)
    for noise in maps:
        while True:
            for axis in (2, 3):
                total = total + (noise * noise.roll(1, axis)).mean((1, 2, 3)).square()
            if noise.shape[-1] <= 8:
                break
            noise = F.avg_pool2d(noise, 2) * 2  # of unit variance again
    return total
