"""Photographs into a generator's latent space, with whatever was trained for that generator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.data import images
from styleloom.data.datasets import squared
from styleloom.metrics.image import perceptual_distances, ssim
from styleloom.nn.generators import Generator, check_made_for, to_image
from styleloom.nn.layers import placed
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import EMBEDDED, load_features
from styleloom.papers import image2stylegan, learned_optimizer
from styleloom.papers.image2stylegan import LAYERS, OPTIMIZERS, InversionConfig, InversionStep

from .tools import Tools as Tools
from .tools import tools_of as tools_of

LEAST = 16  # px, of what is measured of images
CHOICES = ("auto", "learned", *OPTIMIZERS)


@dataclass(frozen=True)
class Inversion:
    """Latents that were found, and how good they are.

    Attributes:
        ws: [N, num_ws, w_dim].
        image: [N, 3, R, R] in [0, 1], the images of these.
        target: [N, 3, R, R], what was asked for.
        losses: [num_steps + 1, N], then [noise_steps + 1, N] of the descent on noise; an image that is done keeps its last loss.
        metrics: ``psnr`` in dB, ``ssim``, ``distance`` (of features of unit length, vgg19-lite) and ``left``, the share of the
            mean image's squared error that is left: [N] each. With masks only what they show counts; the rest is taken as met.
        noise: noise maps [N, 1, H, W], where they were descended on.
        optimizer: optimizer that was used.
        seconds: seconds that it took.
    """

    ws: Tensor
    image: Tensor
    target: Tensor
    losses: Tensor
    metrics: dict[str, Tensor]
    noise: tuple[Tensor, ...] = ()
    optimizer: str = ""
    seconds: float = 0.0

    def __repr__(self) -> str:
        count, steps = self.ws.shape[0], self.losses.shape[0] - 1
        figures = ", ".join(f"{name} {float(each.mean()):.4g}" for name, each in self.metrics.items())
        return f"Inversion({count} images, ws {list(self.ws.shape)}, {steps} steps of {self.optimizer}, mean {figures})"


def configure(preset: str = "default", **settings: Any) -> InversionConfig:
    """A preset of :data:`~styleloom.papers.image2stylegan.PRESETS` with some settings changed.

    The ``optimizer`` of the default one is "auto".

    Raises:
        StyleLoomError: an unknown preset or setting, or a value that cannot be.
    """
    return image2stylegan.configure(preset, **({"optimizer": "auto"} if preset == "default" else {}) | settings)


def optimizer_for(config: InversionConfig, tools: Tools) -> str:
    """The optimizer that is meant: for "auto" the best that there is for the generator, the space, and a rate, where one is told.

    Raises:
        StyleLoomError: an unknown one, or a learned one where there is none or a rate is given.
    """
    check_choice("optimizer", config.optimizer, CHOICES)
    if config.optimizer == "learned" and tools.learned is None:
        raise StyleLoomError(
            "there is no learned optimizer for this generator; make an eigenbasis for loom-any, by `make_basis`, train one with: "
            "styleloom train learned-optimizer, or use adam"
        )
    rated = check_rate(config)
    if config.optimizer != "auto":
        return config.optimizer
    if config.space == "w_plus" and tools.learned is not None and not rated:
        return "learned"
    return "adam-eigenbasis" if config.space == "w_plus" and tools.basis is not None else "adam"


def check_rate(config: InversionConfig) -> bool:
    """Whether a rate is told; raise StyleLoomError where it is told to a learned optimizer."""
    rated = config.lr is not None or not config.tuned
    if config.optimizer == "learned" and rated:
        raise StyleLoomError("a learned optimizer has no rate of its own; leave lr and tuned out, or use adam or adam-eigenbasis")
    return rated


def check_encoder(config: InversionConfig, tools: Tools) -> None:
    """Raise StyleLoomError where an encoder is asked for, and the generator has none."""
    for asked, what in (
        (config.init == "encoder", "init is encoder"),
        (config.in_domain_weight > 0, "in_domain_weight is not 0"),
    ):
        if asked and tools.encoder is None:
            raise StyleLoomError(f"{what}, and this generator has no encoder; train one, or leave it out")


def steps(
    generator: Generator, targets: Tensor, config: InversionConfig, tools: Tools | None = None, *, first: int = 0, **options: Any
) -> Iterator[InversionStep]:
    """Invert one batch of images, a step at a time.

    Args:
        generator: a generator of any paper, without classes.
        targets: [N, 3, R, R] in [0, 1], of the generator's side; :func:`center_square` makes them.
        config: settings; ``optimizer`` may also be "learned" or "auto".
        first: place of the first of these images among all; the n-th of all starts at random from seed + n.
        tools: the tools from :func:`tools_of`, by default.
        options: ``optimizer``, ``masks``, ``features``, ``init`` and ``state`` of
            :func:`styleloom.papers.image2stylegan.steps`.

    Yields:
        :class:`~styleloom.papers.image2stylegan.InversionStep`.

    Raises:
        StyleLoomError: what either refuses.
    """
    image2stylegan.check_images(generator, targets)
    if generator.resolution < LEAST:
        raise StyleLoomError(f"images of {generator.resolution} px are too small to tell how near they are; it takes {LEAST}")
    tools = tools or tools_of(generator)
    if tools.encoder is not None:
        check_made_for("this encoder", str(tools.encoder.config["generator"]), generator)
    if tools.basis is not None:
        check_made_for("this eigenbasis", tools.basis.generator, generator)
    name = optimizer_for(config, tools)
    factory = options.pop("optimizer", None)
    if factory is None and name == "learned" and tools.learned is not None:
        factory = learned_optimizer.factory(tools.learned)
    yield from image2stylegan.steps(
        generator,
        targets,
        replace(config, optimizer=name, seed=config.seed + first),
        optimizer=factory,
        basis=tools.basis.to(generator.device) if tools.basis is not None else None,
        encoder=tools.encoder.of(generator) if tools.encoder is not None else None,
        **options,
    )


def center_square(batch: Tensor, side: int) -> Tensor:
    """The squares in the middle of images [N, 3, H, W], ``side`` px wide; what is no image is left to others to refuse."""
    if batch.ndim != 4:
        return batch
    return torch.stack([squared(image, side) for image in batch])


def factory_of(optimizer: Callable[..., torch.optim.Optimizer]) -> image2stylegan.Factory:
    """A class of ``torch.optim``, or any ``params -> optimizer``, as the loop takes it."""
    return lambda params, descent: optimizer(params)


def invert(
    generator: Generator,
    targets: images.ImageLike,
    preset: str = "default",
    *,
    tools: Tools | None = None,
    masks: Tensor | None = None,
    features: Features | None = None,
    **settings: Any,
) -> Inversion:
    """Find latents whose images are those that are given.

    Args:
        generator: a generator of any paper, without classes.
        targets: [N, 3, H, W] in [0, 1], or a file, a PIL image or an array; the square in the middle is taken. Frame them as
            the generator's own images are.
        preset: name of :data:`~styleloom.papers.image2stylegan.PRESETS`.
        tools: encoder, eigenbasis and learned optimizer; the zoo's, where it has some for this generator.
        masks: [N or 1, 1, H, W] in [0, 1]: where images are compared; everywhere by default.
        features: perceptual network, instead of the bundled one.
        settings: fields of :class:`~styleloom.papers.image2stylegan.InversionConfig`. ``optimizer`` is "auto" in the default
            preset: learned, if there is one. A class such as
            ``torch.optim.RAdam``, or a function of parameters that makes one, serves as well.

    Raises:
        StyleLoomError: no image, unknown settings, or what an optimizer refuses.

    Source: the modules of ``papers`` that do it name theirs.
    """
    chosen_optimizer = settings.get("optimizer")
    factory = factory_of(chosen_optimizer) if callable(chosen_optimizer) else None
    config = configure(preset, **(settings | ({"optimizer": "adam"} if factory else {})))
    targets = targets if isinstance(targets, Tensor) else images.as_images(targets, "the image")
    image2stylegan.check_images(generator, targets)
    generator = placed(generator, generator.device, frozen=True)  # once, and not for each batch
    targets = center_square(targets.float(), generator.resolution)
    masks = None if masks is None else center_square(masks.float(), generator.resolution)
    if masks is not None and len(masks) not in (1, len(targets)):
        raise StyleLoomError(f"{len(masks)} masks for {len(targets)} images; give one an image, or one for all")
    tools = tools or tools_of(generator)
    parts = []
    for start in range(0, len(targets), config.batch):
        chosen = slice(start, start + config.batch)
        mask = None if masks is None else masks if len(masks) == 1 else masks[chosen]
        options: dict[str, Any] = dict(masks=mask, features=features) | (dict(optimizer=factory) if factory else {})
        *_, last = steps(generator, targets[chosen], config, tools, first=start, **options)
        name = getattr(chosen_optimizer, "__name__", "optimizer") if factory else optimizer_for(config, tools)
        parts.append(outcome(generator, targets[chosen], last, name, mask))
    return joined(parts)


def outcome(generator: Generator, targets: Tensor, last: InversionStep, optimizer: str, masks: Tensor | None = None) -> Inversion:
    """Result of one batch from its last step, measured; targets and masks are of the generator's side."""
    device = generator.device
    target, image = targets.to(device, torch.float32), last.image
    shows = torch.ones_like(image[:, :1])
    if masks is not None:
        shows = masks.to(device, torch.float32).clamp(0, 1).expand_as(shows)
        shows = shows / shows.amax((2, 3), keepdim=True)  # as the objective has it
    with torch.no_grad():
        mean = to_image(generator.synthesis(generator.w_avg.expand(1, generator.num_ws, -1), noise_mode="const"))
    network = load_features(EMBEDDED).prepare(generator.device, torch.float32)
    error, blank = (((each - target).square() * shows).mean((1, 2, 3)) / shows.mean((1, 2, 3)) for each in (image, mean))
    met = torch.lerp(target, image, shows)
    metrics = dict(
        psnr=-10 * error.clamp(min=1e-12).log10().cpu(),
        ssim=torch.tensor([ssim(*pair) for pair in zip(met.split(1), target.split(1), strict=True)]),
        distance=perceptual_distances(network, met, target, LAYERS).cpu(),
        left=(error / blank.clamp(min=1e-12)).cpu(),
    )
    return Inversion(last.ws, image, target, last.history, metrics, last.noise, optimizer, last.seconds)


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
