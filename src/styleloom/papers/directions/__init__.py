"""Directions of latent space along which one thing about an image changes.

Three papers, and a way of ours:

- Shen, Gu, Tang and Zhou, "Interpreting the Latent Space of GANs for Semantic Face Editing", CVPR 2020 ("InterFaceGAN"): the
  normal of the plane that best separates labeled w (:func:`interfacegan`); :func:`conditional` makes it orthogonal to others.
- Härkönen, Hertzmann, Lehtinen and Paris, "GANSpace: Discovering Interpretable GAN Controls", NeurIPS 2020: principal
  components of w (:func:`ganspace`).
- Shen and Zhou, "Closed-Form Factorization of Latent Semantics in GANs" ("SeFa"), CVPR 2021: eigenvectors of A A^T, A being the
  affine maps that make styles of w (:func:`sefa`).
- Ours (:func:`least_squares`): a network that tells attributes is differentiable, so how each attribute of an image changes with
  each row of w is known. The direction of an attribute is the one that, over many images, best changes this attribute by 1 and
  all others by 0.

Differs from the papers:
    - a direction is scaled, so that strength 1 means the same everywhere: one standard deviation of the generator's w along it;
      of :func:`least_squares`, one standard deviation of the attribute;
    - numbers are fitted by least squares, not by a plane between the highest and the lowest;
    - signs of components are fixed: the largest coordinate is positive.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.progress import Progress
from styleloom.core.settings import Range
from styleloom.nn.generators import Generator, generator_id, to_image

from .base import KIND as KIND
from .base import SAMPLES, named_in_order, scaled
from .base import Direction as Direction
from .base import Directions as Directions
from .base import edited as edited
from .base import load as load
from .base import save as save
from .effects import BATCH as BATCH
from .effects import Effects as Effects
from .effects import Labels as Labels
from .effects import effects as effects
from .effects import labels_of as labels_of


def interfacegan(
    generator: Generator, ws: Tensor, labels: Tensor, name: str = "direction", *, method: str = "InterFaceGAN"
) -> Direction:
    """The normal of the plane between latents of two classes, or along which a number rises (Section 3 of the paper).

    Args:
        generator: the generator whose latents they are.
        ws: [N, num_ws, w_dim] or [N, w_dim]; where rows differ, the plane is in W+.
        labels: [N], two classes (0 and 1, or False and True) or numbers.
        name: name of the direction.
        method: noted in it.

    Raises:
        StyleLoomError: labels of one class, or another number of them.
    """
    labels = labels.detach().cpu().double()
    if len(labels) != len(ws) or labels.ndim != 1:
        raise StyleLoomError(f"{list(labels.shape)} labels for {len(ws)} latents; wanted one for each")
    values = labels.unique()
    if len(values) < 2:
        raise StyleLoomError(f"all labels of {name} are {float(labels[0]):g}; a direction needs latents of both kinds")
    in_w = ws.ndim == 2 or bool((ws == ws[:, :1]).all())
    x = (ws if ws.ndim == 2 else ws[:, 0] if in_w else ws.flatten(1)).detach().cpu().double()
    center, spread = x.mean(0), x.std(0).clamp(min=1e-8)
    normal = (_separating if len(values) == 2 else _rising)(((x - center) / spread).numpy(), labels.numpy())
    vector = (torch.from_numpy(normal) / spread).float()  # the plane's normal in w itself
    return Direction(name, scaled(generator, vector if in_w else vector.view(ws.shape[1:])), generator_id(generator), method)


def _separating(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    from sklearn.svm import LinearSVC

    classes = labels == labels.max()
    # Its own weight for each class, so that the rarer one counts.
    normal: np.ndarray = LinearSVC(dual=False, C=0.01, class_weight="balanced", random_state=0).fit(x, classes).coef_[0]
    return normal


def _rising(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import Ridge

    normal: np.ndarray = Ridge(alpha=1e-3 * len(x)).fit(x, (labels - labels.mean()) / labels.std()).coef_
    return normal


def conditional(direction: Direction, others: Sequence[Direction]) -> Direction:
    """A direction made orthogonal to others (Section 3.2: n1 - (n1 n2) n2), at the length that it had.

    Raises:
        StyleLoomError: nothing is left of it.
    """
    flat = direction.vector.flatten()
    basis, _ = torch.linalg.qr(torch.stack([other.vector.flatten().to(flat) for other in others], 1))
    left = flat - basis @ (basis.T @ flat)
    if float(left.norm()) < 1e-4 * float(flat.norm()):
        raise StyleLoomError(f"{direction.name} lies within the directions that it was to be orthogonal to; leave one out")
    vector = (left * flat.norm() / left.norm()).view_as(direction.vector)
    return replace(direction, vector=vector, method=f"{direction.method}, conditional")


def ganspace(
    generator: Generator, count: int = 10, layers: range | None = None, *, samples: int = 10_000, seed: int = 0
) -> Directions:
    """Principal components of w, the largest first, as ``pc0``, ``pc1`` ...: strength 1 is their standard deviation.

    Args:
        generator: the generator whose w is examined.
        count: how many.
        layers: layers that are moved; all by default.
        samples: samples of w.
        seed: seed of the first of these.
    """
    Range(1, generator.w_dim).check("count", count, whole=True)
    w = generator.map(range(seed, seed + samples))[:, 0].double()
    values, vectors = torch.linalg.eigh(torch.cov(w.T))
    components = _signed(vectors.flip(1)[:, :count]) * values.flip(0)[:count].clamp(min=0).sqrt()
    return named_in_order(generator, "pc", components.T, layers, "GANSpace")


def sefa(generator: Generator, count: int = 10, layers: range | None = None) -> Directions:
    """Eigenvectors of A A^T, A being all affine maps of the chosen layers side by side, as ``sefa0``, ``sefa1`` ...

    Args:
        generator: a StyleGAN or StyleGAN2.
        count: how many.
        layers: layers whose maps count, and that are moved; all by default.

    Raises:
        StyleLoomError: a generator without styles.
    """
    Range(1, generator.w_dim).check("count", count, whole=True)
    maps = [module.affine for name, module in generator.synthesis.named_modules() if "conv" in name and hasattr(module, "affine")]
    if not maps or any(each is None for each in maps):
        raise StyleLoomError("this generator has no styles that w sets, so there is nothing to factorize; use GANSpace")
    chosen = layers or range(generator.num_ws)
    weights = [each.weight.detach() for each in maps[chosen.start : chosen.stop]]  # [styles, w_dim] each
    if not weights:
        raise StyleLoomError(f"layers {chosen.start}-{chosen.stop - 1} hold no convolution; choose others")
    rows = F.normalize(torch.cat(weights), dim=1).double()  # as the authors' code has it
    _, vectors = torch.linalg.eigh(rows.T @ rows)
    components = _signed(vectors.flip(1)[:, :count]).T.float().to(generator.device)
    w = generator.map(range(SAMPLES))[:, 0]
    components = components * (w @ components.T).std(0)[:, None]
    return named_in_order(generator, "sefa", components, layers, "SeFa")


def _signed(vectors: Tensor) -> Tensor:
    """Columns [w_dim, K] whose largest coordinate is positive."""
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    return vectors * largest.sign()


@dataclass(frozen=True)
class Fit(Progress):
    """Progress of :func:`least_squares`.

    Attributes:
        directions: directions, at the end.
    """

    directions: Directions = field(default_factory=dict)


def least_squares(
    generator: Generator,
    label: Labels,
    names: Sequence[str],
    layers: range | None = None,
    *,
    samples: int = 2_000,
    damping: float = 0.03,
    seed: int = 0,
) -> Iterator[Fit]:
    """Directions v that minimize E |J v - e|^2 + damping |v|^2: each changes its attribute by 1, others by 0.

    J is the Jacobian of the attributes of an image, in standard deviations, with respect to its ws, in standard deviations of w.
    Plain averages of gradients (damping without bound) leave a direction's effect to differ from image to image; here this
    difference, too, is what is made small.

    Args:
        generator: the generator whose latent space is examined.
        label: tells attributes.
        names: names of the attributes.
        layers: layers that may be moved; all by default.
        samples: images.
        damping: in units of the mean eigenvalue of E[J^T J]. More keeps directions shorter, less keeps them purer.
        seed: seed of the first image.

    Yields:
        :class:`Fit` after each batch, with the directions at the end.
    """
    began = time.perf_counter()
    w = generator.map(range(SAMPLES))[:, 0]
    root = torch.linalg.cholesky(torch.cov(w.T) + 1e-6 * torch.eye(generator.w_dim).to(w))  # w = mean + root x, x of unit spread
    chosen = layers or range(generator.num_ws)
    jacobians, values = [], []
    for start in range(0, samples, BATCH):
        ws = generator.map(range(seed + start, seed + min(start + BATCH, samples))).requires_grad_(True)
        attributes = label(to_image(generator.synthesis(ws, noise_mode="const"), clamp=False))  # [N, K]
        gradients = [torch.autograd.grad(each.sum(), ws, retain_graph=True)[0] for each in attributes.unbind(1)]
        jacobian = torch.stack([each[:, chosen.start : chosen.stop] @ root for each in gradients], 1)  # [N, K, layers, w_dim]
        jacobians.append(jacobian.flatten(2).cpu())
        values.append(attributes.detach().cpu())
        yield Fit(min(start + BATCH, samples), samples, {}, time.perf_counter() - began)
    spread = torch.cat(values).std(0).clamp(min=1e-6)
    jacobian = torch.cat(jacobians) / spread[:, None]  # in standard deviations of the attributes
    mean, flat = jacobian.mean(0), jacobian.flatten(0, 1)
    gram = flat.T @ flat / len(jacobian)
    gram += damping * gram.diagonal().mean() * torch.eye(len(gram))
    solved = torch.linalg.solve(gram, mean.T).T  # [K, layers * w_dim]
    solved = solved / (mean * solved).sum(1, keepdim=True)  # on average the attribute changes by 1
    made = {}
    for name, vector in zip(names, solved, strict=True):
        rows = torch.zeros(generator.num_ws, generator.w_dim)
        rows[chosen.start : chosen.stop] = vector.view(len(chosen), -1) @ root.T.cpu()
        made[name] = Direction(name, rows, generator_id(generator), "least squares")
    yield Fit(samples, samples, {}, time.perf_counter() - began, made)
