"""Photographs into a generator's latent space, with whatever was trained for that generator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .blocks import checkpoint, eigenbasis
from .blocks.data import squared
from .blocks.eigenbasis import Eigenbasis
from .blocks.errors import StyleLoomError, check_choice
from .blocks.features import Features
from .blocks.generators import Generator, identity
from .blocks.metrics import perceptual_distances, psnr, ssim
from .convert.vgg import EMBEDDED, load_features
from .papers import image2stylegan, indomain, learned_optimizer
from .papers.image2stylegan import LAYERS, OPTIMIZERS, Config, Step
from .papers.learned_optimizer_networks import Loom, Network

LATENTS = "latents"
CHOICES = ("auto", "learned", *OPTIMIZERS)


@dataclass(frozen=True)
class Tools:
    """What was made for a generator, as far as there is.

    Attributes:
        encoder: reads latents off pictures.
        basis: eigenvectors of its latent space.
        learned: a learned optimizer.
    """

    encoder: indomain.Encoder | None = None
    basis: Eigenbasis | None = None
    learned: Network | None = None


def tools_of(
    generator: Generator,
    *,
    encoder: str | Path | None = None,
    basis: str | Path | None = None,
    learned: str | Path | None = None,
) -> Tools:
    """What is named, and else what the zoo has for this generator.

    Args:
        generator: of any paper.
        encoder, basis, learned: names in the zoo, paths or ``hf://owner/repo/file``.

    Raises:
        StyleLoomError: no such model, one of another kind, or one made for another generator.
    """
    own = identity(generator)
    shipped: dict[str, str] = {}
    for model in checkpoint.zoo_names():
        kind, config = checkpoint.read_config(model)
        if config.get("generator") == own and config.get("network", "loom") == "loom":
            shipped[kind] = model
    named = {indomain.KIND: encoder, eigenbasis.KIND: basis, learned_optimizer.KIND: learned}
    for name in named.values():
        if name is not None and checkpoint.read_config(name)[1].get("generator", own) not in ("", own):
            raise StyleLoomError(f"{name} was made for another generator, whose latents mean something else; make one for this")
    reader, directions, network = (name or shipped.get(kind) for kind, name in named.items())
    optimizer = learned_optimizer.load(network) if network else None
    return Tools(
        indomain.load(reader) if reader else None,
        # A loom brings the basis that it was trained in.
        eigenbasis.load(directions) if directions else optimizer.basis if isinstance(optimizer, Loom) else None,
        optimizer,
    )


@dataclass(frozen=True)
class Inversion:
    """Latents that were found, and how good they are.

    Attributes:
        ws: [N, num_ws, w_dim].
        image: [N, 3, R, R] in [0, 1], the pictures of these.
        target: [N, 3, R, R], what was asked for.
        losses: [steps + 1, N], of every step; what has come to rest keeps its last.
        metrics: ``psnr`` in dB, ``ssim``, ``distance`` (of features of unit length, vgg19-lite) and ``left``, the share of the
            mean picture's loss that is left: [N] each.
        noise: noise maps [N, 1, H, W], where they were descended on.
        optimizer: that was used.
        seconds: that it took.
    """

    ws: Tensor
    image: Tensor
    target: Tensor
    losses: Tensor
    metrics: dict[str, Tensor]
    noise: tuple[Tensor, ...] = ()
    optimizer: str = ""
    seconds: float = 0.0


def optimizer_for(config: Config, tools: Tools) -> str:
    """The optimizer that is meant: for "auto" the best that there is for the generator and space.

    Raises:
        StyleLoomError: an unknown one, or a learned one where there is none.
    """
    check_choice("optimizer", config.optimizer, CHOICES)
    if config.optimizer == "learned" and tools.learned is None:
        raise StyleLoomError(
            "there is no learned optimizer for this generator; train one with: styleloom train learned-optimizer, "
            "or use adam or adam-eigenbasis"
        )
    if config.optimizer != "auto":
        return config.optimizer
    if config.space == "w_plus" and tools.learned is not None:
        return "learned"
    return "adam-eigenbasis" if config.space == "w_plus" and tools.basis is not None else "adam"


def steps(generator: Generator, targets: Tensor, config: Config, tools: Tools | None = None, **options: Any) -> Iterator[Step]:
    """Invert one batch of pictures, a step at a time.

    Args:
        generator: of any paper, without classes.
        targets: [N, 3, H, W] in [0, 1]; the square in the middle is taken.
        config: its ``optimizer`` may also be "learned" or "auto".
        tools: from :func:`tools_of`, which is asked unless told.
        options: ``masks``, ``features``, ``init`` and ``state`` of :func:`styleloom.papers.image2stylegan.steps`.

    Yields:
        :class:`~styleloom.papers.image2stylegan.Step`.

    Raises:
        StyleLoomError: what either refuses.
    """
    tools = tools or tools_of(generator)
    name = optimizer_for(config, tools)
    if options.get("masks") is not None:
        options["masks"] = framed(options["masks"], generator.resolution)
    encoder = tools.encoder.to(generator.device) if tools.encoder is not None else None
    factory = learned_optimizer.factory(tools.learned) if name == "learned" and tools.learned is not None else None
    yield from image2stylegan.steps(
        generator,
        framed(targets, generator.resolution),
        replace(config, optimizer=name),
        optimizer=factory,
        basis=tools.basis.to(generator.device) if tools.basis is not None else None,
        encoder=(lambda picture: encoder.encode(generator, picture)) if encoder is not None else None,
        **options,
    )


def framed(pictures: Tensor, side: int) -> Tensor:
    """The squares in the middle of pictures [N, 3, H, W], ``side`` px wide; what is no picture is left to others to refuse."""
    if pictures.ndim != 4:
        return pictures
    return torch.stack([squared(picture, side) for picture in pictures])


def invert(
    generator: Generator,
    pictures: Tensor,
    preset: str = "default",
    *,
    tools: Tools | None = None,
    masks: Tensor | None = None,
    features: Features | None = None,
    **settings: Any,
) -> Inversion:
    """Find latents whose pictures are those that are given.

    Args:
        generator: of any paper, without classes.
        pictures: [N, 3, H, W] in [0, 1]; the square in the middle is taken. Frame them as the generator's own pictures are.
        preset: of :data:`~styleloom.papers.image2stylegan.PRESETS`.
        tools: encoder, eigenbasis and learned optimizer; the zoo's, where it has some for this generator.
        masks: [N or 1, 1, H, W] in [0, 1]: where pictures are compared; everywhere unless told.
        features: perceptual network, instead of the bundled one.
        settings: of :class:`~styleloom.papers.image2stylegan.Config`; ``optimizer`` is "auto" unless told: learned, if there is
            one.

    Raises:
        StyleLoomError: no picture, unknown settings, or what an optimizer refuses.

    Source: the modules of ``papers`` that do it name theirs.
    """
    config = image2stylegan.configure(preset, **{"optimizer": "auto", **settings})
    tools = tools or tools_of(generator)
    parts = []
    for start in range(0, len(pictures), config.batch):
        chosen = slice(start, start + config.batch)
        mask = None if masks is None else masks if len(masks) == 1 else masks[chosen]
        loop = steps(generator, pictures[chosen], config, tools, masks=mask, features=features)
        parts.append(outcome(generator, pictures[chosen], list(loop), optimizer_for(config, tools)))
    if not parts:
        raise StyleLoomError("no picture to invert; give at least one")
    return joined(parts)


def outcome(generator: Generator, targets: Tensor, found: list[Step], optimizer: str) -> Inversion:
    """What the steps of one batch came to, measured."""
    last, target = found[-1], framed(targets.to(generator.device), generator.resolution)
    image = last.image
    with torch.no_grad():
        mean = generator.synthesis(generator.w_avg.expand(1, generator.num_ws, -1), noise_mode="const").add(1).div(2).clamp(0, 1)
    network = load_features(EMBEDDED).prepare(generator.device, torch.float32)
    pairs = list(zip(image.split(1), target.split(1), strict=True))
    blank = (mean - target).square().mean((1, 2, 3))
    metrics = dict(
        psnr=torch.tensor([psnr(*pair) for pair in pairs]),
        ssim=torch.tensor([ssim(*pair) for pair in pairs]),
        distance=perceptual_distances(network, image, target, LAYERS).cpu(),
        left=((image - target).square().mean((1, 2, 3)) / blank.clamp(min=1e-12)).cpu(),
    )
    losses = torch.stack([step.each for step in found])
    return Inversion(last.ws, image, target, losses, metrics, last.noise, optimizer, last.seconds)


def joined(parts: list[Inversion]) -> Inversion:
    """Batches as one; those that ended sooner keep their last losses."""
    longest = max(len(part.losses) for part in parts)
    losses = [torch.cat([part.losses, part.losses[-1:].expand(longest - len(part.losses), -1)]) for part in parts]
    names = parts[0].metrics
    return Inversion(
        torch.cat([part.ws for part in parts]),
        torch.cat([part.image for part in parts]),
        torch.cat([part.target for part in parts]),
        torch.cat(losses, 1),
        {name: torch.cat([part.metrics[name] for part in parts]) for name in names},
        tuple(torch.cat(maps) for maps in zip(*(part.noise for part in parts), strict=True)),
        parts[0].optimizer,
        sum(part.seconds for part in parts),
    )


def save_latents(path: Path, ws: Tensor, generator: Generator) -> None:
    """Write latents in full precision.

    Args:
        path: a ``.safetensors``.
        ws: [N, num_ws, w_dim].
        generator: whose they are, noted in the file.
    """
    checkpoint.save_model(path, {"ws": ws.cpu()}, kind=LATENTS, config=dict(generator=identity(generator)), licence="unknown")


def load_latents(path: str | Path, generator: Generator) -> Tensor:
    """ws [N, num_ws, w_dim] from a file that :func:`save_latents` wrote.

    Args:
        path: of the file.
        generator: whose latents they must be.

    Raises:
        StyleLoomError: no such file, one of another kind, or of another generator.
    """
    tensors, config = checkpoint.read_model(path, LATENTS)
    if config["generator"] != identity(generator):
        raise StyleLoomError(f"{path} holds latents of another generator; invert its pictures again with this one")
    return tensors["ws"].to(generator.device)
