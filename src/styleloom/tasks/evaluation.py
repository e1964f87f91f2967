"""Quality of a generator: its images, or any made images, beside real ones, and the layout of its latent space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.progress import Progress
from styleloom.core.settings import Range
from styleloom.data.datasets import ImageFiles, SquareImages
from styleloom.data.images import resize
from styleloom.data.video import Spread
from styleloom.metrics.distribution import (
    CPU,
    Embedding,
    frechet_distance,
    kernel_distance,
    made_images,
    precision_recall,
    real_images,
)
from styleloom.metrics.inception import load_embedding
from styleloom.metrics.latent import LAYERS, path_length, separability
from styleloom.nn import labeler as labeler
from styleloom.nn.generators import Generator, to_image
from styleloom.nn.vgg_files import EMBEDDED, load_features

LEAST = 50  # images that anything can be said of
METRICS = ("fd", "fid", "kid", "pr", "ppl", "separability")
COMPARING = ("fd", "fid", "kid", "pr")
LABELER = "toonfaces-attributes"


@dataclass(frozen=True)
class Evaluation(Progress):
    """Measurements so far.

    Attributes:
        figures: ``fd`` (``fid`` by Inception), ``kid``, ``precision``, ``recall``, ``ppl_w_full`` and so on, ``separability_w``
            and ``_z`` in bits of each attribute and, as in the paper, ``score_w`` and ``score_z``, 2 to the power of their sums.
        images: how many real ones were compared with.
        made: how many made ones were compared.
        features: name of the network that real and made images were compared by.
        perceptual: name of the network that path lengths were measured by.
    """

    figures: dict[str, float] = field(default_factory=dict)
    images: int = 0
    made: int = 0
    features: str = ""
    perceptual: str = ""


def evaluate(
    generator: Generator | str | Path | Sequence[str | Path],
    data: str | Path | Sequence[str | Path] | None = None,
    metrics: Sequence[str] = ("fd", "kid", "pr"),
    *,
    samples: int = 10_000,
    truncation_psi: float = 1.0,
    features: str | Path = EMBEDDED,
    attributes: str | Path = LABELER,
    seed: int = 0,
    resolution: int = 0,
    spread: Spread = map,
) -> Iterator[Evaluation]:
    """Measure a generator, or images that were made; the last of what is yielded holds all figures.

    Args:
        generator: a generator of any paper; or folders or zips of made images, for ``fd``, ``fid``, ``kid`` and ``pr``.
        data: folders or zips of real images, for ``fd``, ``fid``, ``kid`` and ``pr``.
        metrics: some of ``"fd"`` (Fréchet distance), ``"fid"`` (the same, by Inception alone), ``"kid"``, ``"pr"`` (precision and
            recall), ``"ppl"`` (path length, full and at the ends, in z and w) and ``"separability"`` (of
            the attributes of toonfaces).
        samples: images made, and real ones at most; path lengths take a fifth as many, separability 0.4, and at least
            16 for each number of a latent.
        truncation_psi: truncation of the images that are compared with real ones.
        features: ``"vgg19-lite"``, or a path or ``hf://`` address of Inception's file. Figures of different
            networks must not be compared.
        attributes: a labeler's model, for ``separability``.
        seed: seed of latents, noise and the choice of images.
        resolution: side of the squares that made and real images are cut and resized to, where made images are given; 0: the
            shorter side of the first made one.
        spread: maps a function over batches of images, here or on other machines; features are computed by it.

    Yields:
        :class:`Evaluation` after each metric.

    Raises:
        StyleLoomError: an unknown metric, no data where it is needed, too few samples, or no such network.
    """
    # Check that each metric can be had.
    metrics = [metrics] if isinstance(metrics, str) else metrics
    if unknown := [name for name in metrics if name not in METRICS]:
        raise StyleLoomError(f"unknown metric {unknown[0]!r}; choose some of {', '.join(METRICS)}")
    if "fid" in metrics and features == EMBEDDED:
        raise StyleLoomError("fid is the Fréchet distance of Inception's features; use fd, or give features, Inception's file")
    if data is None and (needy := [name for name in metrics if name in COMPARING]):
        raise StyleLoomError(f"{needy[0]} compares with real images; give a folder or zip of them")
    given = None if isinstance(generator, Generator) else _made_images(generator, metrics, resolution)
    Range(LEAST).check("samples", samples)
    Range(-10, 10).check("truncation_psi", truncation_psi)
    # Load the networks that they need.
    figures: dict[str, float] = {}
    sets: list[Tensor] | None = None
    embedding: Embedding | None = None
    device = generator.device if isinstance(generator, Generator) else CPU
    perceptual = load_features().to(device) if "ppl" in metrics else None
    if (
        perceptual is not None
        and isinstance(generator, Generator)
        and generator.resolution < (side := perceptual.minimum_size(LAYERS))
    ):
        raise StyleLoomError(f"path lengths (ppl) need images of {side} px, and this generator's have {generator.resolution}")
    # Measure one after another; features are computed once.
    count = number = 0
    for index, name in enumerate(metrics, 1):
        if name in COMPARING:
            if sets is None or embedding is None:
                embedding = load_embedding(features, device)
                side = given.resolution if given is not None else generator.resolution  # type: ignore[union-attr]
                images = SquareImages(data, side)  # type: ignore[arg-type]
                count = min(samples, len(images))
                Range(LEAST).check("the number of real images", count)
                if given is not None:
                    made = real_images(given, samples, seed)
                else:
                    made = made_images(generator, samples, truncation_psi=truncation_psi, seed=seed)  # type: ignore[arg-type]
                sets = embedding.of_each([real_images(images, samples, seed), made], spread)
                count, number = map(len, sets)  # without those that cannot be read
            figures |= compared(sets[0], sets[1], "fid" if name == "fd" and features != EMBEDDED else name, seed)
        elif not isinstance(generator, Generator):
            raise AssertionError(f"{name} of images was refused above")
        elif perceptual is not None and name == "ppl":
            for space in ("z", "w"):
                for sampling in ("full", "end"):
                    options = dict(space=space, sampling=sampling, samples=samples // 5, seed=seed)
                    figures[f"ppl_{space}_{sampling}"] = path_length(generator, perceptual, **options)  # type: ignore[arg-type]
        else:
            # A plane parts twice as many points as there are dimensions, however they are labeled; half of the points count.
            many = max(2 * samples // 5, 16 * max(generator.z_dim, generator.w_dim))
            scores = separability(generator, labels_of(labeler.load(attributes)), samples=many, seed=seed)
            for space, bits in scores.items():
                figures |= {f"separability_{space}_{attribute}": value for attribute, value in bits.items()}
                figures[f"score_{space}"] = 2.0 ** sum(bits.values())
        network = embedding.name if embedding is not None else ""
        measured = EMBEDDED if perceptual else ""
        yield Evaluation(
            index, len(metrics), figures=dict(figures), images=count, made=number, features=network, perceptual=measured
        )


def _made_images(sources: str | Path | Sequence[str | Path], metrics: Sequence[str], resolution: int) -> SquareImages:
    """Made images as squares of one size.

    Raises:
        StyleLoomError: they are none, too few, or a metric needs their generator.
    """
    if not isinstance(sources, str | Path | list | tuple):
        raise StyleLoomError(f"generator is {sources!r:.60}; load it first: styleloom.load(name)")
    if needy := [name for name in metrics if name not in COMPARING]:
        raise StyleLoomError(
            f"{needy[0]} is measured in a generator's latent space; of images, choose some of {', '.join(COMPARING)}"
        )
    Range(0, 4096).check("resolution", resolution)
    made = SquareImages(sources, resolution or min(ImageFiles(sources)[0].shape[1:]))
    Range(LEAST).check("the number of made images", len(made))
    return made


def compared(real: Tensor, made: Tensor, name: str, seed: int = 0) -> dict[str, float]:
    """A metric's figures for two sets of features [N, D]."""
    if name in ("fd", "fid"):
        return {name: frechet_distance(real, made)}
    if name == "kid":
        return {"kid": kernel_distance(real, made, seed=seed)}
    return dict(zip(("precision", "recall"), precision_recall(real, made), strict=True))


def labels_of(network: labeler.Labeler) -> Callable[[Tensor], dict[str, tuple[Tensor, Tensor]]]:
    """Make the labels that :func:`~styleloom.metrics.latent.separability` asks for, of images [N, C, H, W] in [-1, 1]."""
    side = network.resolution

    def label(image: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        shown = to_image(image).cpu()
        with torch.inference_mode():
            return network.classes(resize(shown, (side, side)) if shown.shape[-1] != side else shown)

    return label
