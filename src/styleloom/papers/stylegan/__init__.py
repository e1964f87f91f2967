"""Karras et al., "A Style-Based Generator Architecture for Generative Adversarial Networks", CVPR 2019.

The latent no longer enters as a first image: the generator begins with a learned constant. A mapping network turns z into
w, and w sets scale and shift of each layer's normalized features: AdaIN, with w in the place of a style image. Noise at
each pixel gives what is left to chance. Two w may share an image, coarse layers of one and fine ones of the other; to draw
w to its mean gives less variety and better images.

The rest is ProGAN's: growing, equalized learning rates, and the discriminator, which has now a low-pass filter.

Differs from the official code: as ProGAN here (``papers.progan``). The mean of w is updated once a step by all its images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.random import SampleRandom
from styleloom.core.settings import Count, CountOrNone, Decay, LearningRate, Range, Share, Weight
from styleloom.loops import adversarial
from styleloom.loops.adversarial import GANRecipe, GANSetup, Kimg, KimgOrNone, RunningStatistics, only, trained
from styleloom.loops.task import Phase
from styleloom.metrics.inception import load_embedding
from styleloom.nn import generators
from styleloom.nn.losses import r1_penalty
from styleloom.papers import progan

from .architecture import FILTER
from .architecture import Generator as Generator
from .architecture import discriminator as discriminator

KIND = "stylegan"


@dataclass(frozen=True)
class StyleGANRecipe(GANRecipe):
    """The paper's constants, and each of Table 1's lines to switch on and off.

    Args:
        channel_base, channel_max: channels are min(channel_base / resolution, channel_max).
        z_dim, w_dim: sizes of z and w.
        blur: low-pass filters where the resolution changes (line b).
        mapping_layers: dense layers from z to w (line c); 0: w is z of unit length.
        styles: w sets scale and shift of each layer (line c); otherwise it only enters the first.
        const_input: begin with a learned constant (line d); otherwise with a dense layer of w.
        noise: noise at each pixel (line e).
        style_mixing_prob: share of images that have two w (line f).
        growing: begin at 8 px and grow; otherwise all layers from the start.
        start_resolution: where growing begins.
        fade_kimg, stable_kimg: thousands of images during which a level is faded in, and then kept.
        r1_gamma: weight of the R1 penalty, taken in each step.
        w_avg_beta: decay of the running mean of w.
        ema_kimg: thousands of images after which a weight's share in the average has halved.
        batch: images a step at 4 px, 8 px and so on, the last for all above.
        lr: Adam's learning rate likewise, with betas 0 and .99, anew at each level.
    """

    resolution: Annotated[int, Range(8)] = 128
    channel_base: Count = 16384
    channel_max: Count = 512
    z_dim: Count = 512
    w_dim: Count = 512
    blur: bool = True
    mapping_layers: CountOrNone = 8
    styles: bool = True
    const_input: bool = True
    noise: bool = True
    style_mixing_prob: Share = 0.9
    growing: bool = True
    start_resolution: Count = 8
    fade_kimg: KimgOrNone = 600.0
    stable_kimg: KimgOrNone = 600.0
    r1_gamma: Weight = 10.0
    w_avg_beta: Decay = 0.995
    ema_kimg: Kimg = 10.0
    batch: tuple[Count, ...] = (512, 256, 128, 64, 32)
    lr: tuple[LearningRate, ...] = (0.001, 0.001, 0.001, 0.001, 0.001, 0.0015, 0.002, 0.003)


RECIPES: dict[str, StyleGANRecipe] = {str(side): StyleGANRecipe(resolution=side) for side in (32, 64, 128, 256, 512, 1024)} | {
    "32-small": StyleGANRecipe(resolution=32, channel_base=2048, channel_max=128, z_dim=128, w_dim=128),
    "64-small": StyleGANRecipe(resolution=64, channel_base=2048, channel_max=128, z_dim=128, w_dim=128),
}
"""The paper's networks by resolution, and small ones for a CPU."""


def networks(recipe: StyleGANRecipe, c_dim: int = 0, img_channels: int = 3) -> tuple[Generator, progan.Discriminator]:
    """A generator and a discriminator with random weights.

    Args:
        recipe: their sizes and options.
        c_dim: number of classes; 0: none.
        img_channels: channels of the images.
    """
    common: dict[str, Any] = dict(channel_base=recipe.channel_base, channel_max=recipe.channel_max)
    filter = FILTER if recipe.blur else ()
    synthesis = common | dict(
        filter=filter,
        use_styles=recipe.styles,
        const_input=recipe.const_input,
        use_noise=recipe.noise,
        pixel_norm=not recipe.styles,
        instance_norm=recipe.styles,
    )
    mapping = dict(num_layers=recipe.mapping_layers, w_avg_beta=recipe.w_avg_beta)
    if not recipe.mapping_layers and recipe.w_dim != recipe.z_dim:
        raise StyleLoomError(f"without mapping layers w is z: w_dim is {recipe.w_dim}, z_dim {recipe.z_dim}; make them equal")
    generator = Generator(
        recipe.z_dim, c_dim, recipe.w_dim, recipe.resolution, img_channels, mapping_kwargs=mapping, synthesis_kwargs=synthesis
    )
    return generator, discriminator(c_dim, recipe.resolution, img_channels, filter=filter, **common)


def generator_loss(logits: Tensor) -> Tensor:
    """-log D(G(z)), the non-saturating loss: [N, 1] -> [N, 1]."""
    return F.softplus(-logits)


def discriminator_loss(real: Tensor, made: Tensor) -> Tensor:
    """-log D(x) - log(1 - D(G(z))): [N, 1] each -> [N, 1]."""
    return F.softplus(-real) + F.softplus(made)


def mixed(first: Tensor, second: Tensor, probability: float, chances: Tensor, used: int = 0) -> Tensor:
    """Style mixing: with ``probability`` an image has the second w from a random layer on (Section 3.1).

    Args:
        first, second: ws [N, num_ws, w_dim].
        probability: share of images that are mixed.
        chances: [N, 2] in [0, 1), of whether and where.
        used: layers in use; all by default.
    """
    layers = used or first.shape[1]
    cut = 1 + (chances[:, 1] * (max(layers, 2) - 1)).long()
    return generators.mixed_from(first, second, torch.where(chances[:, 0] < probability, cut, first.shape[1]))


def follow_mean(generator: generators.Generator, statistics: RunningStatistics, beta: float) -> None:
    """Bring the running mean of w up to date with the ``"w"`` that was gathered in a step; ``beta``: its decay."""
    if (w := statistics.take("w")) is not None:
        generator.w_avg.copy_(w.lerp(generator.w_avg, beta))


FILES = generators.ModelFiles(KIND, Generator, progan.Discriminator)
save, load, load_discriminator = FILES.save, FILES.load, FILES.load_discriminator


def setup(recipe: StyleGANRecipe, generator: Generator, discriminator: progan.Discriminator) -> GANSetup:
    """The non-saturating loss and R1 in each step, at its level of detail, with two w in some images."""
    device = generator.device
    statistics = RunningStatistics({"w": (generator.w_dim,)}).to(device)
    learning = trained(discriminator, recipe.freeze)
    of_g = torch.optim.Adam(generator.parameters(), recipe.lr[0], (0.0, 0.99), eps=1e-8)
    of_d = torch.optim.Adam(learning, recipe.lr[0], (0.0, 0.99), eps=1e-8)
    growth = progan.Growth(recipe, recipe.start_resolution)

    def made(c: Tensor, seeds: Tensor, purpose: int) -> Tensor:
        random = SampleRandom(seeds, purpose, device)
        z = random.normal(2, recipe.z_dim)
        first, second = generator.mapping(z[:, 0], c), generator.mapping(z[:, 1], c)
        statistics.add("w", first[:, 0])
        used = 2 * len(progan.stage(list(generator.synthesis.widths), discriminator.lod)[0])
        ws = mixed(first, second, recipe.style_mixing_prob, random.uniform(2), min(used, generator.num_ws))
        noise = random.noise(generator.noise_sides[:used]) if generator.noise_sides else None
        image: Tensor = generator.synthesis(ws, "none", noise=noise)
        return image

    def of_generator(real: Tensor, c: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        only(generator.parameters(), generator, discriminator)
        return {"G": generator_loss(discriminator(made(c, seeds, 0), c)).mean()}

    def of_discriminator(real: Tensor, c: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        only(learning, generator, discriminator)
        real = progan.faded(real, discriminator.lod).requires_grad_()
        with torch.no_grad():
            image = made(c, seeds, 1)
        logits = discriminator(real, c)
        penalty = r1_penalty(logits, real).mean() * (recipe.r1_gamma / 2)
        return {"D": discriminator_loss(logits, discriminator(image, c)).mean(), "r1": penalty}

    def before_step(step: int) -> dict[str, float]:
        follow_mean(generator, statistics, recipe.w_avg_beta)
        return growth.before_step(step, generator.synthesis, discriminator, of_g, of_d)

    def rate(step: int) -> float:
        side = recipe.resolution >> math.floor(growth.lod(step))
        return recipe.lr[min(int(math.log2(side)) - 2, len(recipe.lr) - 1)] / recipe.lr[0]

    def average(step: int) -> float:
        return 0.5 ** (len(growth.sample_indices(step)) / (1000 * recipe.ema_kimg))

    phases = {"D": Phase(of_d, of_discriminator), "G": Phase(of_g, of_generator)}
    return GANSetup(
        generator,
        discriminator,
        statistics,
        phases,
        average,
        before_step,
        min(recipe.batch),
        sample_indices=growth.sample_indices,
        schedule=rate,
    )


train = adversarial.trainer(FILES, networks, setup, RECIPES["128"], load_embedding)
