"""Distances between made and real images as sets: Fréchet and kernel distance, precision and recall.

All of them compare features, [N, D] a set; numbers of different features must not be compared. Distances are torchmetrics' own.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from numpy.random import RandomState
from torch import Tensor, nn

from styleloom.core.errors import StyleLoomError
from styleloom.core.shapes import Float
from styleloom.data.datasets import SquareImages
from styleloom.data.images import resize
from styleloom.data.video import Spread
from styleloom.nn.generators import Generator, to_image
from styleloom.nn.vgg import Features

LAYERS = ("relu2_1", "relu3_1", "relu4_1", "relu5_1")
BATCH = 32
CPU = torch.device("cpu")
NEIGHBORS = 3


@dataclass(frozen=True)
class Embedding:
    """A network whose features are compared.

    Attributes:
        name: stands beside every number.
        network: images [N, 3, H, W] in [0, 1] to features [N, D].
        num_features: D.
        device: where it computes.
    """

    name: str
    network: Callable[[Tensor], Tensor]
    num_features: int
    device: torch.device = CPU

    def of(self, images: Iterable[Tensor]) -> Float[Tensor, "n d"]:
        """Features [N, D] of images, [n, 3, H, W] in [0, 1], that come a few at a time."""
        return self.of_each([images])[0]

    def of_each(self, sets: Sequence[Iterable[Tensor]], spread: Spread = map) -> list[Tensor]:
        """Features [N, D] of each of several sets.

        Args:
            sets: of images, [n, 3, H, W] in [0, 1], that come a few at a time.
            spread: maps a function over them, here or on other machines.
        """
        counts = []

        def batches() -> Iterator[Tensor]:
            for images in sets:
                counts.append(0)
                for batch in images:
                    counts[-1] += len(batch)
                    yield batch

        parts = list(spread(self._features, batches()))
        if not all(counts):
            raise StyleLoomError("no images to compare")
        return [part.clone() for part in torch.cat(parts).split(counts)]

    @torch.inference_mode()
    def _features(self, images: Tensor) -> Tensor:
        return self.network(images.to(self.device)).float().cpu()


@dataclass(frozen=True)
class LayerMeans:
    """The means over each image of a perceptual network's activations, which have unit mean square at each position.

    Attributes:
        features: the network.
        smallest, largest: images of smaller or larger sides are resized to these.
    """

    features: Features
    smallest: int = 64
    largest: int = 128

    def __call__(self, image: Tensor) -> Tensor:
        """Features [N, D] of images [N, 3, H, W] in [0, 1]."""
        side = min(max(image.shape[-1], self.smallest), self.largest)
        taps = self.features(resize(image, (side, side)) if image.shape[-1] != side else image, LAYERS)
        unit = [taps[layer] * (taps[layer].square().mean(1, keepdim=True) + 1e-8).rsqrt() for layer in LAYERS]
        return torch.cat([each.mean((2, 3)) for each in unit], 1)


def layer_means(features: Features, name: str, *, smallest: int = 64, largest: int = 128) -> Embedding:
    """An embedding by :class:`LayerMeans`.

    Args:
        features: the network.
        name: name in tables and files.
        smallest, largest: images of smaller or larger sides are resized to these.
    """
    widths = {layer: features.convs[layer[4:]].out_channels for layer in LAYERS}
    network, device = LayerMeans(features, smallest, largest), next(features.parameters()).device
    return Embedding(f"{name} ({', '.join(LAYERS)}: means)", network, sum(widths.values()), device)


def real_images(images: SquareImages, count: int, seed: int = 0) -> Iterator[Tensor]:
    """``count`` images of a set, or all that can be read, each once, in a random order: [n, 3, H, W] in [0, 1] at a time."""
    order = RandomState(seed).permutation(len(images)).tolist()
    readable = islice((image for index in order if (image := images.read(index)) is not None), count)
    while batch := list(islice(readable, BATCH)):
        yield torch.stack(batch)


def made_images(generator: Generator, count: int, *, truncation_psi: float = 1.0, seed: int = 0) -> Iterator[Tensor]:
    """``count`` images of a generator, with random noise, classes in turn: [n, 3, H, W] in [0, 1] at a time."""
    for z, c, noise in latent_batches(generator, count, seed):
        with torch.no_grad():
            ws = generator.mapping(z, c, truncation_psi)
            image = to_image(generator.synthesis(ws, noise_mode="random", generator=noise))
        yield image


def latent_batches(generator: Generator, count: int, seed: int) -> Iterator[tuple[Tensor, Tensor | None, torch.Generator]]:
    """Z [n, z_dim], classes [n, c_dim] in turn and a source of noise, until there were ``count`` of them."""
    draw, noise = RandomState(seed), torch.Generator(generator.device).manual_seed(seed)
    for start in range(0, count, BATCH):
        many = min(BATCH, count - start)
        z = torch.from_numpy(draw.randn(many, generator.z_dim)).float().to(generator.device)
        classes = [(start + index) % generator.c_dim for index in range(many)] if generator.c_dim else None
        yield z, generator.one_hot(classes, many), noise


class _Given(nn.Module):
    """In the place of torchmetrics' network: features that are there already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, x: Tensor) -> Tensor:
        return x


def _torchmetric(module: str, name: str) -> Any:
    """A metric's class of torchmetrics, which takes seconds to import and imports torchvision where that is installed.

    Raises:
        StyleLoomError: the installed torchvision was built for another torch.
    """
    try:
        return getattr(importlib.import_module(f"torchmetrics.image.{module}"), name)
    except (RuntimeError, OSError, AttributeError) as error:
        raise StyleLoomError(
            f"the installed torchvision does not fit torch {torch.__version__}, and torchmetrics imports it "
            f"({' '.join(str(error).split())[:80]}); uninstall torchvision, or install the build for this torch"
        ) from error


def frechet_distance(real: Float[Tensor, "n d"], made: Float[Tensor, "m e"]) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of two sets of features, [N, D] each.

    Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", NeurIPS 2017: FID.
    """
    _check(real, made, 2)
    metric = _torchmetric("fid", "FrechetInceptionDistance")(_Given(real.shape[1])).set_dtype(torch.float64)
    metric.update(real.double(), real=True)
    metric.update(made.double(), real=False)
    return max(0.0, float(metric.compute()))


def kernel_distance(
    real: Float[Tensor, "n d"], made: Float[Tensor, "m d"], *, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> float:
    """Mean squared discrepancy under the kernel (x.y / D + 1)^3, of random subsets of two sets of features [N, D].

    Binkowski et al., "Demystifying MMD GANs", ICLR 2018: KID. It has no bias, and may be below 0.
    """
    _check(real, made, 2)
    size = min(subset_size, len(real), len(made))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it keeps all features, which are there already
        metric = _torchmetric("kid", "KernelInceptionDistance")(_Given(real.shape[1]), subsets=subsets, subset_size=size)
    metric.update(real, real=True)
    metric.update(made, real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return float(metric.compute()[0])


def precision_recall(real: Float[Tensor, "n d"], made: Float[Tensor, "m d"], neighbors: int = NEIGHBORS) -> tuple[float, float]:
    """The share of made images near real ones, and of real images near made ones, of features [N, D].

    Kynkaanniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models", NeurIPS 2019: near is closer to
    one of the others than that one's k-th neighbor among its own.
    """
    _check(real, made, neighbors + 1)
    real, made = real.float(), made.float()
    return _covered(real, made, neighbors), _covered(made, real, neighbors)


def _covered(support: Tensor, points: Tensor, neighbors: int) -> float:
    """The share of points within the k-th neighbor's distance of a member of the support."""
    radii = torch.cat([_apart(part, support).kthvalue(neighbors + 1, 1).values for part in support.split(1000)])
    inside = [(_apart(part, support) <= radii).any(1) for part in points.split(1000)]
    return float(torch.cat(inside).double().mean())


def _apart(first: Tensor, second: Tensor) -> Tensor:
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")


def _check(real: Tensor, made: Tensor, least: int) -> None:
    if min(len(real), len(made)) < least or real.ndim != 2 or real.shape[1:] != made.shape[1:]:
        raise StyleLoomError(
            f"features of shapes {list(real.shape)} and {list(made.shape)}; wanted two sets [N, D] of at least {least} images"
        )


class Distance:
    """The Fréchet distance of a generator's images to those of a set, whose features are computed once.

    Args:
        images: real ones.
        count: how many are compared with as many made ones.
        embedding: the features.
    """

    def __init__(self, images: SquareImages, count: int, embedding: Embedding) -> None:
        self.embedding = embedding
        self.real = embedding.of(real_images(images, count))

    def __call__(self, generator: Generator) -> float:
        """Fréchet distance of so many made images."""
        return frechet_distance(self.real, self.embedding.of(made_images(generator, len(self.real))))
