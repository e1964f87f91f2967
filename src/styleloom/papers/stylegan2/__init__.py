"""Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020.

StyleGAN sets the scale of each feature map by instance norm and a style, and hides a spike in every image that cheats the
norm: a droplet. Here the style scales the *inputs* of a convolution, and the outputs are divided by the spread that this
leads one to expect: statistics of the weights, not of the image, so nothing is gained by a spike. There are skip
connections instead of growing, and R1 and a path length penalty are taken now and then only.

With few images the discriminator learns them by heart; ``augment`` (Karras et al., "Training Generative Adversarial Networks
with Limited Data", NeurIPS 2020) shows it changed ones, as often as keeps it from doing so.

Differs from the official code:
    - the mean path length that a penalty compares with is that of the steps before, and does not count the present one;
    - a step whose gradient is not finite is passed over, where the official code puts 0 into the gradient's place;
    - made images get the classes of the real ones of the same batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor

from styleloom.core.random import SampleRandom
from styleloom.core.settings import Count, CountOrNone, Decay, LearningRate, OneOf, Range, Share, Weight
from styleloom.loops import adversarial
from styleloom.loops.adversarial import GANRecipe, GANSetup, Kimg, RunningStatistics, only, trained
from styleloom.loops.task import Phase
from styleloom.metrics.inception import load_embedding
from styleloom.nn import generators
from styleloom.nn.losses import r1_penalty
from styleloom.papers.ada import adapted, augment
from styleloom.papers.stylegan import discriminator_loss as discriminator_loss
from styleloom.papers.stylegan import follow_mean
from styleloom.papers.stylegan import generator_loss as generator_loss
from styleloom.papers.stylegan import mixed as mixed

from .architecture import NORMALIZATIONS
from .architecture import Generator as Generator
from .architecture import modulated_conv as modulated_conv
from .architecture import reduce_precision as reduce_precision
from .discriminator import Discriminator as Discriminator

KIND = "stylegan2"
FILES = generators.ModelFiles(KIND, Generator, Discriminator)
save, load, load_discriminator = FILES.save, FILES.load, FILES.load_discriminator


@dataclass(frozen=True)
class StyleGAN2Recipe(GANRecipe):
    """The paper's constants, and each of Table 1's lines to switch on and off.

    Args:
        channel_base, channel_max: channels are min(channel_base / resolution, channel_max) (line f).
        z_dim, w_dim: sizes of z and w.
        mapping_layers: dense layers from z to w.
        noise: noise at each pixel.
        normalization: ``"demodulate"`` (line b), ``"instance"``: StyleGAN's, or ``"none"``.
        lazy: take R1 and path length penalty in some steps only (line c).
        r1_interval, pl_interval: in which, with ``lazy``.
        pl_weight: weight of the path length penalty (line d); 0: none.
        pl_decay: decay of the mean path length is 1 - this.
        pl_batch_shrink: share of the batch that the path length is taken of, 1 / this.
        architecture, discriminator_architecture: architectures of generator and discriminator, ``"orig"``, ``"skip"`` or
            ``"resnet"`` (line e).
        style_mixing_prob: share of images that have two w.
        r1_gamma: weight of the R1 penalty; None: 0.0002 resolution^2 / batch.
        batch: images a step.
        lr: Adam's learning rate, with betas 0 and .99 and lazily rescaled.
        ema_kimg: thousands of images after which a weight's share in the average has halved.
        ema_rampup: at first it halves after this share of the images seen so far; 0: never.
        w_avg_beta: decay of the running mean of w.
        mbstd_group_size: images of a group whose spread the discriminator sees.
        augment: adapt augmentation of the discriminator's images to how far it overfits (Karras et al. 2020, ADA).
        ada_target: mean sign of D(real) that it aims at.
        ada_interval: steps between adaptations.
        ada_kimg: thousands of images in which the probability can go from 0 to 1.
    """

    resolution: Annotated[int, Range(8)] = 256
    channel_base: Count = 32768
    channel_max: Count = 512
    z_dim: Count = 512
    w_dim: Count = 512
    mapping_layers: Count = 8
    noise: bool = True
    normalization: Annotated[str, OneOf(NORMALIZATIONS)] = "demodulate"
    lazy: bool = True
    r1_interval: Count = 16
    pl_interval: Count = 4
    pl_weight: Weight = 2.0
    pl_decay: Share = 0.01
    pl_batch_shrink: Count = 2
    architecture: str = "skip"
    discriminator_architecture: str = "resnet"
    style_mixing_prob: Share = 0.9
    r1_gamma: Weight | None = None
    batch: Count = 32
    lr: LearningRate = 0.0025
    ema_kimg: Kimg = 10.0
    ema_rampup: Weight = 0.05
    w_avg_beta: Decay = 0.995
    mbstd_group_size: CountOrNone = 4
    augment: bool = False
    ada_target: Annotated[float, Range(-1, 1)] = 0.6
    ada_interval: Count = 4
    ada_kimg: Kimg = 500.0

    @property
    def gamma(self) -> float:
        """The weight of the R1 penalty."""
        return self.r1_gamma if self.r1_gamma is not None else 0.0002 * self.resolution**2 / self.batch


RECIPES: dict[str, StyleGAN2Recipe] = {
    **{
        str(side): StyleGAN2Recipe(resolution=side, lr=0.0025 if side < 1024 else 0.002) for side in (32, 64, 128, 256, 512, 1024)
    },
    "paper256": StyleGAN2Recipe(channel_base=16384, r1_gamma=1.0, batch=64, ema_kimg=20.0, ema_rampup=0.0, mbstd_group_size=8),
    "paper1024": StyleGAN2Recipe(resolution=1024, r1_gamma=2.0, lr=0.002, ema_rampup=0.0),
    "32-small": StyleGAN2Recipe(resolution=32, channel_base=1024, channel_max=128, z_dim=128, w_dim=128, mapping_layers=4),
    "64-small": StyleGAN2Recipe(
        resolution=64, channel_base=2048, channel_max=192, z_dim=128, w_dim=128, mapping_layers=4, batch=16
    ),
}
"""Networks by resolution, those of the paper, and small ones for a CPU."""


def networks(recipe: StyleGAN2Recipe, c_dim: int = 0, img_channels: int = 3) -> tuple[Generator, Discriminator]:
    """A generator and a discriminator with random weights.

    Args:
        recipe: their sizes and options.
        c_dim: number of classes; 0: none.
        img_channels: channels of the images.
    """
    common: dict[str, Any] = dict(channel_base=recipe.channel_base, channel_max=recipe.channel_max)
    generator = Generator(
        recipe.z_dim,
        c_dim,
        recipe.w_dim,
        recipe.resolution,
        img_channels,
        mapping_kwargs=dict(num_layers=recipe.mapping_layers, w_avg_beta=recipe.w_avg_beta),
        synthesis_kwargs=common
        | dict(architecture=recipe.architecture, normalization=recipe.normalization, use_noise=recipe.noise),
    )
    epilogue = dict(mbstd_group_size=recipe.mbstd_group_size)
    discriminator = dict(common, architecture=recipe.discriminator_architecture, epilogue_kwargs=epilogue)
    return generator, Discriminator(c_dim, recipe.resolution, img_channels, **discriminator)


def path_lengths(image: Tensor, ws: Tensor, noise: Tensor) -> Tensor:
    """|J^T y| of each image, root mean square over its layers (Eq. 4).

    Args:
        image: [N, C, H, W], made of ``ws``.
        ws: [N, num_ws, w_dim], which needs a gradient.
        noise: y, [N, C, H, W], normal.
    """
    height, width = image.shape[2:]
    (gradient,) = torch.autograd.grad((image * noise).sum() / math.sqrt(height * width), ws, create_graph=True)
    return gradient.square().sum(2).mean(1).sqrt()


def setup(recipe: StyleGAN2Recipe, generator: Generator, discriminator: Discriminator) -> GANSetup:
    """Losses of generator and discriminator, and each one's penalty in some steps only."""
    device = generator.device
    sides = generator.noise_sides
    statistics = RunningStatistics({"w": (generator.w_dim,), "lengths": (), "signs": ()}, {"pl_mean": 0.0, "p": 0.0}).to(device)
    pl_mean, p = statistics.get_buffer("pl_mean"), statistics.get_buffer("p")

    # Fake images, with style mixing and noise of each sample's own.
    def made(c: Tensor, seeds: Tensor, purpose: int) -> tuple[Tensor, Tensor, SampleRandom]:
        random = SampleRandom(seeds, purpose, device)
        z = random.normal(2, recipe.z_dim)
        first, second = generator.mapping(z[:, 0], c), generator.mapping(z[:, 1], c)
        statistics.add("w", first[:, 0])
        ws = mixed(first, second, recipe.style_mixing_prob, random.uniform(2))
        noise = random.noise(sides) if sides else None
        return generator.synthesis(ws, "none", noise=noise), ws, random

    def discriminate(image: Tensor, c: Tensor, random: SampleRandom) -> Tensor:
        if recipe.augment:
            image = augment(image, p, generator=random)
        logits: Tensor = discriminator(image, c)
        return logits

    # Losses: generator, path length, discriminator, R1.
    def of_generator(real: Tensor, c: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        only(generator.parameters(), generator, discriminator)
        image, _, random = made(c, seeds, 0)
        return {"G": generator_loss(discriminate(image, c, random)).mean()}

    def of_paths(real: Tensor, c: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        only(generator.parameters(), generator, discriminator)
        some = slice(max(1, len(seeds) // recipe.pl_batch_shrink))
        random = SampleRandom(seeds[some], 1, device)
        image, ws, _ = made(c[some], seeds[some], 2)
        lengths = path_lengths(image, ws, random.normal(*image.shape[1:]))
        statistics.add("lengths", lengths)
        return {"path": (lengths - pl_mean).square().mean() * recipe.pl_weight * pl_interval}

    def of_discriminator(real: Tensor, c: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        only(learning, generator, discriminator)
        with torch.no_grad():
            image, _, random = made(c, seeds, 3)
        logits = discriminate(real, c, SampleRandom(seeds, 4, device))
        if recipe.augment:
            statistics.add("signs", logits[:, 0].sign())
        return {"D": discriminator_loss(logits, discriminate(image, c, random)).mean()}

    def of_r1(real: Tensor, c: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        only(learning, generator, discriminator)
        real = real.detach().requires_grad_()
        logits = discriminate(real, c, SampleRandom(seeds, 5, device))
        return {"r1": r1_penalty(logits, real).mean() * (recipe.gamma / 2) * r1_interval}

    # Running statistics, and the strength of augmentation.
    def before_step(step: int) -> dict[str, float]:
        follow_mean(generator, statistics, recipe.w_avg_beta)
        if (length := statistics.take("lengths")) is not None:
            pl_mean.lerp_(length, recipe.pl_decay)
        if recipe.augment and step % recipe.ada_interval == 0 and (sign := statistics.take("signs")) is not None:
            count = recipe.batch * recipe.ada_interval
            aim: dict[str, Any] = dict(target=recipe.ada_target, images=count, kimg=recipe.ada_kimg)
            p.fill_(adapted(float(p), float(sign), **aim))
        return {"p": float(p)} if recipe.augment else {}

    def average(step: int) -> float:
        half = 1000 * recipe.ema_kimg
        if recipe.ema_rampup:
            half = min(half, recipe.batch * step * recipe.ema_rampup)
        return 0.5 ** (recipe.batch / max(half, 1e-8))

    # Updates of a step; penalties are lazy.
    pl_interval, r1_interval = (recipe.pl_interval, recipe.r1_interval) if recipe.lazy else (1, 1)
    learning = trained(discriminator, recipe.freeze)
    of_g = _adam(recipe, generator.parameters(), pl_interval if recipe.lazy and recipe.pl_weight else 0)
    of_d = _adam(recipe, learning, r1_interval if recipe.lazy and recipe.gamma else 0)
    phases = {"G": Phase(of_g, of_generator)}
    if recipe.pl_weight:
        phases["path"] = Phase(of_g, of_paths, pl_interval)
    phases["D"] = Phase(of_d, of_discriminator)
    if recipe.gamma:
        phases["r1"] = Phase(of_d, of_r1, r1_interval)
    return GANSetup(generator, discriminator, statistics, phases, average, before_step, batch=recipe.batch)


def _adam(recipe: StyleGAN2Recipe, parameters: Any, interval: int) -> torch.optim.Optimizer:
    """Adam, slowed by c = k / (k + 1) where a penalty takes each k-th step more; k = 0: none does."""
    c = interval / (interval + 1) if interval else 1.0
    return torch.optim.Adam(parameters, recipe.lr * c, (0.0, 0.99**c), eps=1e-8)


train = adversarial.trainer(FILES, networks, setup, RECIPES["256"], load_embedding, reduce_precision)
