"""The loss of Gatys, and its targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core.progress import Losses
from styleloom.data.images import fitted_size, resize
from styleloom.nn.losses import Moments, blend_moments, content_loss, moments, total_variation
from styleloom.nn.vgg import Features

from .config import STYLE_LOSSES, GatysConfig

KEPT = 9.0  # times the content weighs where a content mask is 1
KEPT_STYLE = 0.1  # times a place there counts for the style: else skin becomes stippled


def objective_of(
    content: Tensor,
    styles: list[Tensor],
    regions: list[Tensor] | None,
    kept: Tensor | None,
    shares: list[float],
    config: GatysConfig,
    network: Features,
    size: tuple[int, int],
) -> Callable[[Tensor], Losses]:
    """Eq. 7 at one scale, as a function of the image; its targets are computed here, once."""
    layers = tuple(dict.fromkeys([*config.content_layers, *config.style_layers]))
    layer_shares = config.layer_shares()
    style_loss = STYLE_LOSSES[config.style_loss]
    read = torch.compile(network) if config.compile else network
    with torch.no_grad():
        # Content targets, and how much each position counts.
        padded = with_margin(resize(content, size), config.margin)
        outputs = network(padded, config.content_layers if regions is None and kept is None else layers)
        contents = {layer: outputs[layer].float() for layer in config.content_layers}
        content_weights: dict[str, Tensor] = {}
        if kept is not None:
            shown_kept = with_margin(resize(kept, size), config.margin).clamp(0, 1)
            for layer in config.content_layers:
                area = F.interpolate(shown_kept, outputs[layer].shape[-2:], mode="area")
                content_weights[layer] = 1 + (KEPT - 1) * area
        # What part of each position of a layer belongs to each region; a kept one counts less.
        shown = [with_margin(resize(region, size), config.margin).clamp(0, 1) for region in regions or ()]
        parts: Sequence[Tensor | None] = shown or [None]
        if kept is not None:
            parts = [(1 - (1 - KEPT_STYLE) * shown_kept) * (1 if part is None else part) for part in parts]
        areas = [
            {
                layer: None if region is None else F.interpolate(region, outputs[layer].shape[-2:], mode="area")
                for layer in config.style_layers
            }
            for region in parts
        ]
        # Style targets.
        targets: list[dict[str, Moments]] = []
        for style in styles:
            height, width = fitted_size(style, round(max(size) * config.style_scale))
            outputs = network(resize(style, (height, width)), config.style_layers)
            targets.append({layer: moments(outputs[layer].float()) for layer in config.style_layers})
        if regions is None:  # one target: the moments of the mixture
            targets = [{layer: blend_moments([target[layer] for target in targets], shares) for layer in config.style_layers}]
            strengths = [1.0]
        else:
            strengths = [share * len(shares) for share in shares]

    def measure(layer: str, features: Tensor) -> dict[str, Tensor]:
        """The terms that a layer has a part in."""
        features = features.float()
        terms = {}
        if layer in contents:
            terms["content"] = content_loss(
                features, contents[layer], normalize=config.normalize, weight=content_weights.get(layer)
            )
        if layer in config.style_layers:
            layer_share = layer_shares[config.style_layers.index(layer)]
            parts = [
                strength * style_loss(moments(features, area[layer]), target[layer], normalize=config.normalize)
                for target, area, strength in zip(targets, areas, strengths, strict=True)
            ]
            terms["style"] = layer_share * torch.stack(parts).sum()
        return terms

    # The objective itself.
    def objective(image: Tensor) -> Losses:
        if config.compile:
            outputs = {layer: measure(layer, features) for layer, features in read(image, layers).items()}
        else:
            outputs = network(image, layers, read=measure)
        content_term = torch.stack([terms["content"] for terms in outputs.values() if "content" in terms]).mean()
        style_terms = [terms["style"] for terms in outputs.values() if "style" in terms]
        losses = {
            "content": config.content_weight * content_term,
            "style": config.style_weight * torch.stack(style_terms).sum(),
        }
        if config.tv_weight:
            losses["tv"] = config.tv_weight * total_variation(image)
        return losses

    return objective


def with_margin(image: Tensor, margin: int) -> Tensor:
    """An image continued beyond its border by its reflection, or where it is too small for that by its border."""
    mode = "reflect" if min(image.shape[-2:]) > margin else "replicate"
    return F.pad(image, (margin,) * 4, mode=mode) if margin else image
