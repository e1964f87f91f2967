"""Eigenbasis of a generator for the objective of an inversion, in which learned optimizers and Adam take their steps."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from styleloom.core.errors import check_seeds
from styleloom.core.settings import Range
from styleloom.loops import eigenbasis
from styleloom.loops.eigenbasis import Eigenbasis, Estimate
from styleloom.nn.generators import Generator
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import load_features
from styleloom.papers.image2stylegan.objective import LAYERS, Weights

WEIGHTS = Weights()


def estimate_basis(
    generator: Generator,
    *,
    samples: int = 2_000,
    keep: int = 0,
    weights: Weights = WEIGHTS,
    seed: int = 0,
    features: Features | None = None,
) -> Iterator[Estimate]:
    """Estimate the directions of a latent space that its images depend on most, a batch at a time.

    Args:
        generator: generator whose latent space is examined.
        samples: backward passes, about as many as ws has numbers or more.
        keep: number of leading directions to keep; 0 keeps all.
        weights: weights of pixels and features in the objective.
        seed: seed of the random residuals.
        features: perceptual network to use instead of the bundled one.

    Yields:
        :class:`~styleloom.loops.eigenbasis.Estimate` after each batch, with the basis at the end.

    Raises:
        StyleLoomError: numbers out of range.
    """
    check_seeds([seed])
    Range(2, 10**7).check("samples", samples)
    Range(0, 10**6).check("keep", keep)
    perceptual = (features if features is not None else load_features()).prepare(generator.device, torch.float32)
    outputs = eigenbasis.residuals(perceptual, list(LAYERS), weights.pixel_weight, weights.perceptual_weight / len(LAYERS))

    yield from eigenbasis.eigenbasis(generator, outputs, samples=samples, keep=keep or None, seed=seed)


def make_basis(
    generator: Generator,
    *,
    samples: int = 2_000,
    keep: int = 0,
    weights: Weights = WEIGHTS,
    seed: int = 0,
    features: Features | None = None,
) -> Eigenbasis:
    """Estimate the basis and return it: the plain form of :func:`estimate_basis`, with the same arguments and errors."""
    *_, last = estimate_basis(generator, samples=samples, keep=keep, weights=weights, seed=seed, features=features)
    assert last.basis is not None
    return last.basis
