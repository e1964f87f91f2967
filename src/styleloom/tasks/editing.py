"""Latents changed: along directions, towards other latents, row by row; latents go in, latents come out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from styleloom.core import checkpoint
from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.core.settings import Range
from styleloom.metrics.image import perceptual_distances
from styleloom.nn.generators import BATCH, Generator, check_made_for, check_ws, generator_id, to_image, truncated
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import EMBEDDED, load_features
from styleloom.papers import directions as papers
from styleloom.papers.directions import Direction, Directions
from styleloom.papers.image2stylegan import LAYERS

from .sampling import layer_range, mix

EASINGS = ("none", "smooth")
FINE = 3  # points a frame, between which distances are measured


def directions_of(generator: Generator, files: Sequence[str | Path] = ()) -> Directions:
    """Directions by name: the zoo's for this generator, and those of files, which come first.

    Raises:
        StyleLoomError: no such file, one of another kind, or directions of another generator.
    """
    found: Directions = {}
    for name, kind, _ in checkpoint.made_for(generator_id(generator)):
        if kind == papers.KIND:
            found |= papers.load(name)
    for file in files:
        found |= papers.load(file, generator)
    return found


def edit(
    generator: Generator,
    ws: Tensor,
    changes: Mapping[Direction | str, float],
    *,
    layers: str = "all",
    truncation_psi: float = 1.0,
    directions: Directions | None = None,
) -> Tensor:
    """Latents moved along directions.

    Args:
        generator: the generator whose latents they are.
        ws: [N, num_ws, w_dim], sampled or found by an inversion.
        changes: a strength for each direction, or name of one: 1 is a standard deviation.
        layers: layers that are moved, see :func:`styleloom.mix`.
        truncation_psi: then pull them towards the mean w: 1 leaves them, 0 is the mean, below 0 its other side.
        directions: by name; the zoo's by default.

    Returns:
        [N, num_ws, w_dim].

    Raises:
        StyleLoomError: an unknown direction, one of another generator, or latents of another shape.

    Source: Shen et al. 2020 ("InterFaceGAN"), Section 3.3.
    """
    check_ws(ws, generator.num_ws)
    named = [each for each in changes if isinstance(each, str)]
    known = (directions if directions is not None else directions_of(generator)) if named else {}
    chosen = layer_range(layers, generator.num_ws)
    moves = []
    for each, strength in changes.items():
        if isinstance(each, str):
            if each not in known:
                have = f"there are {', '.join(known)}" if known else "there are none for this generator: styleloom directions fit"
                raise StyleLoomError(f"no direction {each!r}; {have}")
            each = known[each]
        check_made_for(f"the direction {each.name}", each.generator, generator)
        moves.append((each.in_layers(chosen), strength))
    Range(-10, 10).check("truncation_psi", truncation_psi)
    moved = papers.edited(ws, moves)
    return truncated(moved, generator.w_avg, truncation_psi)


def express(
    generator: Generator, ws: Tensor, neutral: Tensor, expressive: Tensor, strength: float = 1.0, *, layers: str = "all"
) -> Tensor:
    """Expression transfer: w1 + t (w3 - w2), in some layers.

    Args:
        generator: the generator whose latents they are.
        ws: [N, num_ws, w_dim] of the face that gets the expression.
        neutral, expressive: [1 or N, num_ws, w_dim] of another face without it and with it.
        strength: t; 0 changes nothing.
        layers: layers that are moved, see :func:`styleloom.mix`.

    Returns:
        [N, num_ws, w_dim].

    Raises:
        StyleLoomError: latents of different shapes, or layers that are not there.

    Source: Abdal et al. 2019 ("Image2StyleGAN"), Section 4.3.
    """
    for each in (ws, neutral, expressive):
        check_ws(each, generator.num_ws)
    Range().check("strength", strength)
    return mix(ws, ws + strength * (expressive - neutral), layers)


def cross(generator: Generator, content: Tensor, style: Tensor, layers: str = "coarse") -> Tensor:
    """Style transfer between latents: the content's ws in some layers, the style's in all others.

    Args:
        generator: the generator whose latents they are.
        content, style: [1 or N, num_ws, w_dim] each.
        layers: the content's, see :func:`styleloom.mix`.

    Returns:
        [N, num_ws, w_dim].

    Raises:
        StyleLoomError: latents of different shapes, or layers that are not there.

    Source: Abdal et al. 2019 ("Image2StyleGAN"), Section 4.2.
    """
    check_ws(content, generator.num_ws)
    return mix(style, content, layers)


def splits(generator: Generator, content: Tensor, style: Tensor) -> Tensor:
    """All ways to cross two latents at one layer: [num_ws + 1, num_ws, w_dim], of the first 0 to all layers the content's."""
    check_ws(content, generator.num_ws)
    check_ws(style, generator.num_ws)
    place = torch.arange(generator.num_ws, device=content.device)
    return torch.cat([torch.where((place < split)[:, None], content, style) for split in range(generator.num_ws + 1)])


def morph(
    generator: Generator,
    *stations: Tensor,
    frames: int = 48,
    even: bool = True,
    easing: str = "none",
    loop: bool = False,
    noise: Sequence[Sequence[Tensor]] = (),
    features: Features | None = None,
) -> Iterator[tuple[Tensor, tuple[Tensor, ...]]]:
    """On the way from latents to latents, by convex combinations w = (1 - t) w1 + t w2.

    Args:
        generator: the generator whose latents they are.
        stations: [1, num_ws, w_dim] each, two or more.
        frames: number of frames from one to the next.
        even: choose t so that neighboring images are equally far from each other in feature distance.
        easing: ``"smooth"`` slows down at each station; not with ``even``.
        loop: go back to the first.
        noise: noise maps of each station, which go along.
        features: features that distances are measured by, instead of the bundled network's.

    Yields:
        ws [1, num_ws, w_dim] and noise maps, frame by frame; the last is the last station, or the one before the first again.

    Raises:
        StyleLoomError: fewer than two stations, no frames, or latents of another shape.

    Source: Abdal et al. 2019 ("Image2StyleGAN"), Section 4.1; ``even`` is ours.
    """
    check_choice("easing", easing, EASINGS)
    if even and easing != "none":
        raise StyleLoomError("even steps have no easing; choose one of both")
    if len(stations) < 2 or frames < 1:
        raise StyleLoomError(f"{len(stations)} latents and {frames} frames between; wanted at least 2 latents and 1 frame")
    for each in stations:
        check_ws(each, generator.num_ws)
        if len(each) != 1:
            raise StyleLoomError(f"a station of {len(each)} latents; give one each")
    maps = list(noise) if any(noise) else [()] * len(stations)
    maps = [each or tuple(own[None, None] for own in generator.noise_maps) for each in maps] if any(noise) else maps
    network = (features or load_features(EMBEDDED)).prepare(generator.device, torch.float32) if even else None
    ways = list(zip(stations, maps, strict=True))
    ways = [*ways, ways[0]] if loop else ways

    for (first, first_noise), (second, second_noise) in pairwise(ways):
        shares = [frame / frames for frame in range(frames)]
        if network is not None:
            shares = _even_shares(generator, first, second, frames, network)
        elif easing == "smooth":
            shares = [share * share * (3 - 2 * share) for share in shares]
        for share in shares:
            noise_there = tuple(a.lerp(b, share) for a, b in zip(first_noise, second_noise, strict=True))
            yield first.lerp(second, share), noise_there
    if not loop:
        yield stations[-1], tuple(maps[-1])


@torch.no_grad()
def _even_shares(generator: Generator, first: Tensor, second: Tensor, frames: int, network: Features) -> list[float]:
    """``frames`` shares of a way, from 0, that cut it into parts of equal feature distance."""
    fine = FINE * frames
    shares = torch.linspace(0, 1, fine + 1, device=first.device)
    steps: list[Tensor] = []
    last = None
    for part in shares.split(BATCH):
        images = to_image(generator.synthesis(first.lerp(second, part[:, None, None]), noise_mode="const"))
        images = images if last is None else torch.cat([last, images])
        steps.append(perceptual_distances(network, images[:-1], images[1:], LAYERS).sqrt())
        last = images[-1:]
    gone = torch.cat([torch.zeros(1), torch.cat(steps).cpu().cumsum(0)])
    if not float(gone[-1]) > 0:
        return [frame / frames for frame in range(frames)]
    asked = torch.arange(frames) / frames * gone[-1]
    after = torch.searchsorted(gone, asked, right=True).clamp(1, fine)
    low, high = gone[after - 1], gone[after]
    place = (after - 1 + (asked - low) / (high - low).clamp(min=1e-12)) / fine
    return place.tolist()
