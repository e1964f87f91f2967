"""Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation", ICLR 2018.

Generator and discriminator begin at 4 px and are grown, a doubling at a time: the new layers are faded in, from a picture
that is the old one enlarged to one that is their own. Weights are scaled when they are used, so that all learn at one pace;
the generator's features have unit length at each pixel; the discriminator sees how much pictures of a batch differ.

``lod``, the level of detail, says how far: 0 is the full resolution, 1 half of it, 0.25 a quarter of the way to there.

Differs from the official code:
    - pictures have the resolution of their level, not always the full one;
    - doubling by nearest neighbours and a convolution are computed as one transposed convolution, and halving likewise.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleloom.blocks import adversarial, generators
from styleloom.blocks.adversarial import Adversarial, Chances, Game, Memory, only, trained
from styleloom.blocks.equalized import GAIN, Conv2d, FullyConnected, leaky_relu_, normalized, with_minibatch_std
from styleloom.blocks.errors import StyleLoomError, check_choice
from styleloom.blocks.fit import Phase
from styleloom.blocks.resample import boxed_convolution, filtered, fir, nearest_convolution
from styleloom.convert.inception import load_embedding

KIND = "progan"


@dataclass(frozen=True)
class Recipe(Adversarial):
    """The paper's constants, and each of Table 1's lines to switch on and off.

    Args:
        channel_base, channel_max: channels are min(channel_base / resolution, channel_max).
        z_dim: size of z.
        growing: begin at 4 px and grow (line b); otherwise all layers from the start.
        minibatch_std: pictures of a group whose spread the discriminator sees (line e); 0: none.
        equalized: scale weights when they are used (line f); otherwise when they are made.
        pixel_norm: features of unit length in the generator (line g).
        fade_kimg, stable_kimg: thousands of pictures during which a level is faded in, and then kept.
        gradient_penalty: weight of WGAN-GP's penalty.
        drift: weight of the discriminator's squared output.
        lr: Adam's learning rate, with betas 0 and .99, anew at each level.
        average_decay: of the running mean of the generator's weights.
        batch: pictures a step at 4 px, 8 px and so on, the last for all above.
    """

    resolution: int = 128
    kimg: float = 12_000.0
    channel_base: int = 16384
    channel_max: int = 512
    z_dim: int = 512
    growing: bool = True
    minibatch_std: int = 4
    equalized: bool = True
    pixel_norm: bool = True
    fade_kimg: float = 600.0
    stable_kimg: float = 600.0
    gradient_penalty: float = 10.0
    drift: float = 0.001
    lr: float = 0.001
    average_decay: float = 0.999
    batch: tuple[int, ...] = (128, 128, 128, 64, 32, 16, 8, 4)


PRESETS: dict[str, Recipe] = {str(side): Recipe(resolution=side) for side in (32, 64, 128, 256, 512, 1024)} | {
    "32-small": Recipe(resolution=32, channel_base=2048, channel_max=128, z_dim=128),
    "64-small": Recipe(resolution=64, channel_base=2048, channel_max=128, z_dim=128),
}
"""The paper's networks by resolution, and small ones for a CPU."""


def level_of_detail(recipe: Recipe, kimg: float) -> float:
    """``lod`` after some thousands of pictures, see :func:`grown`."""
    return grown(recipe.resolution, 4, kimg, recipe.stable_kimg, recipe.fade_kimg) if recipe.growing else 0.0


def grown(resolution: int, start: int, kimg: float, stable_kimg: float, fade_kimg: float) -> float:
    """``lod`` when each level from ``start`` px on is kept for a while, and then the next one is faded in."""
    whole, within = divmod(kimg, stable_kimg + fade_kimg)
    faded = max(0.0, within - stable_kimg) / fade_kimg if fade_kimg else 0.0
    return max(0.0, math.log2(resolution / start) - whole - faded)


def networks(recipe: Recipe, c_dim: int = 0, img_channels: int = 3) -> tuple[Generator, Discriminator]:
    """A generator and a discriminator with random weights.

    Args:
        recipe: their sizes and options.
        c_dim: number of classes; 0: none.
        img_channels: channels of the pictures.
    """
    common: dict[str, Any] = dict(channel_base=recipe.channel_base, channel_max=recipe.channel_max, equalized=recipe.equalized)
    generator = Generator(
        recipe.z_dim, c_dim, recipe.resolution, img_channels, synthesis_kwargs=common | {"pixel_norm": recipe.pixel_norm}
    )
    return generator, Discriminator(c_dim, recipe.resolution, img_channels, mbstd_group_size=recipe.minibatch_std, **common)


def pixel_norm(x: Tensor) -> Tensor:
    """Unit length at each pixel: [N, C, H, W] -> the same."""
    return normalized(x)


def stage(resolutions: Sequence[int], lod: float) -> tuple[list[int], float]:
    """Resolutions in use at a level of detail, and the share of the one before the last."""
    if not 0 <= lod <= len(resolutions) - 1:
        raise StyleLoomError(f"lod is {lod:g}; it must be from 0, the full resolution, to {len(resolutions) - 1}")
    return list(resolutions[: len(resolutions) - math.floor(lod)]), lod - math.floor(lod)


class Normalization(nn.Module):
    """What this generator has in the place of a mapping network: z, and classes, of unit length."""

    def __init__(self, z_dim: int, c_dim: int, *, normalize_latents: bool = True, embed_classes: bool = False) -> None:
        super().__init__()
        self.w_avg: Tensor
        self.c_dim, self.normalize_latents = c_dim, normalize_latents
        self.embed = FullyConnected(c_dim, c_dim, bias=False) if embed_classes else None
        self.register_buffer("w_avg", torch.zeros(z_dim + c_dim))

    def forward(
        self, z: Tensor, c: Tensor | None = None, truncation_psi: float = 1.0, truncation_cutoff: int | None = None
    ) -> Tensor:
        """[N, z_dim] and [N, c_dim] -> [N, 1, z_dim + c_dim]; truncation draws to 0, a picture of no direction."""
        if self.c_dim and c is None:
            raise StyleLoomError(f"this network wants a class, [N, {self.c_dim}]")
        x = z.float()
        if self.embed is not None and c is not None:
            x = torch.cat([normalized(x), self.embed(c.float())], 1)
        else:
            x = torch.cat([x, c.float()], 1) if self.c_dim and c is not None else x
            x = normalized(x) if self.normalize_latents else x
        return self.w_avg.lerp(x[:, None], truncation_psi if truncation_cutoff != 0 else 1.0)


class SynthesisNetwork(nn.Module):
    """Latents to pictures.

    Args:
        w_dim: size of the latents.
        img_resolution: side of the pictures, a power of two from 4.
        img_channels: channels of the pictures.
        channel_base, channel_max: channels are min(channel_base / resolution, channel_max) ...
        channels: ... or these, for each resolution from 4 px upwards.
        pixel_norm: normalise features at each pixel.
        norm_first: before the activation instead of after it.
        equalized: scale weights when they are used, not when they are made.
        lod: level of detail that it has unless told otherwise.
    """

    def __init__(
        self,
        w_dim: int,
        img_resolution: int,
        img_channels: int = 3,
        *,
        channel_base: int = 16384,
        channel_max: int = 512,
        channels: Sequence[int] | None = None,
        pixel_norm: bool = True,
        norm_first: bool = False,
        equalized: bool = True,
        lod: float = 0.0,
    ) -> None:
        super().__init__()
        self.lod = lod
        self.widths = generators.widths(img_resolution, channel_base, channel_max, channels)
        self.pixel_norm, self.norm_first = pixel_norm, norm_first
        he: dict[str, Any] = dict(gain=GAIN, equalized=equalized, filter=None)
        self.dense = FullyConnected(w_dim, 16 * self.widths[4], bias=False, gain=GAIN / 4, equalized=equalized)
        self.bias = nn.Parameter(torch.zeros(self.widths[4]))
        for side, width in self.widths.items():
            block = nn.Module()
            if side > 4:
                block.conv0 = Conv2d(self.widths[side // 2], width, 3, **he)
            block.conv1 = Conv2d(width, width, 3, **he)
            block.torgb = Conv2d(width, img_channels, 1, equalized=equalized, filter=None)
            self.add_module(f"b{side}", block)

    def _finish(self, x: Tensor) -> Tensor:
        """Leaky ReLU and norm."""
        if self.norm_first:
            return leaky_relu_(pixel_norm(x)) if self.pixel_norm else leaky_relu_(x)
        return pixel_norm(leaky_relu_(x)) if self.pixel_norm else leaky_relu_(x)

    def forward(
        self, ws: Tensor, noise_mode: str = "const", generator: torch.Generator | None = None, *, lod: float | None = None
    ) -> Tensor:
        """[N, 1, w_dim] -> [N, C, H, W], nominally in [-1, 1].

        Args:
            ws: latents.
            noise_mode, generator: for what style-based generators take; this one has no noise.
            lod: level of detail: 0 for the full resolution, 1 for half of it, between them a blend.
        """
        check_choice("noise_mode", noise_mode, generators.NOISE_MODES)
        generators.check_ws(ws, 1)
        sides, share = stage(list(self.widths), self.lod if lod is None else lod)
        x = self.dense(ws[:, 0]).view(ws.shape[0], -1, 4, 4).contiguous(memory_format=torch.channels_last)
        x = before = self._finish(x + self.bias.view(-1, 1, 1))
        for side in sides:
            block: Any = self.get_submodule(f"b{side}")
            before = x
            if side > 4:
                x = self._finish(nearest_convolution(x, block.conv0.scaled_weight, block.conv0.bias))
            x = self._finish(block.conv1(x))
        image: Tensor = block.torgb(x)
        if share:
            old: Any = self.get_submodule(f"b{sides[-2]}")
            image = image.lerp(F.interpolate(old.torgb(before), scale_factor=2, mode="nearest"), share)
        return image


class Generator(generators.Generator):
    """Normalisation and synthesis network; see them for the arguments."""

    synthesis: SynthesisNetwork

    def __init__(
        self,
        z_dim: int = 512,
        c_dim: int = 0,
        img_resolution: int = 128,
        img_channels: int = 3,
        *,
        mapping_kwargs: dict[str, Any] | None = None,
        synthesis_kwargs: dict[str, Any] | None = None,
    ) -> None:
        config = generators.arguments(locals())
        super().__init__(config, z_dim=z_dim, c_dim=c_dim, w_dim=z_dim + c_dim, num_ws=1, resolution=img_resolution)
        self.mapping = Normalization(z_dim, c_dim, **(mapping_kwargs or {}))
        self.synthesis = SynthesisNetwork(z_dim + c_dim, img_resolution, img_channels, **(synthesis_kwargs or {}))


class Discriminator(nn.Module):
    """Pictures to scores: real high, made low.

    Args:
        c_dim: number of classes; 0: none.
        img_resolution, img_channels, channel_base, channel_max, channels, equalized: see :class:`SynthesisNetwork`.
        mbstd_group_size: pictures of a group whose spread is seen; None: all; 0: none.
        mbstd_num_channels: channels that it gets.
        filter: one row of a low-pass filter before halving; empty: none.
        classes: ``"scores"`` appends a score for each class to the results, ``"product"`` gives the score of the class.
        pool_last: halve after the activation instead of before it.
        widen_first: let the first convolution of a resolution, not the second, change the number of channels.
        activate_rgb: end the layers that read pictures in a leaky ReLU.
        lod: level of detail that it has unless told otherwise.
    """

    def __init__(
        self,
        c_dim: int = 0,
        img_resolution: int = 128,
        img_channels: int = 3,
        *,
        channel_base: int = 16384,
        channel_max: int = 512,
        channels: Sequence[int] | None = None,
        equalized: bool = True,
        mbstd_group_size: int | None = 4,
        mbstd_num_channels: int = 1,
        filter: Sequence[float] = (),
        classes: str = "scores",
        pool_last: bool = False,
        widen_first: bool = False,
        activate_rgb: bool = True,
        lod: float = 0.0,
    ) -> None:
        super().__init__()
        self.config = generators.arguments(locals())
        check_choice("classes", classes, ("scores", "product"))
        self.kernel: Tensor
        self.c_dim, self.classes, self.pool_last, self.activate_rgb = c_dim, classes, pool_last, activate_rgb
        self.lod = lod
        self.group_size, self.num_channels = mbstd_group_size, mbstd_num_channels if mbstd_group_size != 0 else 0
        self.widths = generators.widths(img_resolution, channel_base, channel_max, channels)
        self.register_buffer("kernel", fir(filter or (1,)), persistent=False)
        dense: dict[str, Any] = dict(gain=GAIN, equalized=equalized)
        he = dense | dict(filter=None)
        for side, width in self.widths.items():
            block = nn.Module()
            block.fromrgb = Conv2d(img_channels, width, 1, **he)
            if side > 4:
                middle = self.widths[side // 2] if widen_first else width
                block.conv0 = Conv2d(width, middle, 3, **he)
                block.conv1 = Conv2d(middle, self.widths[side // 2], 3, **he)
            else:
                block.conv = Conv2d(width + self.num_channels, width, 3, **he)
                block.fc = FullyConnected(16 * width, width, **dense)
                outputs = 1 + c_dim if classes == "scores" else max(c_dim, 1)
                block.out = FullyConnected(width, outputs, equalized=equalized)
            self.add_module(f"b{side}", block)

    def forward(self, image: Tensor, c: Tensor | None = None, *, lod: float | None = None) -> Tensor:
        """[N, C, H, W] in [-1, 1], of the resolution of ``lod``, -> [N, 1], or [N, 1 + c_dim] with a score for each class."""
        lod = self.lod if lod is None else lod
        sides, share = stage(list(self.widths), lod)
        if tuple(image.shape[2:]) != (sides[-1], sides[-1]):
            raise StyleLoomError(
                f"pictures of {tuple(image.shape[2:])} px; this discriminator takes {sides[-1]} px at lod {lod:g}"
            )
        x = self._read(image, sides[-1])
        for side in reversed(sides[1:]):
            block: Any = self.get_submodule(f"b{side}")
            x = leaky_relu_(block.conv0(x))
            x = filtered(x, self.kernel, (self.kernel.shape[0] // 2,) * 2) if self.kernel.numel() > 1 else x
            if self.pool_last:
                x = F.avg_pool2d(leaky_relu_(block.conv1(x)), 2)
            else:
                x = leaky_relu_(boxed_convolution(x, block.conv1.scaled_weight, block.conv1.bias))
            if share and side == sides[-1]:
                x = x.lerp(self._read(F.avg_pool2d(image, 2), sides[-2]), share)
        last: Any = self.get_submodule("b4")
        if self.num_channels:
            x = with_minibatch_std(x, self.group_size, self.num_channels)
        found: Tensor = last.out(leaky_relu_(last.fc(leaky_relu_(last.conv(x)).flatten(1))))
        if self.classes == "scores" or not self.c_dim:
            return found
        if c is None:
            raise StyleLoomError(f"this network wants a class, [N, {self.c_dim}]")
        return (found * c).sum(1, keepdim=True)

    def _read(self, image: Tensor, side: int) -> Tensor:
        block: Any = self.get_submodule(f"b{side}")
        x: Tensor = block.fromrgb(image.contiguous(memory_format=torch.channels_last))
        return leaky_relu_(x) if self.activate_rgb else x


def wgan_generator_loss(scores: Tensor) -> Tensor:
    """-D(G(z)): [N, 1] -> [N, 1]."""
    return -scores


def wgan_discriminator_loss(real: Tensor, made: Tensor, drift: float = 0.001) -> Tensor:
    """D(G(z)) - D(x), and a little of D(x)^2 so that it does not drift from 0: [N, 1] each -> [N, 1]."""
    return made - real + drift * real.square()


def gradient_penalty(scores: Tensor, mixed: Tensor) -> Tensor:
    """(|dD(x)/dx| - 1)^2 of each picture (Gulrajani et al. 2017, Eq. 3).

    Args:
        scores: [N, 1] of ``mixed``.
        mixed: [N, C, H, W] between real and made pictures, which needs a gradient.
    """
    (gradient,) = torch.autograd.grad(scores.sum(), mixed, create_graph=True)
    return (gradient.square().sum((1, 2, 3)).sqrt() - 1).square()


FILES = generators.ModelFiles(KIND, Generator, Discriminator)
save, load, load_discriminator = FILES.save, FILES.load, FILES.load_discriminator


def game(recipe: Recipe, generator: Generator, judge: Discriminator) -> Game:
    """WGAN-GP, and where there are classes their cross-entropy (AC-GAN), at the level of detail of each step."""
    device = generator.device
    memory = Memory({}).to(device)
    learning = trained(judge, recipe.freeze)
    of_g = torch.optim.Adam(generator.parameters(), recipe.lr, (0.0, 0.99), eps=1e-8)
    of_d = torch.optim.Adam(learning, recipe.lr, (0.0, 0.99), eps=1e-8)
    growth = Growth(recipe.resolution, 4 if recipe.growing else recipe.resolution, recipe)

    def made(c: Tensor, seeds: Tensor, purpose: int) -> tuple[Tensor, Chances]:
        chances = Chances(seeds, purpose, device)
        image: Tensor = generator.synthesis(generator.mapping(chances.normal(recipe.z_dim), c))
        return image, chances

    def of_classes(found: Tensor, c: Tensor) -> Tensor:
        return F.cross_entropy(found[:, 1:], c) if generator.c_dim else found.new_zeros(())

    def of_generator(real: Tensor, c: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        only(generator.parameters(), generator, judge)
        found = judge(made(c, seeds, 0)[0], c)
        return {"G": wgan_generator_loss(found[:, :1]).mean() + of_classes(found, c)}

    def of_judge(real: Tensor, c: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        only(learning, generator, judge)
        real = faded(real, judge.lod)
        with torch.no_grad():
            image, chances = made(c, seeds, 1)
        between = image.lerp(real, chances.uniform(1, 1, 1)).requires_grad_()
        penalty = gradient_penalty(judge(between, c)[:, :1], between).mean()
        found, wrong = judge(real, c), judge(image, c)
        loss = wgan_discriminator_loss(found[:, :1], wrong[:, :1], recipe.drift).mean()
        classes = of_classes(found, c) + of_classes(wrong, c)
        return {"D": loss + classes, "penalty": recipe.gradient_penalty * penalty}

    def begin(step: int) -> dict[str, float]:
        return growth.begin(step, generator.synthesis, judge, of_g, of_d)

    phases = {"D": Phase(of_d, of_judge), "G": Phase(of_g, of_generator)}
    return Game(
        generator, judge, memory, phases, lambda step: recipe.average_decay, begin, min(recipe.batch), places=growth.places
    )


def faded(real: Tensor, lod: float) -> Tensor:
    """Real pictures [N, C, H, W] at a level of detail: reduced, and blended with what the next lower level shows of them."""
    whole = math.floor(lod)
    real = F.avg_pool2d(real, 2**whole) if whole else real
    share = lod - whole
    return real.lerp(F.interpolate(F.avg_pool2d(real, 2), scale_factor=2), share) if share else real


class Growth:
    """Which pictures a step takes, and at what level of detail, when the batch shrinks as the resolution grows.

    Args:
        resolution: the last side.
        start: the first side.
        recipe: ``fade_kimg``, ``stable_kimg``, and ``batch`` at 4 px, 8 px and so on.
    """

    def __init__(self, resolution: int, start: int, recipe: Any) -> None:
        self.resolution, self.start, self.recipe = resolution, start, recipe
        # Of each level: its first step, its first picture, and its batch. A new one begins to be faded in when the one
        # before has been kept for a while.
        self.levels: list[tuple[int, int, int]] = []
        step = place = 0
        for level in range(int(math.log2(resolution // start)) + 1):
            batch = recipe.batch[min(int(math.log2(start)) - 2 + level, len(recipe.batch) - 1)]
            self.levels.append((step, place, batch))
            end = 1000 * (recipe.stable_kimg + level * (recipe.stable_kimg + recipe.fade_kimg))
            steps = max(0, math.ceil((end - place) / batch))
            step, place = step + steps, place + steps * batch

    def places(self, step: int) -> range:
        """Of a step's pictures in the endless row of them."""
        first, place, batch = self.levels[bisect.bisect_right(self.levels, step, key=lambda level: level[0]) - 1]
        begin = place + (step - first) * batch
        return range(begin, begin + batch)

    def lod(self, step: int) -> float:
        """The level of detail of a step."""
        seen = self.places(step).start / 1000
        return grown(self.resolution, self.start, seen, self.recipe.stable_kimg, self.recipe.fade_kimg)

    def begin(self, step: int, synthesis: Any, judge: Any, *optimizers: torch.optim.Optimizer) -> dict[str, float]:
        """Set the networks' level of detail, and at a new level let the optimizers forget the steps before."""
        synthesis.lod = judge.lod = self.lod(step)
        if any(step == first for first, _, _ in self.levels[1:]):
            for optimizer in optimizers:
                optimizer.state.clear()
        return {"lod": synthesis.lod} if len(self.levels) > 1 else {}


train = adversarial.trainer(FILES, networks, game, PRESETS["128"], load_embedding)
