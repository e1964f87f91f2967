"""Distance of a painted image to a style, and to its photograph.

Distributions are compared, not moments: distances of means or of Gram matrices rank images otherwise than the eye does. So does
the full resolution, where fine texture outweighs strokes and fields of color; half and quarter of the size rank as the eye does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core.shapes import Float
from styleloom.data import images
from styleloom.nn.vgg import Features

LAYERS = ("relu2_1", "relu3_1", "relu4_1")
CONTENT_LAYER = "relu4_1"
SCALES = (0.5, 0.25)
DIRECTIONS, QUANTILES = 128, 512
SMALLEST = 0.05  # deviation that a distance is a share of at least: images in [0, 1]; features have some ten times that


def sliced_distance(x: Float[Tensor, "c p"], y: Float[Tensor, "c q"], *, smallest: float = 0.0, seed: int = 0) -> float:
    """Sliced 2-Wasserstein distance of vectors, as a share of the deviation of ``y`` (Bonneel et al. 2015).

    Args:
        x, y: [C, P] and [C, Q]; as many numbers, of any many vectors.
        smallest: least deviation to take a share of.
        seed: seed of the directions.
    """
    axes = torch.from_numpy(np.random.RandomState(seed).randn(DIRECTIONS, x.shape[0])).to(x)
    axes = F.normalize(axes, dim=1)
    shares = (torch.arange(QUANTILES, device=x.device, dtype=x.dtype) + 0.5) / QUANTILES
    one, other = (_quantiles(axes @ each, shares) for each in (x, y))
    deviation = y.var(1, correction=0).mean().sqrt().clamp_min(smallest)
    return float((one - other).square().mean().sqrt() / deviation)


def _quantiles(projected: Tensor, shares: Tensor) -> Tensor:
    """[D, P] -> [D, quantiles], between the nearest two."""
    ordered = projected.sort(1).values
    place = (shares * ordered.shape[1] - 0.5).clamp(0, ordered.shape[1] - 1)
    low = place.floor().long()
    high = (low + 1).clamp_max(ordered.shape[1] - 1)
    return torch.lerp(ordered[:, low], ordered[:, high], (place - low).expand(len(ordered), -1))


@torch.inference_mode()
def style_distance(
    image: Tensor, style: Tensor, features: Features, *, layers: Sequence[str] = LAYERS, scales: Sequence[float] = SCALES
) -> dict[float, float]:
    """Mean sliced distance of colors and of features at some layers, at each of several scales of both images.

    Args:
        image, style: [1, 3, H, W] in [0, 1], of any sizes.
        features: the network; figures of different ones must not be put beside one another.
        layers: layers of the network.
        scales: shares of both images' sides.

    Returns:
        ``{scale: distance}``; 0 for the style itself, and 1 is about a deviation of its features.
    """
    distances = {}
    for scale in scales:
        pair = [images.resize(each, [max(32, round(scale * side)) for side in each.shape[-2:]]) for each in (image, style)]
        parts = [sliced_distance(*(each[0].flatten(1) for each in pair), smallest=SMALLEST)]
        outputs = [features(each, layers) for each in pair]
        parts += [sliced_distance(*(each[layer][0].flatten(1) for each in outputs)) for layer in layers]
        distances[scale] = sum(parts) / len(parts)
    return distances


@torch.inference_mode()
def content_distance(
    image: Float[Tensor, "1 3 h w"], photograph: Float[Tensor, "1 3 h w"], features: Features, layer: str = CONTENT_LAYER
) -> float:
    """1 - cosine of the features of an image and its photograph, [1, 3, H, W] in [0, 1] each, over all positions."""
    photograph = images.resize(photograph, image.shape[-2:])
    outputs = [features(each, (layer,))[layer].flatten() for each in (image, photograph)]
    return float(1 - F.cosine_similarity(outputs[0], outputs[1], dim=0))


WINDOW = 64  # side in pixels of the parts whose spectra are averaged
SLOWEST = 4  # periods a window from which on a pattern is a weave


def weave(image: Float[Tensor, "1 3 h w"], photograph: Float[Tensor, "1 3 h2 w2"], style: Float[Tensor, "1 3 h3 w3"]) -> float:
    """The largest peak of an image's spectrum over what its photograph and its style have there: grids and hatching show.

    Spectra of brightness are means over windows (Welch 1967), each as a share of the median of its frequency over all
    directions. A pattern of the photograph counts at its own frequency and direction, one of the style in every direction.

    Args:
        image, photograph, style: [1, 3, H, W] in [0, 1], of at least 64 px a side, at the sizes that they are seen at.

    Returns:
        A ratio of power: 1 where nothing stands out, tens to hundreds where a grid shows.
    """
    photograph = images.resize(photograph, image.shape[-2:])
    frequency = torch.fft.fftfreq(WINDOW, 1 / WINDOW)
    rings = (frequency[:, None].square() + frequency.square()).sqrt().round().long()
    own, theirs, of_style = (_peaks(each, rings) for each in (image, photograph, style))
    near = F.max_pool2d(F.pad(theirs[None, None], (1, 1, 1, 1), mode="circular"), 3, 1)[0, 0]
    highest = 0.0
    for ring in range(SLOWEST, WINDOW // 2):
        here = rings == ring
        known = near[here].clamp_min(float(of_style[(rings - ring).abs() <= 1].max()))
        highest = max(highest, float((own[here] / known).max()))
    return highest


def _peaks(image: Tensor, rings: Tensor) -> Tensor:
    """The mean spectrum of an image's windows as a share of the median of each ring: [window, window]."""
    brightness = image.mean(1)[0]
    windows = brightness.unfold(0, WINDOW, WINDOW // 2).unfold(1, WINDOW, WINDOW // 2).reshape(-1, WINDOW, WINDOW)
    fade = torch.hann_window(WINDOW, device=image.device)
    power = torch.fft.fft2((windows - windows.mean((1, 2), keepdim=True)) * fade[:, None] * fade).abs().square().mean(0).cpu()
    return power / torch.stack([power[rings == ring].median() for ring in range(int(rings.max()) + 1)])[rings]
