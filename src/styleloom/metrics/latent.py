"""Layout of a latent space: perceptual path length and linear separability.

Karras et al., "A Style-Based Generator Architecture for Generative Adversarial Networks", CVPR 2019, Section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.random import RandomState
from torch import Tensor

from styleloom.core.errors import check_choice
from styleloom.nn.generators import Generator, slerp, to_image
from styleloom.nn.vgg import Features

from .distribution import latent_batches
from .image import perceptual_distances

EPSILON = 1e-4
LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
SPACES = ("w", "z")
SAMPLINGS = ("full", "end")


@torch.no_grad()
def path_length(
    generator: Generator,
    features: Features,
    *,
    space: str = "w",
    sampling: str = "full",
    samples: int = 2_000,
    epsilon: float = EPSILON,
    seed: int = 0,
) -> float:
    """Perceptual path length: how much images change along a way between two latents, by its square, at a random place.

    Args:
        generator: the generator whose latent space is looked at, with the noise that it holds.
        features: perceptual network; the distance is that of Zhang et al. 2018 with equal weights, with its five first layers.
        space: ``"z"``, along great circles, or ``"w"``, straight (Eqs. 2 and 3).
        sampling: ``"full"``: anywhere on the way, or ``"end"``: at its ends only.
        samples: points looked at; the lowest and highest hundredth are left out.
        epsilon: the length of a step.
        seed: seed of ends and points.
    """
    check_choice("space", space, SPACES)
    check_choice("sampling", sampling, SAMPLINGS)
    chance = RandomState(seed)
    distances = []
    for pair, c, _ in latent_batches(generator, 2 * samples, seed):
        z0, z1 = pair.chunk(2)
        c = c[: len(z0)] if c is not None else None
        start = torch.from_numpy(chance.rand(len(z0), 1)).float().to(z0.device) * (sampling == "full")
        if space == "w":
            w0, w1 = generator.mapping(z0, c), generator.mapping(z1, c)
            ends = [w0.lerp(w1, share[:, None]) for share in (start, start + epsilon)]
        else:
            ends = [generator.mapping(slerp(z0, z1, share), c) for share in (start, start + epsilon)]
        first, second = (to_image(generator.synthesis(ws, noise_mode="const"), clamp=False) for ws in ends)
        distances.append(perceptual_distances(features, first, second, LAYERS) / epsilon**2)
    lengths = torch.cat(distances).double().numpy()
    low, high = np.percentile(lengths, 1, method="lower"), np.percentile(lengths, 99, method="higher")
    return float(lengths[(lengths >= low) & (lengths <= high)].mean())


@torch.no_grad()
def separability(
    generator: Generator,
    label: Callable[[Tensor], Mapping[str, tuple[Tensor, Tensor]]],
    *,
    samples: int = 4_000,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Separability: bits of each attribute that a plane in latent space leaves open, 0 where it tells all.

    Args:
        generator: the generator whose latent spaces are looked at.
        label: a function of images [N, C, H, W] in [-1, 1], for each attribute its class [N] and how sure that is [N].
        samples: images made; the surer half of them counts, as in the paper.
        seed: seed of the images.

    Returns:
        For ``"z"`` and ``"w"``, H(Y | X) of each attribute of which more than one class was met: Y its class, X that which a
        linear support vector machine tells from the latent. The paper's score is 2 to the power of their sum.
    """
    zs, ws, labels, sure = [], [], [], []
    for z, c, noise in latent_batches(generator, samples, seed):
        all_ws = generator.mapping(z, c)
        answers = label(generator.synthesis(all_ws, noise_mode="random", generator=noise))
        zs.append(z)
        ws.append(all_ws[:, 0])
        labels.append({name: answer[0] for name, answer in answers.items()})
        sure.append({name: answer[1] for name, answer in answers.items()})
    latents_of = {"z": torch.cat(zs).cpu().numpy(), "w": torch.cat(ws).cpu().numpy()}
    result: dict[str, dict[str, float]] = {"z": {}, "w": {}}
    for name in labels[0]:
        classes = torch.cat([each[name] for each in labels]).cpu().numpy()
        certain = torch.cat([each[name] for each in sure]).cpu().numpy()
        kept = np.argsort(-certain, kind="stable")[: max(2, len(certain) // 2)]
        if len(set(classes[kept].tolist())) < 2:  # nothing to tell apart
            continue
        for space, latents in latents_of.items():
            result[space][name] = conditional_entropy(latents[kept], classes[kept])
    return result


def conditional_entropy(latents: np.ndarray, classes: np.ndarray) -> float:
    """H(Y | X) in bits: Y classes [N], X what a linear support vector machine, fitted to them, says of latents [N, D]."""
    from sklearn.svm import LinearSVC

    if len(np.unique(classes)) < 2:
        return 0.0
    scaled = (latents - latents.mean(0)) / (latents.std(0) + 1e-8)
    predicted = LinearSVC(dual=False, C=0.1, random_state=0).fit(scaled, classes).predict(scaled)
    bits = 0.0
    for answer in np.unique(predicted):
        chosen = classes[predicted == answer]
        shares = np.unique(chosen, return_counts=True)[1] / len(chosen)
        bits -= len(chosen) / len(classes) * float((shares * np.log2(shares)).sum())
    return bits
