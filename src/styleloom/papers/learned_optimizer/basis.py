"""Eigenbasis of a generator for the objective of an inversion, and descent maps along it: closed forms that take minutes.

Adam and learned optimizers take their steps in the eigenbasis; ``loom_any.py`` follows the maps too. Both go into one file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from styleloom.core import checkpoint
from styleloom.core.errors import StyleLoomError, check_seeds
from styleloom.core.memory import available
from styleloom.core.progress import Progress
from styleloom.core.settings import Range
from styleloom.loops import eigenbasis
from styleloom.loops.eigenbasis import Eigenbasis, Estimate
from styleloom.nn.generators import Generator, check_classless
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import load_features
from styleloom.papers.image2stylegan.objective import COMPARED_SIDE, LAYERS, Weights

from . import supervised
from .supervised import SupervisedDescent

WEIGHTS = Weights()
MEMORY = 4.0  # GiB
LARGEST_BATCH = 16
BYTES = 48  # that a backward pass holds for each number of a generator's feature maps, measured at 256 and 1024 px
FIXED = 2**29  # bytes of the program and its libraries
SAMPLES, IMAGES = 1_000, 2_000  # backward passes of a basis, and images of its descent maps
LARGE, FEWER = 128, 640  # px; of larger generators so many of both
PASS = 5  # images rendered in the time of a backward pass
MAPS = "maps."  # prefix of their tensors in a file


def bytes_of_image(generator: Generator, side: int) -> int:
    """Estimate the memory of a backward pass through one image of ``side`` pixels, in bytes."""
    widths: dict[int, int] = getattr(generator.synthesis, "widths", {})
    stops = generator.layers_up_to(side) < generator.num_ws
    return BYTES * sum(width * r**2 for r, width in widths.items() if r <= side or not stops)


def batch_for(generator: Generator, side: int, memory: float) -> int:
    """Choose the number of images that a basis is made of at once.

    Args:
        generator: generator of any size.
        side: side at which images are compared.
        memory: GiB to stay within.

    Raises:
        StyleLoomError: the memory is too little for a single image, or more than is free.
    """
    one = bytes_of_image(generator, side)
    least = (FIXED + max(one, bytes_of_image(generator, generator.resolution))) / 2**30
    free = available()
    for there, what in ((memory, "memory is"), (free / 2**30 if free else memory, "free memory is")):
        if there < least:
            raise StyleLoomError(
                f"{what} {there:.1f} GiB; an image of this generator, {generator.resolution} px, takes about {least:.1f}: "
                "it needs at least that"
            )
    return int(min(LARGEST_BATCH, max(1, (memory * 2**30 - FIXED) // max(1, one))))


def samples_of(generator: Generator) -> int:
    """Number of backward passes of a generator's basis."""
    return SAMPLES if generator.resolution <= LARGE else FEWER


def images_of(generator: Generator) -> int:
    """Number of images of a generator's descent maps."""
    return IMAGES if generator.resolution <= LARGE else FEWER


def estimate_basis(
    generator: Generator,
    *,
    samples: int | None = None,
    keep: int = 0,
    weights: Weights = WEIGHTS,
    seed: int = 0,
    features: Features | None = None,
    compared_side: int = COMPARED_SIDE,
    memory: float = MEMORY,
    state: Path | None = None,
) -> Iterator[Estimate]:
    """Estimate the directions of a latent space that its images depend on most, a batch at a time.

    Args:
        generator: generator whose latent space is examined.
        samples: backward passes; 1,000 by default, or 640 over 128 px. The basis has no more directions than that.
        keep: number of leading directions to keep; 0 keeps all.
        weights: weights of pixels and features in the objective.
        seed: seed of the random residuals.
        features: perceptual network to use instead of the bundled one.
        compared_side: side at which images are compared.
        memory: GiB to stay within, by taking fewer images at once.
        state: a file to keep the estimate in; when it is there, the estimate goes on from it exactly.

    Yields:
        :class:`~styleloom.loops.eigenbasis.Estimate` after each batch, with the basis at the end.

    Raises:
        StyleLoomError: numbers out of range, a generator of several classes, too little memory, or the state of another estimate.
    """
    check_seeds([seed])
    samples = samples_of(generator) if samples is None else samples
    Range(2, 10**7).check("samples", samples)
    Range(0, 10**6).check("keep", keep)
    Range(16).check("compared_side", compared_side)
    check_classless(generator)
    side = min(compared_side, generator.resolution)
    batch = batch_for(generator, side, memory)
    perceptual = (features if features is not None else load_features()).prepare(generator.device, torch.float32)
    outputs = eigenbasis.residuals(perceptual, list(LAYERS), weights.pixel_weight, weights.perceptual_weight / len(LAYERS))
    settings = [asdict(weights), features is None]
    options = dict(keep=keep or None, samples=samples, seed=seed, side=side, settings=settings)
    yield from eigenbasis.eigenbasis(generator, outputs, batch=min(batch, samples), state=state, **options)  # type: ignore[arg-type]


def make_basis(generator: Generator, **options: object) -> Eigenbasis:
    """Estimate the basis and return it: the plain form of :func:`estimate_basis`, with the same arguments and errors.

    Its vectors are [L, K], L being num_ws * w_dim, or less where images are compared at a lower resolution.

    Args:
        generator: generator whose latent space is examined.
        options: options of :func:`estimate_basis`.

    Raises:
        StyleLoomError: numbers out of range, or too little memory.
    """
    *_, last = estimate_basis(generator, **options)  # type: ignore[arg-type]
    assert last.basis is not None
    return last.basis


@dataclass(frozen=True)
class Preparation(Progress):
    """Progress of :func:`prepare`.

    Attributes:
        title: the part that is being made.
        basis, maps: both, at the end.
        trace: the sum of all eigenvalues, once the basis is there.
    """

    title: str = ""
    basis: Eigenbasis | None = None
    maps: SupervisedDescent | None = None
    trace: float = 0.0


def prepare(
    generator: Generator, path: Path, *, license: str = "unknown", compared_side: int = COMPARED_SIDE, **options: object
) -> Iterator[Preparation]:
    """Make what an optimizer of any generator needs of this one: its eigenbasis and descent maps, in one file.

    A second call goes on where the first was stopped.

    Args:
        generator: generator of any paper and size, without classes.
        path: ``.safetensors`` to write. Until it is there, the states of both are beside it.
        license: what the file may be used for, noted in it.
        compared_side: side at which images are compared.
        options: options of :func:`estimate_basis`.

    Yields:
        :class:`Preparation` after each batch, and with both at the end.

    Raises:
        StyleLoomError: as :func:`estimate_basis`.
    """
    state, features, seconds = path.with_suffix(".state"), path.with_suffix(".maps.state"), 0.0
    images = images_of(generator)
    for estimate in estimate_basis(generator, compared_side=compared_side, state=state, **options):  # type: ignore[arg-type]
        seconds, passes = estimate.seconds, PASS * estimate.total
        total = passes + supervised.total_of(images)
        yield Preparation(PASS * estimate.index, total, {}, seconds, "eigenbasis")
    basis = estimate.basis
    assert basis is not None
    network = load_features().prepare(generator.device, torch.float32)
    side = min(compared_side, generator.resolution)
    for fit in supervised.fit(generator, basis, network, samples=images, side=side, state=features):
        yield Preparation(passes + fit.index, total, {}, seconds + fit.seconds, "descent maps")
    save(path, basis, fit.descent, license)
    for file in (state, features):
        file.unlink(missing_ok=True)
    yield Preparation(total, total, {}, seconds + fit.seconds, "", basis, fit.descent, estimate.trace)


def save(path: Path, basis: Eigenbasis, maps: SupervisedDescent | None, license: str = "unknown") -> None:
    """Write an eigenbasis, and descent maps along it, as one model file."""
    tensors = {} if maps is None else {f"{MAPS}{name}": value.half() for name, value in maps.state_dict().items()}
    basis.save(path, license, tensors)


def load_maps(name: str | Path) -> SupervisedDescent | None:
    """The descent maps of an eigenbasis' file; None where it has none.

    Raises:
        StyleLoomError: no such file, one of another kind, or a damaged one.
    """
    tensors, config = checkpoint.read_model(name, eigenbasis.KIND)
    own = {key.removeprefix(MAPS): value.float() for key, value in tensors.items() if key.startswith(MAPS)}
    if not own:
        return None
    with checkpoint.rebuilding(name):
        (features, components), size = own["projection"].shape, own["maps"].shape[2]
        maps = SupervisedDescent(size, features, components, config["generator"])
        maps.load_state_dict(own)
    return maps
