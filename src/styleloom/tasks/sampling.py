"""Uses of a generator: style mixing, walks through the latent space, and figures of what it has learned."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.data import images
from styleloom.nn.generators import Generator, latents, slerp, to_image

LAYERS = {"coarse": (0, 4), "middle": (4, 8), "fine": (8, None)}
"""Layers by what they decide, as in StyleGAN's Section 3.1: those of 4-8 px, of 16-32 px, and from 64 px up."""
SPACES = ("w", "z")


def layer_range(layers: str, num_ws: int) -> range:
    """``"coarse"``, ``"middle"``, ``"fine"``, ``"all"``, ``"5"`` or ``"0-3"`` as indices of ``num_ws`` layers.

    Raises:
        StyleLoomError: another text, or layers that the generator has not.
    """
    if layers == "all":
        return range(num_ws)
    if layers in LAYERS:
        first, end = LAYERS[layers]
        if first >= num_ws:
            raise StyleLoomError(f"{layers} layers begin at {first}, and this generator has 0-{num_ws - 1}; choose others")
        return range(first, min(num_ws, end or num_ws))
    if not (match := re.fullmatch(r"(\d+)(?:-(\d+))?", layers)):
        raise StyleLoomError(f"unknown layers {layers!r}; use {', '.join(LAYERS)}, all, or numbers as 0-3")
    first, last = int(match[1]), int(match[2] or match[1])
    if not first <= last < num_ws:
        raise StyleLoomError(f"layers {layers} are not there; this generator has 0-{num_ws - 1}")
    return range(first, last + 1)


def mix(first: Tensor, second: Tensor, layers: str = "coarse") -> Tensor:
    """Style mixing: the second's ws in some layers, the first's in the others.

    Args:
        first: [1 or N, num_ws, w_dim].
        second: [1 or N, num_ws, w_dim].
        layers: ``"coarse"``, ``"middle"``, ``"fine"``, ``"all"``, or numbers such as ``"0-3"``.

    Returns:
        [N, num_ws, w_dim].

    Raises:
        StyleLoomError: layers that are not there, or latents of different shapes.
    """
    shapes = [list(each.shape) for each in (first, second)]
    fits = first.ndim == second.ndim == 3 and first.shape[1:] == second.shape[1:]
    if not fits or (len(first) != len(second) and 1 not in (len(first), len(second))):
        raise StyleLoomError(
            f"latents {shapes[0]} and {shapes[1]} do not fit each other; wanted [N, num_ws, w_dim] of one generator"
        )
    chosen = layer_range(layers, first.shape[1])
    first, second = torch.broadcast_tensors(first, second)
    mixed = first.clone()
    mixed[:, chosen.start : chosen.stop] = second[:, chosen.start : chosen.stop]
    return mixed


def mixing_rows(
    generator: Generator,
    rows: Sequence[int],
    columns: Sequence[int],
    layers: str = "coarse",
    classes: int | None = None,
    *,
    truncation_psi: float = 0.7,
    noise_mode: str = "const",
) -> list[Tensor]:
    """StyleGAN's Figure 3, row by row: sources down and across, and where they meet the column's with styles of the row's.

    Args:
        generator: a generator of any paper that has styles.
        rows: seeds that give ``layers``.
        columns: seeds that give the other layers.
        layers: see :func:`mix`.
        classes: class of all images, in networks that have them.
        truncation_psi, noise_mode: see :meth:`~styleloom.nn.generators.Generator.map`.

    Returns:
        ``1 + len(rows)`` tensors [1 + len(columns), 3, H, W] in [0, 1]; the first image of the first is white.

    Raises:
        StyleLoomError: a generator without styles, or what :func:`mix` refuses.
    """
    if generator.num_ws == 1:
        raise StyleLoomError("this generator has one w for all of its layers, so there is nothing to mix")
    down = generator.map(rows, classes, truncation_psi=truncation_psi)
    across = generator.map(columns, classes, truncation_psi=truncation_psi)

    def draw(ws: Tensor, seeds: Sequence[int]) -> Tensor:
        return torch.cat(list(generator.render(ws, noise_mode=noise_mode, seeds=seeds))).cpu()

    top = draw(across, columns)
    strips = [torch.cat([torch.ones_like(top[:1]), top])]
    for ws, source in zip(down.split(1), draw(down, rows).split(1), strict=True):
        strips.append(torch.cat([source, draw(mix(across, ws, layers), columns)]))
    return strips


def truncation_sheet(
    generator: Generator,
    seeds: Sequence[int],
    psis: Sequence[float],
    classes: int | None = None,
    *,
    truncation_cutoff: int | None = None,
    noise_mode: str = "const",
) -> Tensor:
    """A row a seed, a column a truncation (StyleGAN's Figure 8): [1, 3, H, W] in [0, 1]."""
    rows = []
    for seed in seeds:
        options = dict(truncation_cutoff=truncation_cutoff)
        ws = torch.cat([generator.map([seed], classes, truncation_psi=psi, **options) for psi in psis])
        rows.append(torch.cat(list(generator.render(ws, noise_mode=noise_mode, seeds=[seed] * len(psis)))))
    return images.grid(rows)


@torch.no_grad()
def walk(
    generator: Generator,
    seeds: Sequence[int],
    classes: int | None = None,
    *,
    frames: int = 48,
    space: str = "w",
    loop: bool = True,
    truncation_psi: float = 0.7,
    truncation_cutoff: int | None = None,
) -> Iterator[Tensor]:
    """Latents on the way from seed to seed.

    Args:
        generator: a generator of any paper.
        seeds: at least two.
        classes: class of all images, in networks that have them.
        frames: number of frames from one seed to the next.
        space: ``"w"`` goes straight through w, ``"z"`` along the sphere in z.
        loop: come back to the first seed; otherwise end at the last.
        truncation_psi, truncation_cutoff: see :meth:`~styleloom.nn.generators.Generator.map`.

    Yields:
        ws [1, num_ws, w_dim], frame by frame.

    Raises:
        StyleLoomError: fewer than two seeds, no frames, or another space.
    """
    check_choice("space", space, SPACES)
    if len(seeds) < 2 or frames < 1:
        raise StyleLoomError(f"{len(seeds)} seeds and {frames} frames between; wanted at least 2 seeds and 1 frame")
    c = generator.one_hot(classes, 1)
    z = latents(seeds, generator.z_dim).to(generator.device).split(1)
    stations = [*z, z[0]] if loop else list(z)

    def mapped(each: Tensor) -> Tensor:
        ws: Tensor = generator.mapping(each, c, truncation_psi, truncation_cutoff)
        return ws

    at = [mapped(each) for each in stations] if space == "w" else stations
    for start, end in pairwise(at):
        for frame in range(frames):
            share = frame / frames
            yield start.lerp(end, share) if space == "w" else mapped(slerp(start, end, share))
    if not loop:
        yield at[-1] if space == "w" else mapped(at[-1])


@torch.no_grad()
def mean_image(generator: Generator, *, noise_mode: str = "const") -> Tensor:
    """The image of the mean w, the generator's "mean face": [1, 3, H, W] in [0, 1]."""
    return next(generator.render(generator.w_avg.expand(1, generator.num_ws, -1), noise_mode=noise_mode))


@torch.no_grad()
def noise_figure(
    generator: Generator, seed: int, classes: int | None = None, *, truncation_psi: float = 0.7, draws: int = 32
) -> Tensor:
    """Figure of the effect of noise (StyleGAN's Figures 4 and 5): [1, 3, H, W] in [0, 1].

    Above, the image with noise in all layers, in none, and in those of each resolution alone, from 4 px up; below, of
    each the spread over ``draws`` noises, bright where it is large.

    Raises:
        StyleLoomError: a generator without noise.
    """
    sides = generator.noise_sides
    if not sides:
        raise StyleLoomError(f"this {type(generator).__module__.split('.')[-2]} generator has no noise")
    ws = generator.map([seed], classes, truncation_psi=truncation_psi)
    alone = [{index for index, each in enumerate(sides) if each == side} for side in sorted(set(sides))]
    chosen = [set(range(len(sides))), set(), *alone]
    random = torch.Generator().manual_seed(seed)
    above, below = [], []
    for layers in chosen:
        drawn = []
        for _ in range(draws if layers else 1):
            maps = [torch.randn(1, 1, side, side, generator=random) * (i in layers) for i, side in enumerate(sides)]
            maps = [each.to(generator.device) for each in maps]
            drawn.append(to_image(generator.synthesis(ws, noise=maps)))
        several = torch.cat(drawn)
        above.append(several[:1])
        below.append(several.std(0, correction=0, keepdim=True).mean(1, keepdim=True).expand(-1, 3, -1, -1))
    brightest = max(float(each.max()) for each in below) or 1.0
    return images.grid([torch.cat(above), torch.cat(below) / brightest])
