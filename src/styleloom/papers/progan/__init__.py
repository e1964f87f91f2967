"""Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation", ICLR 2018.

Generator and discriminator begin at 4 px and are grown, a doubling at a time: the new layers are faded in, from an image
that is the old one enlarged to one that is their own. Weights are scaled when they are used, so that all learn at one pace;
the generator's features have unit length at each pixel; the discriminator sees how much images of a batch differ.

``lod``, the level of detail, says how far: 0 is the full resolution, 1 half of it, 0.25 a quarter of the way to there.

Differs from the official code: a doubling of the resolution begins with the next whole batch, not in the midst of one.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core.random import SampleRandom
from styleloom.core.settings import Count, CountOrNone, Decay, LearningRate, Weight
from styleloom.loops import adversarial
from styleloom.loops.adversarial import GANRecipe, GANSetup, Kimg, KimgOrNone, RunningStatistics, only, trained
from styleloom.loops.task import Phase
from styleloom.metrics.inception import load_embedding
from styleloom.nn import generators
from styleloom.nn.losses import gradient_penalty

from .architecture import Discriminator as Discriminator
from .architecture import Generator as Generator
from .architecture import stage as stage

KIND = "progan"


@dataclass(frozen=True)
class ProGANRecipe(GANRecipe):
    """The paper's constants, and each of Table 1's lines to switch on and off.

    Args:
        channel_base, channel_max: channels are min(channel_base / resolution, channel_max).
        z_dim: size of z.
        growing: begin at 4 px and grow (line b); otherwise all layers from the start.
        mbstd_group_size: images of a group whose spread the discriminator sees (line e); 0: none.
        equalized: scale weights when they are used (line f); otherwise when they are made.
        pixel_norm: features of unit length in the generator (line g).
        fade_kimg, stable_kimg: thousands of images during which a level is faded in, and then kept.
        gradient_penalty: weight of WGAN-GP's penalty.
        drift: weight of the discriminator's squared output.
        lr: Adam's learning rate, with betas 0 and .99, anew at each level.
        ema_decay: decay of the running mean of the generator's weights.
        batch: images a step at 4 px, 8 px and so on, the last for all above.
    """

    resolution: Count = 128
    kimg: Kimg = 12_000.0
    channel_base: Count = 16384
    channel_max: Count = 512
    z_dim: Count = 512
    growing: bool = True
    mbstd_group_size: CountOrNone = 4
    equalized: bool = True
    pixel_norm: bool = True
    fade_kimg: KimgOrNone = 600.0
    stable_kimg: KimgOrNone = 600.0
    gradient_penalty: Weight = 10.0
    drift: Weight = 0.001
    lr: LearningRate = 0.001
    ema_decay: Decay = 0.999
    batch: tuple[Count, ...] = (128, 128, 128, 64, 32, 16, 8, 4)


RECIPES: dict[str, ProGANRecipe] = {str(side): ProGANRecipe(resolution=side) for side in (32, 64, 128, 256, 512, 1024)} | {
    "32-small": ProGANRecipe(resolution=32, channel_base=2048, channel_max=128, z_dim=128),
    "64-small": ProGANRecipe(resolution=64, channel_base=2048, channel_max=128, z_dim=128),
}
"""The paper's networks by resolution, and small ones for a CPU."""


def networks(recipe: ProGANRecipe, c_dim: int = 0, img_channels: int = 3) -> tuple[Generator, Discriminator]:
    """A generator and a discriminator with random weights.

    Args:
        recipe: their sizes and options.
        c_dim: number of classes; 0: none.
        img_channels: channels of the images.
    """
    common: dict[str, Any] = dict(channel_base=recipe.channel_base, channel_max=recipe.channel_max, equalized=recipe.equalized)
    generator = Generator(
        recipe.z_dim, c_dim, recipe.resolution, img_channels, synthesis_kwargs=common | {"pixel_norm": recipe.pixel_norm}
    )
    return generator, Discriminator(c_dim, recipe.resolution, img_channels, mbstd_group_size=recipe.mbstd_group_size, **common)


def wgan_generator_loss(scores: Tensor) -> Tensor:
    """-D(G(z)): [N, 1] -> [N, 1]."""
    return -scores


def wgan_discriminator_loss(real: Tensor, made: Tensor, drift: float = 0.001) -> Tensor:
    """D(G(z)) - D(x), and a little of D(x)^2 so that it does not drift from 0: [N, 1] each -> [N, 1]."""
    return made - real + drift * real.square()


FILES = generators.ModelFiles(KIND, Generator, Discriminator)
save, load, load_discriminator = FILES.save, FILES.load, FILES.load_discriminator


def setup(recipe: ProGANRecipe, generator: Generator, discriminator: Discriminator) -> GANSetup:
    """WGAN-GP, and where there are classes their cross-entropy (AC-GAN), at the level of detail of each step."""
    device = generator.device
    statistics = RunningStatistics({}).to(device)
    learning = trained(discriminator, recipe.freeze)
    of_g = torch.optim.Adam(generator.parameters(), recipe.lr, (0.0, 0.99), eps=1e-8)
    of_d = torch.optim.Adam(learning, recipe.lr, (0.0, 0.99), eps=1e-8)
    growth = Growth(recipe, 4)

    def made(c: Tensor, seeds: Tensor, purpose: int) -> tuple[Tensor, SampleRandom]:
        random = SampleRandom(seeds, purpose, device)
        image: Tensor = generator.synthesis(generator.mapping(random.normal(recipe.z_dim), c))
        return image, random

    def of_classes(output: Tensor, c: Tensor) -> Tensor:
        return F.cross_entropy(output[:, 1:], c) if generator.c_dim else output.new_zeros(())

    def of_generator(real: Tensor, c: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        only(generator.parameters(), generator, discriminator)
        output = discriminator(made(c, seeds, 0)[0], c)
        return {"G": wgan_generator_loss(output[:, :1]).mean() + of_classes(output, c)}

    def of_discriminator(real: Tensor, c: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        only(learning, generator, discriminator)
        real = faded(real, discriminator.lod)
        with torch.no_grad():
            image, random = made(c, seeds, 1)
        between = image.lerp(real, random.uniform(1, 1, 1)).requires_grad_()
        penalty = gradient_penalty(discriminator(between, c)[:, :1], between).mean()
        output, output_of_fake = discriminator(real, c), discriminator(image, c)
        loss = wgan_discriminator_loss(output[:, :1], output_of_fake[:, :1], recipe.drift).mean()
        classes = of_classes(output, c) + of_classes(output_of_fake, c)
        return {"D": loss + classes, "penalty": recipe.gradient_penalty * penalty}

    def before_step(step: int) -> dict[str, float]:
        return growth.before_step(step, generator.synthesis, discriminator, of_g, of_d)

    phases = {"D": Phase(of_d, of_discriminator), "G": Phase(of_g, of_generator)}
    return GANSetup(
        generator,
        discriminator,
        statistics,
        phases,
        lambda step: recipe.ema_decay,
        before_step,
        min(recipe.batch),
        sample_indices=growth.sample_indices,
    )


def faded(real: Tensor, lod: float) -> Tensor:
    """Real images [N, C, H, W] at a level of detail: reduced, and blended with what the next lower level shows of them."""
    whole = math.floor(lod)
    real = F.avg_pool2d(real, 2**whole) if whole else real
    share = lod - whole
    return real.lerp(F.interpolate(F.avg_pool2d(real, 2), scale_factor=2), share) if share else real


class Growth:
    """Which images a step takes, and at what level of detail, when the batch shrinks as the resolution grows.

    Args:
        recipe: ``resolution``, ``growing``, ``fade_kimg``, ``stable_kimg``, and ``batch`` at 4 px, 8 px and so on.
        start: the first side of a network that grows.
    """

    def __init__(self, recipe: Any, start: int) -> None:
        self.recipe, self.start = recipe, start if recipe.growing else recipe.resolution
        # Of each level: its first step, its first image, and its batch. A new one begins to be faded in when the one
        # before has been kept for a while.
        self.levels: list[tuple[int, int, int]] = []
        step = index = 0
        for level in range(int(math.log2(recipe.resolution // self.start)) + 1):
            batch = recipe.batch[min(int(math.log2(self.start)) - 2 + level, len(recipe.batch) - 1)]
            self.levels.append((step, index, batch))
            end = 1000 * (recipe.stable_kimg + level * (recipe.stable_kimg + recipe.fade_kimg))
            steps = max(0, math.ceil((end - index) / batch))
            step, index = step + steps, index + steps * batch

    def sample_indices(self, step: int) -> range:
        """Indices of the images in this step."""
        first, index, batch = self.levels[bisect.bisect_right(self.levels, step, key=lambda level: level[0]) - 1]
        before_step = index + (step - first) * batch
        return range(before_step, before_step + batch)

    def lod(self, step: int) -> float:
        """The level of detail of a step."""
        return self.lod_after(self.sample_indices(step).start / 1000)

    def lod_after(self, kimg: float) -> float:
        """The level of detail after some thousands of images: each level is kept for a while, then the next is faded in."""
        stable, fade = self.recipe.stable_kimg, self.recipe.fade_kimg
        whole, within = divmod(kimg, stable + fade)
        faded = max(0.0, within - stable) / fade if fade else 0.0
        return max(0.0, math.log2(self.recipe.resolution / self.start) - whole - faded)

    def before_step(self, step: int, synthesis: Any, discriminator: Any, *optimizers: torch.optim.Optimizer) -> dict[str, float]:
        """Set the networks' level of detail, and at a new level let the optimizers forget the steps before."""
        synthesis.lod = discriminator.lod = self.lod(step)
        if any(step == first for first, _, _ in self.levels[1:]):
            for optimizer in optimizers:
                optimizer.state.clear()
        return {"lod": synthesis.lod} if len(self.levels) > 1 else {}


train = adversarial.trainer(FILES, networks, setup, RECIPES["128"], load_embedding)
