"""Tools that were made for a generator: encoder, eigenbasis, learned optimizer; and how to make them for one that has none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from styleloom.core import checkpoint
from styleloom.core.errors import StyleLoomError
from styleloom.core.files import cache_folder, check_folder
from styleloom.loops.eigenbasis import KIND as BASIS
from styleloom.loops.eigenbasis import Eigenbasis
from styleloom.loops.eigenbasis import load as load_basis
from styleloom.nn.generators import Generator, check_made_for, generator_id
from styleloom.nn.layers import placed
from styleloom.nn.vgg_files import load_features
from styleloom.papers import indomain, learned_optimizer
from styleloom.papers.image2stylegan.objective import COMPARED_SIDE
from styleloom.papers.learned_optimizer import Loom, LoomAny, Network, SupervisedDescent, basis, supervised
from styleloom.papers.learned_optimizer.basis import Preparation, estimate_basis, load_maps

LOOM_ANY = "loom-any"
"""The zoo's learned optimizer of any generator that has an eigenbasis."""


@dataclass(frozen=True)
class Tools:
    """Tools that were made for a generator.

    Attributes:
        encoder: reads latents off images.
        basis: eigenvectors of its latent space.
        learned: a learned optimizer.
        maps: descent maps along the basis.
    """

    encoder: indomain.Encoder | None = None
    basis: Eigenbasis | None = None
    learned: Network | None = None
    maps: SupervisedDescent | None = None


def tools_of(
    generator: Generator,
    *,
    encoder: str | Path | None = None,
    basis: str | Path | None = None,
    learned: str | Path | None = None,
) -> Tools:
    """Find the tools of a generator: the named ones, else the zoo's, else an eigenbasis that was made for it before.

    Args:
        generator: a generator of any paper, whose ws are [N, num_ws, w_dim].
        encoder, basis, learned: names in the zoo, paths or ``hf://owner/repo/file``.

    Raises:
        StyleLoomError: no such model, one of another kind, one made for another generator, or an optimizer of any generator
            where there is no eigenbasis.
    """
    models = checkpoint.made_for(generator_id(generator))
    shipped = {kind: model for model, kind, config in models if config.get("network", "loom") == "loom"}
    named = {indomain.KIND: encoder, BASIS: basis, learned_optimizer.KIND: learned}
    for name in named.values():
        if name is not None:
            check_made_for(str(name), checkpoint.read_config(name)[1].get("generator", ""), generator)
    reader, directions, network = (name or shipped.get(kind) for kind, name in named.items())
    kept = basis_path(generator)
    if directions is None and kept.exists() and _is_whole(kept):
        directions = kept
    if network is None and directions is not None and LOOM_ANY in checkpoint.zoo_names():
        network = LOOM_ANY
    optimizer = learned_optimizer.load(network) if network else None
    # A loom brings the basis that it was trained in; the bundled one does where the one that is named is no loom.
    bundled = shipped.get(learned_optimizer.KIND)
    loom = optimizer if isinstance(optimizer, Loom) or not bundled else learned_optimizer.load(bundled)
    found = load_basis(directions) if directions else loom.basis if isinstance(loom, Loom) else None
    maps = load_maps(directions) if directions else None
    if isinstance(optimizer, LoomAny):
        if found is None:
            raise StyleLoomError(
                f"{network} wants an eigenbasis of this generator, and there is none; make one: styleloom invert --make-basis"
            )
        optimizer = optimizer.bound(generator, found, maps)
    return Tools(indomain.load(reader) if reader else None, found, optimizer, maps)


def _is_whole(kept: Path) -> bool:
    """Whether a kept basis can be read, by its header, which has the file's length; a damaged one is made anew."""
    try:
        return checkpoint.read_config(kept)[0] == BASIS
    except StyleLoomError:
        return False


def basis_path(generator: Generator) -> Path:
    """Path at which the eigenbasis and descent maps of a generator are kept, once they are made."""
    return cache_folder() / "bases" / f"{generator_id(generator)}.safetensors"


def prepare(generator: Generator, **options: object) -> Iterator[Preparation]:
    """Make the eigenbasis and descent maps of a generator and keep them for every inversion with it; at once where they are kept.

    Args:
        generator: a generator of any paper and size, without classes, whose ws are [N, num_ws, w_dim].
        options: options of :func:`~styleloom.papers.learned_optimizer.basis.estimate_basis`.

    Yields:
        :class:`~styleloom.papers.learned_optimizer.basis.Preparation` after each batch, with both at the end.

    Raises:
        StyleLoomError: a generator with classes, or too little memory.
    """
    path = basis_path(generator)
    if path.exists() and _is_whole(path):
        yield Preparation(1, 1, {}, 0.0, "", load_basis(path), load_maps(path))
        return
    check_folder(path.parent)
    frozen = placed(generator, generator.device, frozen=True)
    yield from basis.prepare(frozen, path, **options)  # type: ignore[arg-type]


def seconds_to_prepare(generator: Generator) -> float:
    """Estimate how long :func:`prepare` takes for a generator of ws [N, num_ws, w_dim], from a batch of each of its parts."""
    frozen = placed(generator, generator.device, frozen=True)
    side = min(COMPARED_SIDE, frozen.resolution)
    batch = basis.batch_for(frozen, side, basis.MEMORY)
    passes = estimate_basis(frozen, samples=2 * batch)
    next(passes)  # networks are loaded in the first one
    began = time.perf_counter()
    next(passes)
    seconds = (time.perf_counter() - began) / batch
    network = load_features().prepare(frozen.device, torch.float32)
    ws = frozen.w_avg.expand(supervised.BATCH, frozen.num_ws, -1)
    with torch.no_grad():
        began = time.perf_counter()
        supervised.features_of(frozen, ws, network, side)
        forward = (time.perf_counter() - began) / len(ws)
    return basis.samples_of(generator) * seconds + supervised.total_of(basis.images_of(generator)) * forward


def eigenbasis(generator: Generator, **options: object) -> Eigenbasis:
    """Compute the directions of a generator's latent space that its images depend on most: the plain form of :func:`prepare`.

    They are kept: later calls of :func:`styleloom.invert`, and all edits of photographs, take them up by themselves.

    Args:
        generator: a generator of any paper and size, without classes, whose ws are [N, num_ws, w_dim].
        options: ``samples`` (backward passes; 1,000, or 640 over 128 px), ``keep`` (directions; 0: all), ``memory`` (GiB to stay
            within; 4) and ``compared_side`` (pixels a side at which images are compared; 256).

    Returns:
        Its :class:`~styleloom.loops.eigenbasis.Eigenbasis`: vectors [L, K], eigenvalues and the prior's spread.

    Raises:
        StyleLoomError: a generator with classes, numbers out of range, or too little memory.
    """
    *_, last = prepare(generator, **options)
    assert last.basis is not None
    return last.basis
