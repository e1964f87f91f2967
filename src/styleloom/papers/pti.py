"""Roich, Mokady, Bermano and Cohen-Or, "Pivotal Tuning for Latent-based Editing of Real Images", ACM TOG 2022.

An image that lies outside of what a generator makes cannot be met by latents alone. Find the nearest ones, the pivot, and then
change the generator a little, around the pivot, until it meets the image there. Away from the pivot it is held to what it was
(locality regularization), so that edits of the image work as they did.

Differs from the paper:
    - the pivot is the learned optimizer's, in W+, not in W;
    - the distance is that of features of unit length (vgg19-lite), not LPIPS;
    - what changed is kept as a small difference in half precision, of low rank, not as another generator.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
from torch import Tensor, nn

from styleloom.core import checkpoint
from styleloom.core.errors import StyleLoomError
from styleloom.core.progress import Progress
from styleloom.core.settings import Checked, CountOrNone, LearningRate, Range, Seed, Weight
from styleloom.loops.descend import descend
from styleloom.metrics.image import unit
from styleloom.nn.generators import Generator, check_made_for, generator_id
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import EMBEDDED, load_features

from .image2stylegan.objective import LAYERS, render

KIND = "tuning"
G = TypeVar("G", bound=Generator)


@dataclass(frozen=True)
class PTIConfig(Checked):
    """Settings for tuning a generator (Section 3.2 and 3.3, and the authors' code).

    Args:
        num_steps: largest number of steps.
        lr: Adam's rate.
        pixel_weight: weight of the mean squared difference of pixels.
        feature_distance_weight: weight of the squared difference of features of unit length.
        locality_weight: weight of the same differences between the tuned and the old generator, at latents on the way from the
            pivot to random ones; 0: none.
        locality_distance: how far on that way, in units of length of w.
        locality_every: steps between two such terms.
        stop_below: stop when the image's feature distance is below.
        seed: seed of the random latents.
    """

    num_steps: CountOrNone = 150
    lr: LearningRate = 3e-4
    pixel_weight: Weight = 1.0
    feature_distance_weight: Weight = 1.0
    locality_weight: Weight = 0.1
    locality_distance: Annotated[float, Range(above=0, most=1e3)] = 5.0
    locality_every: Annotated[int, Range(1)] = 1
    stop_below: Weight = 0.0
    seed: Seed = 0


@dataclass(frozen=True)
class PTIStep(Progress):
    """Progress of a tuning.

    Attributes:
        generator: the generator, as far as it is tuned; the same object at each step.
        image: [N, 3, R, R] in [0, 1] of the pivots at the start of the step.
    """

    generator: Generator | None = None
    image: Tensor = field(default_factory=lambda: torch.empty(0))


def steps(
    generator: Generator,
    targets: Tensor,
    pivots: Tensor,
    config: PTIConfig = PTIConfig(),
    *,
    features: Features | None = None,
) -> Iterator[PTIStep]:
    """Tune a copy of a generator to images at their pivots; the one given stays as it is.

    Args:
        generator: a generator of any paper.
        targets: [N, 3, R, R] in [0, 1].
        pivots: [N, num_ws, w_dim], their latents.
        config: see :class:`PTIConfig`.
        features: perceptual network, instead of the bundled one.

    Yields:
        :class:`PTIStep` after each step.

    Raises:
        StyleLoomError: targets or pivots of another shape.
    """
    side = generator.resolution
    if targets.shape[1:] != (3, side, side) or pivots.shape != (len(targets), generator.num_ws, generator.w_dim):
        raise StyleLoomError(
            f"targets of shape {list(targets.shape)} and pivots of {list(pivots.shape)}; wanted [N, 3, {side}, {side}] and "
            f"[N, {generator.num_ws}, {generator.w_dim}]"
        )
    # A copy of the generator is tuned; the generator itself stays.
    began, device = time.perf_counter(), generator.device
    targets, pivots = targets.detach().to(device).float(), pivots.detach().to(device)
    network = (features or load_features(EMBEDDED)).prepare(device, torch.float32)
    before = deepcopy(generator).requires_grad_(False)
    tuned = deepcopy(generator).requires_grad_(False)
    params = [p.requires_grad_(True) for p in tuned.synthesis.parameters()]
    with torch.no_grad():
        wanted = {layer: unit(each) for layer, each in network(targets, LAYERS).items()}
    draw = torch.Generator(device).manual_seed(config.seed)
    images = targets

    # The losses: of the images, and of others nearby, which are to stay as they were.
    def difference(image: Tensor, target: Tensor, read: Mapping[str, Tensor]) -> dict[str, Tensor]:
        outputs = network(image, LAYERS)
        distance = torch.stack([(unit(outputs[layer]) - read[layer]).square().sum(1).mean() for layer in LAYERS]).sum()
        return dict(pixel=config.pixel_weight * (image - target).square().mean(),
                    feature_distance=config.feature_distance_weight * distance)  # fmt: skip

    count = 0

    def losses() -> dict[str, Tensor]:
        nonlocal images, count
        images = render(tuned, pivots)
        terms = difference(images, targets, wanted)
        if config.locality_weight and count % config.locality_every == 0:
            z = torch.randn(1, generator.z_dim, generator=draw, device=device)
            with torch.no_grad():
                towards = before.mapping(z) - pivots[count % len(pivots)]  # Eq. 4
                ws = pivots[count % len(pivots)] + config.locality_distance * towards / towards.norm(dim=2, keepdim=True)
                old = render(before, ws)
                read = {layer: unit(each) for layer, each in network(old, LAYERS).items()}
            terms["locality"] = (
                config.locality_weight * torch.stack(list(difference(render(tuned, ws), old, read).values())).sum()
            )
        count += 1
        return terms

    # Tune until the images are near enough.
    for progress in descend(losses, torch.optim.Adam(params, config.lr), config.num_steps):
        shown = images.detach().clamp(0, 1)
        yield PTIStep(progress.index, config.num_steps, progress.losses, time.perf_counter() - began, tuned, shown)
        if progress.losses["feature_distance"] < config.stop_below * config.feature_distance_weight:
            break


def tune(generator: G, targets: Tensor, pivots: Tensor, config: PTIConfig = PTIConfig(), **options: Any) -> G:
    """A copy of a generator, tuned to images at their pivots.

    Args:
        generator: a generator of any paper; it stays as it is.
        targets: [N, 3, R, R] in [0, 1].
        pivots: [N, num_ws, w_dim], their latents.
        config: see :class:`PTIConfig`.
        options: ``features`` of :func:`steps`.

    Raises:
        StyleLoomError: what :func:`steps` refuses.

    Source: Roich et al. 2022.
    """
    tuned: G = deepcopy(generator)
    for step in steps(generator, targets, pivots, config, **options):
        tuned = step.generator  # type: ignore[assignment]
    return tuned.requires_grad_(False)


def save(tuned: nn.Module, generator: Generator, path: Path, *, rank: int = 16, license: str = "unknown") -> float:
    """Write what a tuned generator differs in: of matrices the leading ``rank`` singular vectors, in half precision.

    Args:
        tuned: the tuned generator from :func:`tune`.
        generator: the generator that it was made from.
        path: a ``.safetensors``.
        rank: rank of the difference of each layer's weights; smaller ones are kept whole.
        license: what the file may be used for.

    Returns:
        The share of the squared difference that is kept.
    """
    Range(1).check("rank", rank, whole=True)
    new, tensors = tuned.state_dict(), {}
    kept = total = 0.0
    for name, old in generator.state_dict().items():
        change = (new[name] - old).float().cpu()
        if not bool(change.any()):
            continue
        total += float(change.square().sum())
        flat = change.flatten(1) if change.ndim > 1 else change
        if flat.ndim < 2 or rank * sum(flat.shape) >= flat.numel():
            tensors[f"{name}.whole"] = change.half()
            kept += float(change.square().sum())
            continue
        u, s, v = torch.linalg.svd(flat, full_matrices=False)
        root = s[:rank].sqrt()  # halves of about equal size, for half precision
        tensors[f"{name}.u"], tensors[f"{name}.v"] = (u[:, :rank] * root).half(), (root[:, None] * v[:rank]).half()
        kept += float(s[:rank].square().sum())
    config = dict(generator=generator_id(generator), rank=rank)
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    checkpoint.save_model(path, tensors, kind=KIND, config=config, license=license)
    return kept / total if total else 1.0


def tuned_by(generator: G, name: str | Path) -> G:
    """A copy of a generator with a difference file's changes.

    Args:
        generator: the generator that the file was made for.
        name: name of the file.

    Raises:
        StyleLoomError: no such file, one of another kind, or of another generator.
    """
    tensors, config = checkpoint.read_model(name, KIND)
    check_made_for(str(name), config["generator"], generator)
    tuned = deepcopy(generator)
    state = tuned.state_dict()
    with checkpoint.rebuilding(name), torch.no_grad():
        for key, value in tensors.items():
            index, _, part = key.rpartition(".")
            if part == "whole":
                state[index] += value.to(state[index])
            elif part == "u":
                change = value.float() @ tensors[f"{index}.v"].float()
                state[index] += change.view_as(state[index]).to(state[index])
    return tuned
