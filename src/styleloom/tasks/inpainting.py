"""Parts of photographs made anew: inpainting, crossover, scribbles, local styles, with whatever was trained for a generator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from styleloom.core.precision import precision_on
from styleloom.data import images
from styleloom.metrics.image import psnr
from styleloom.nn.generators import Generator
from styleloom.nn.vgg_files import EMBEDDED, load_features
from styleloom.papers import local_edit
from styleloom.papers.image2stylegan import InversionConfig, InversionStep
from styleloom.papers.local_edit import Target

from . import inversion
from .inversion import Tools, tools_of

NUM_STEPS = 50


@dataclass(frozen=True)
class LocalEdit:
    """Result of a local edit.

    Attributes:
        image: [N, 3, R, R] in [0, 1], blended into the original.
        whole: [N, 3, R, R], the generator's image, before that.
        ws: [N, num_ws, w_dim], its latents.
        noise: noise maps of the image, where they were descended on.
        losses: [steps + 1, N].
        psnr: PSNR in dB of the result outside of what was changed: infinite.
    """

    image: Tensor
    whole: Tensor
    ws: Tensor
    noise: tuple[Tensor, ...]
    losses: Tensor
    psnr: float


def configure(**settings: Any) -> InversionConfig:
    """The settings of an inversion, with a prior and as many steps as local edits want.

    Raises:
        StyleLoomError: an unknown setting, or a value that cannot be.
    """
    return inversion.configure(**dict(num_steps=NUM_STEPS, prior_weight=local_edit.PRIOR_WEIGHT) | settings)


@torch.no_grad()
def first_latents(generator: Generator, target: Target, tools: Tools) -> Tensor | None:
    """Latents to start from: what the encoder says of the target, with the mean image where nothing is asked for."""
    if tools.encoder is None:
        return None
    mean = next(generator.render(generator.w_avg.expand(1, generator.num_ws, -1)))
    device = generator.device
    return tools.encoder.of(generator)(torch.lerp(mean, target.image.to(device), target.compared.to(device)))


def steps(
    generator: Generator,
    target: Target,
    config: InversionConfig,
    tools: Tools | None = None,
    *,
    style_weight: float = 1.0,
    **options: Any,
) -> Iterator[InversionStep]:
    """A local edit, a step at a time.

    Args:
        generator: a generator of any paper, without classes.
        target: a target from a function of :mod:`styleloom.papers.local_edit`, of the generator's side.
        config: settings from :func:`configure`.
        tools: encoder, eigenbasis and learned optimizer; the zoo's by default.
        style_weight: weight of the style term, where the target has a style.
        options: ``state`` and ``features`` of :func:`styleloom.papers.image2stylegan.steps`.

    Yields:
        :class:`~styleloom.papers.image2stylegan.InversionStep`; ``target.blended(step.image)`` is the result so far.

    Raises:
        StyleLoomError: what an inversion refuses.
    """
    tools = tools or tools_of(generator)
    start = first_latents(generator, target, tools) if config.init == "mean" and config.space == "w_plus" else None
    device = generator.device
    network = (options.get("features") or load_features(EMBEDDED)).prepare(device, precision_on(device, config.precision))
    extra_terms = target.terms(network, style_weight)
    yield from inversion.steps(
        generator, target.image, config, tools, masks=target.compared, init=start, extra_terms=extra_terms, **options
    )


def run(
    generator: Generator, target: Target, *, style_weight: float = 1.0, tools: Tools | None = None, **settings: Any
) -> LocalEdit:
    """Do a local edit.

    Args:
        generator: a generator of any paper, without classes.
        target: a target from a function of :mod:`styleloom.papers.local_edit`, of the generator's side.
        style_weight: weight of the style term, where the target has a style.
        tools: encoder, eigenbasis and learned optimizer; the zoo's by default.
        settings: settings of :func:`configure`, such as ``num_steps`` and ``noise_steps``.

    Raises:
        StyleLoomError: unknown settings, or what an inversion refuses.

    Source: Abdal et al. 2020 ("Image2StyleGAN++").
    """
    *_, last = steps(generator, target, configure(**settings), tools, style_weight=style_weight)
    return outcome(target, last)


def outcome(target: Target, last: InversionStep) -> LocalEdit:
    """Result of a local edit from its last step."""
    whole = last.image.cpu()
    blended = target.blended(whole)
    outside = (target.changed == 0).expand_as(blended)
    kept = psnr(torch.where(outside, blended, 0), torch.where(outside, target.original, 0))
    return LocalEdit(blended, whole, last.ws, last.noise, last.history, kept)


def inpaint(generator: Generator, image: images.ImageLike, mask: Tensor, **settings: Any) -> LocalEdit:
    """Fill what a mask marks of images with what a generator would have there.

    Args:
        generator: a generator of any paper, without classes.
        image: [N, 3, H, W] in [0, 1], or a file, a PIL image or an array; the square in the middle is taken.
        mask: [1 or N, 1, H, W], 1 where the image is to be made anew; its middle square too.
        settings: settings of :func:`run`.

    Raises:
        StyleLoomError: no image, a mask of nothing or everything, or what an inversion refuses.

    Source: Abdal et al. 2020 ("Image2StyleGAN++"), Section 4.2.
    """
    photos = image if isinstance(image, Tensor) else images.as_images(image, "the image")
    side = generator.resolution
    target = local_edit.inpainting(inversion.center_square(photos.float(), side), inversion.center_square(mask.float(), side))
    return run(generator, target, **settings)
