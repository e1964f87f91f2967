"""Supervised descent: steps in latent space by linear regression on differences of image features.

Xiong and De la Torre, "Supervised Descent Method and Its Applications to Face Alignment", CVPR 2013.

A generator makes any number of images with known latents. Start a descent to each of them, and regress what is left of the way in
latent space on what differs between the two images: x_target - x_now ~ R (phi(target) - phi(now)). The descent map R is linear,
so it has a closed form. Two maps are fitted, one from where descents start, one from where the first leads. It takes a minute for
a small generator, and no training.

Differs from the paper:
    - features are those that an inversion compares anyway, averaged over a grid, and reduced to their principal components;
    - the target's features are known, so the map sees their difference;
    - maps are inputs of a learned optimizer (``loom_any.py``), which decides how far to follow each.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleloom.core.checkpoint import fingerprint, read_run, save_state
from styleloom.core.progress import Progress
from styleloom.loops.eigenbasis import Eigenbasis
from styleloom.nn import generators
from styleloom.nn.generators import generator_id, sample_ws, to_image
from styleloom.nn.vgg import Features
from styleloom.papers.image2stylegan.objective import LAYERS, Weights

STAGES = 2
GRIDS = {"conv1_1": 8, "conv1_2": 8, "conv3_2": 8, "conv4_2": 4}
"""Cells a side over which each layer's features are averaged."""
PIXEL_GRID = 16
COMPONENTS = 512
RIDGES = (0.003, 0.01, 0.03, 0.1, 0.3)  # in units of the mean squared feature
VALIDATION = 0.1  # share of the images that choose one of them
BATCH, FIRST_SEED = 16, 2**30
KEEP_EVERY = 60.0  # s between two savings of the features of rendered images


class SupervisedDescent(nn.Module):
    """Descent maps of a generator, along the vectors of its eigenbasis, in standard deviations of the prior.

    Args:
        size: K, the number of coordinates.
        features: numbers of an image's features, see :func:`gridded`.
        components: number of principal components of these.
        generator: the generator's :func:`~styleloom.nn.generators.generator_id`.
    """

    def __init__(self, size: int, features: int, components: int = COMPONENTS, generator: str = "") -> None:
        super().__init__()
        self.projection: Tensor
        self.maps: Tensor
        self.reliability: Tensor
        self.config: dict[str, Any] = dict(size=size, features=features, components=components, generator=generator)
        self.register_buffer("projection", torch.zeros(features, components))
        self.register_buffer("maps", torch.zeros(STAGES, components, size))
        self.register_buffer("reliability", torch.zeros(STAGES, size))  # share of the variance that each map explains

    def forward(self, difference: Tensor) -> Tensor:
        """Differences of :func:`gridded` features [N, features] to a step by each map: [STAGES, N, K]."""
        return (difference @ self.projection) @ self.maps


def gridded(image: Tensor, features: Mapping[str, Tensor], weights: Weights = Weights()) -> Tensor:  # noqa: B008
    """Images [N, 3, R, R] and their features, averaged over grids, each weighted as an inversion weights it: [N, features]."""
    parts = [weights.pixel_weight**0.5 * F.adaptive_avg_pool2d(image, PIXEL_GRID).flatten(1) / (3**0.5 * PIXEL_GRID)]
    for layer, cells in GRIDS.items():
        scale = (weights.perceptual_weight / len(GRIDS) / features[layer].shape[1]) ** 0.5 / cells
        parts.append(scale * F.adaptive_avg_pool2d(features[layer].float(), cells).flatten(1))
    return torch.cat(parts, 1)


@dataclass(frozen=True)
class Fit(Progress):
    """Progress of a fit.

    Attributes:
        descent: the maps, at the end.
    """

    descent: SupervisedDescent | None = None


def total_of(samples: int) -> int:
    """Count the images that :func:`fit` renders: targets, and one to start from for each map."""
    return (STAGES + 1) * -(-samples // BATCH) * BATCH


def features_of(generator: generators.Generator, ws: Tensor, features: Features, side: int) -> Tensor:
    """The :func:`gridded` features of the images [N, 3, side, side] of ws: [N, features]."""
    image = to_image(generator.image_at(ws, side), clamp=False)
    return gridded(image, features(image, LAYERS)).cpu()


class _Rendered:
    """Features of the images that a fit has rendered so far, in their order, and a file to keep them in."""

    def __init__(self, state: Path | None, job: str) -> None:
        self.state, self.job = state, job
        self.saved_at = time.monotonic()
        known = read_run(state, job)["features"] if state is not None and state.exists() else None
        self.parts: list[Tensor] = [] if known is None else list(known.split(BATCH))

    def keep(self) -> None:
        """Write the file."""
        self.saved_at = time.monotonic()
        if self.state is not None and self.parts:
            save_state(self.state, dict(job=self.job, features=torch.cat(self.parts)))

    def add(self, features: Tensor) -> None:
        """Note the features of the next images [BATCH, features]; now and then the file is written."""
        self.parts.append(features)
        if time.monotonic() - self.saved_at > KEEP_EVERY:
            self.keep()


@torch.no_grad()
def fit(
    generator: generators.Generator,
    basis: Eigenbasis,
    features: Features,
    *,
    samples: int = 2_000,
    side: int = 0,
    state: Path | None = None,
) -> Iterator[Fit]:
    """Fit descent maps on a generator's own images.

    Args:
        generator: a generator of any paper, without classes.
        basis: its eigenbasis.
        features: perceptual network that images are compared by.
        samples: number of images to fit on.
        side: side at which images are compared; 0: their own.
        state: a file to keep the images' features in; when it is there, the fit goes on from it exactly.

    Yields:
        :class:`Fit` after each batch, and with the maps at the end.

    Raises:
        StyleLoomError: the state of another fit.
    """
    began = time.perf_counter()
    side = min(side, generator.resolution) or generator.resolution
    samples, total = -(-samples // BATCH) * BATCH, total_of(samples)

    rendered = _Rendered(state, fingerprint([generator_id(generator), samples, side], [basis.values]))

    def all_features(whitened: Tensor, done: int) -> Generator[Fit, None, Tensor]:
        """Features of the images of whitened w, with progress."""
        parts = whitened.split(BATCH)
        first = done // BATCH
        try:
            for part in parts[max(0, len(rendered.parts) - first) :]:
                ws = basis.back(part * basis.prior_std) + generator.w_avg.cpu()
                rendered.add(features_of(generator, ws.to(generator.device), features, side))
                yield Fit(len(rendered.parts) * BATCH, total, {}, time.perf_counter() - began)
        finally:
            rendered.keep()
        return torch.cat(rendered.parts[first : first + len(parts)])

    # Targets, and where descents to them start: half from the mean w, half from another random one.
    starts = range(FIRST_SEED, FIRST_SEED + samples, BATCH)
    ws = torch.cat([sample_ws(generator, range(n, n + BATCH), mixing=0.5).cpu() for n in starts])
    target = basis.rotate(ws - generator.w_avg.cpu()) / basis.prior_std
    count = basis.vectors.shape[1]
    now = torch.where(torch.arange(samples)[:, None] % 2 == 0, 0.0, target.roll(1, 0))
    target_features = yield from all_features(target, 0)
    # Each map, from where the one before it led.
    found = SupervisedDescent(count, target_features.shape[1], min(COMPONENTS, samples // 2), generator_id(generator))
    weight = (basis.values * basis.prior_std.square())[:count]
    held_out = round(VALIDATION * samples)
    for stage in range(STAGES):
        present = yield from all_features(now, (stage + 1) * samples)
        difference, left = target_features - present, (target - now)[:, :count]
        if not stage:
            _, vectors = torch.linalg.eigh((difference @ difference.T).double())
            leading = vectors.flip(1)[:, : found.projection.shape[1]].float()
            found.projection.copy_(F.normalize(difference.T @ leading, dim=0))
        x = difference @ found.projection
        square = (x[held_out:].T @ x[held_out:]).double()
        cross = (x[held_out:].T @ left[held_out:]).double()
        maps = [torch.linalg.solve(square + ridge * square.diagonal().mean() * torch.eye(len(square)), cross) for ridge in RIDGES]
        errors = [(x[:held_out] @ each.float() - left[:held_out]).square().mean(0) for each in maps]
        best = min(range(len(RIDGES)), key=lambda index: float((weight * errors[index]).sum()))
        found.maps[stage] = maps[best].float()
        found.reliability[stage] = (1 - errors[best] / left[:held_out].square().mean(0).clamp(min=1e-12)).clamp(0, 1)
        now = now + F.pad(x @ found.maps[stage], (0, target.shape[1] - count))
    yield Fit(total, total, {}, time.perf_counter() - began, found)
