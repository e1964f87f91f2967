"""Images that were made beside the true ones: figures of each, and of all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from styleloom.core.progress import Progress
from styleloom.data.labels import classes
from styleloom.metrics.distribution import frechet_distance, kernel_distance
from styleloom.metrics.image import label_scores, perceptual_distances, psnr, ssim
from styleloom.metrics.inception import load_embedding
from styleloom.nn.vgg_files import EMBEDDED, load_features

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
LEAST_SET = 8  # images of which a distance of sets is told


@dataclass(frozen=True)
class Comparison(Progress):
    """Figures after each compared image.

    Attributes:
        image: figures of this one: ``l1``, ``psnr``, ``ssim``, ``features``, and of label maps ``per_pixel`` and so on.
        figures: means over all so far, and at the end ``fd`` and ``kid``.
        features: name of the features that ``fd`` and ``kid`` compare.
    """

    image: dict[str, float] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    features: str = ""


def compare(
    pairs: Iterable[tuple[Tensor, Tensor]],
    total: int,
    *,
    colors: Sequence[Sequence[int]] = (),
    features: str = EMBEDDED,
    device: str | torch.device = "cpu",
) -> Iterator[Comparison]:
    """Compare made images with the true ones, one after the other.

    Args:
        pairs: made and true image [1, 3, H, W] in [0, 1] of each.
        total: how many there will be, at most.
        colors: colors of classes, [[r, g, b], ...], where the images are label maps.
        features: for the distances of sets: ``"vgg19-lite"``, or Inception's file for FID's.
        device: where features are computed.

    Yields:
        :class:`Comparison` after each pair.
    """
    network = load_features(EMBEDDED).prepare(torch.device(device), torch.float32)
    embedding = load_embedding(features, torch.device(device))
    rows: list[dict[str, float]] = []
    sets: tuple[list[Tensor], list[Tensor]] = ([], [])
    following = iter(pairs)
    index, pair = 0, next(following, None)
    while pair is not None:
        (made, truth), pair = pair, next(following, None)  # the last one is known by having no successor
        index += 1
        row = {
            "l1": float((made - truth).abs().mean()),
            "psnr": psnr(made, truth),
            "ssim": ssim(made, truth),
            "features": float(perceptual_distances(network, made.to(device), truth.to(device), LAYERS)),
        }
        if colors:
            row |= label_scores(classes(made, colors), classes(truth, colors), len(colors))
        rows.append(row)
        for images, kept in zip((made, truth), sets, strict=True):
            kept.append(embedding.of([images]))
        figures = {name: sum(each[name] for each in rows) / len(rows) for name in row}
        if pair is None and len(rows) >= LEAST_SET:
            own, true = torch.cat(sets[0]), torch.cat(sets[1])
            figures |= {"fd": frechet_distance(true, own), "kid": kernel_distance(true, own)}
        yield Comparison(index, total, image=row, figures=figures, features=embedding.name)


def last_figures(loop: Iterator[Comparison]) -> dict[str, Any]:
    """The figures of all images."""
    *_, last = loop
    return dict(last.figures)
