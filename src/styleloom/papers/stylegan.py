"""Karras et al., "A Style-Based Generator Architecture for Generative Adversarial Networks", CVPR 2019.

The latent no longer enters as a first picture: the generator begins with a learned constant. A mapping network turns z into
w, and w sets scale and shift of each layer's normalised features: AdaIN, with w in the place of a style picture. Noise at
each pixel gives what is left to chance. Two w may share a picture, coarse layers of one and fine ones of the other; to draw
w to its mean gives less variety and better pictures.

The rest is ProGAN's: growing, equalised learning rates, and the discriminator, which has now a low-pass filter.

Differs from the official code: as progan.py. The first eight layers are truncated when one asks for it, not always.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleloom.blocks import adversarial, generators
from styleloom.blocks.adversarial import Adversarial, Chances, Game, Memory, only, trained
from styleloom.blocks.equalized import GAIN, Conv2d, FullyConnected, leaky_relu_, normalized
from styleloom.blocks.errors import StyleLoomError, check_choice
from styleloom.blocks.fit import Phase
from styleloom.blocks.layers import instance_norm
from styleloom.blocks.resample import filtered, fir, nearest_convolution
from styleloom.convert.inception import load_embedding

from . import progan

KIND = "stylegan"
FILTER = (1, 2, 1)


@dataclass(frozen=True)
class Recipe(Adversarial):
    """The paper's constants, and each of Table 1's lines to switch on and off.

    Args:
        channel_base, channel_max: channels are min(channel_base / resolution, channel_max).
        z_dim, w_dim: sizes of z and w.
        blur: low-pass filters where the resolution changes (line b).
        mapping_layers: dense layers from z to w (line c); 0: w is z of unit length.
        styles: w sets scale and shift of each layer (line c); otherwise it only enters the first.
        const_input: begin with a learned constant (line d); otherwise with a dense layer of w.
        noise: noise at each pixel (line e).
        mixing_prob: share of pictures that have two w (line f).
        growing: begin at 8 px and grow; otherwise all layers from the start.
        start_resolution: where growing begins.
        fade_kimg, stable_kimg: thousands of pictures during which a level is faded in, and then kept.
        r1_gamma: weight of the R1 penalty, taken in each step.
        w_avg_beta: decay of the running mean of w.
        average_kimg: thousands of pictures after which a weight's share in the average has halved.
        batch: pictures a step at 4 px, 8 px and so on, the last for all above.
        lr: Adam's learning rate likewise, with betas 0 and .99, anew at each level.
    """

    resolution: int = 128
    channel_base: int = 16384
    channel_max: int = 512
    z_dim: int = 512
    w_dim: int = 512
    blur: bool = True
    mapping_layers: int = 8
    styles: bool = True
    const_input: bool = True
    noise: bool = True
    mixing_prob: float = 0.9
    growing: bool = True
    start_resolution: int = 8
    fade_kimg: float = 600.0
    stable_kimg: float = 600.0
    r1_gamma: float = 10.0
    w_avg_beta: float = 0.995
    average_kimg: float = 10.0
    batch: tuple[int, ...] = (512, 256, 128, 64, 32)
    lr: tuple[float, ...] = (0.001, 0.001, 0.001, 0.001, 0.001, 0.0015, 0.002, 0.003)


PRESETS: dict[str, Recipe] = {str(side): Recipe(resolution=side) for side in (32, 64, 128, 256, 512, 1024)} | {
    "32-small": Recipe(resolution=32, channel_base=2048, channel_max=128, z_dim=128, w_dim=128),
    "64-small": Recipe(resolution=64, channel_base=2048, channel_max=128, z_dim=128, w_dim=128),
}
"""The paper's networks by resolution, and small ones for a CPU."""


def level_of_detail(recipe: Recipe, kimg: float) -> float:
    """``lod`` after some thousands of pictures: as ProGAN's, from a later start."""
    if not recipe.growing:
        return 0.0
    return progan.grown(recipe.resolution, recipe.start_resolution, kimg, recipe.stable_kimg, recipe.fade_kimg)


def networks(recipe: Recipe, c_dim: int = 0, img_channels: int = 3) -> tuple[Generator, progan.Discriminator]:
    """A generator and a discriminator with random weights.

    Args:
        recipe: their sizes and options.
        c_dim: number of classes; 0: none.
        img_channels: channels of the pictures.
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


def truncated(ws: Tensor, w_avg: Tensor, truncation_psi: float, truncation_cutoff: int | None) -> Tensor:
    """Draw ws [N, num_ws, w_dim] to the mean [w_dim], in the first ``truncation_cutoff`` layers, or in all."""
    cutoff = ws.shape[1] if truncation_cutoff is None else truncation_cutoff
    if not 0 <= cutoff <= ws.shape[1]:
        raise StyleLoomError(f"truncation_cutoff is {cutoff}; it must be from 0 to {ws.shape[1]}, the number of layers")
    if truncation_psi == 1:
        return ws
    return torch.cat([w_avg.lerp(ws[:, :cutoff], truncation_psi), ws[:, cutoff:]], 1)


class MappingNetwork(nn.Module):
    """z, and the embedding of a class, to w.

    Args:
        z_dim: size of z.
        c_dim: number of classes; 0: none.
        w_dim: size of w.
        num_ws: copies of w that are given out.
        num_layers: dense layers.
        layer_features: size of the layers between, w_dim unless told.
        lr_multiplier: how much slower than the others these layers learn.
        w_avg_beta: decay of the running mean of w.
        normalize_latents: begin with vectors of unit length.
    """

    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        num_ws: int,
        *,
        num_layers: int = 8,
        layer_features: int | None = None,
        lr_multiplier: float = 0.01,
        w_avg_beta: float = 0.995,
        normalize_latents: bool = True,
    ) -> None:
        super().__init__()
        self.w_avg: Tensor
        self.c_dim, self.num_ws, self.num_layers = c_dim, num_ws, num_layers
        self.w_avg_beta, self.normalize_latents = w_avg_beta, normalize_latents
        if c_dim:
            self.embed = nn.Parameter(torch.randn(c_dim, z_dim))
        sizes = [z_dim * (2 if c_dim else 1), *[layer_features or w_dim] * (num_layers - 1), w_dim]
        for index in range(num_layers):
            layer = FullyConnected(sizes[index], sizes[index + 1], lr_multiplier=lr_multiplier, gain=GAIN)
            self.add_module(f"fc{index}", layer)
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        update_average: bool = False,
    ) -> Tensor:
        """[N, z_dim] and [N, c_dim] -> ws [N, num_ws, w_dim], drawn to the mean by ``truncation_psi`` in the first layers."""
        x = z.float()
        if self.c_dim:
            if c is None:
                raise StyleLoomError(f"this network wants a class, [N, {self.c_dim}]")
            x = torch.cat([x, c.float() @ self.embed], 1)
        x = normalized(x) if self.normalize_latents else x
        for index in range(self.num_layers):
            x = leaky_relu_(self.get_submodule(f"fc{index}")(x))
        if update_average:
            self.w_avg.copy_(x.detach().mean(0).lerp(self.w_avg, self.w_avg_beta))
        return truncated(x[:, None].expand(-1, self.num_ws, -1), self.w_avg, truncation_psi, truncation_cutoff)


class Layer(nn.Module):
    """A convolution, noise, bias, leaky ReLU, instance norm and a style; the first has a constant, or w, to begin with.

    Args:
        inputs: channels that come, 0 for a constant; for ``"dense"`` the size of w.
        outputs: channels that go.
        w_dim: size of w.
        side: resolution of the result.
        start: ``"const"``, ``"dense"``, ``"up"`` or ``"same"``: what stands in the convolution's place, or what it does.
        filter: one row of a low-pass filter after doubling; empty: none.
        use_styles, use_noise, pixel_norm, instance_norm: see :class:`SynthesisNetwork`.
        norm_epsilon, bias_first: likewise.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        w_dim: int,
        side: int,
        start: str,
        *,
        filter: Sequence[float],
        use_styles: bool,
        use_noise: bool,
        pixel_norm: bool,
        instance_norm: bool,
        norm_epsilon: float,
        bias_first: bool,
    ) -> None:
        super().__init__()
        self.kernel: Tensor
        self.noise_const: Tensor
        self.outputs, self.start, self.bias_first, self.norm_epsilon = outputs, start, bias_first, norm_epsilon
        self.pixel_norm, self.instance_norm = pixel_norm, instance_norm
        if start == "const":
            self.const = nn.Parameter(torch.ones(outputs, side, side))
        elif start == "dense":
            self.dense = FullyConnected(inputs, 16 * outputs, bias=False, gain=GAIN / 4)
        else:
            self.conv = Conv2d(inputs, outputs, 3, bias=False, gain=GAIN, filter=None)
        self.register_buffer("kernel", fir(filter or (1,)), persistent=False)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("noise_const", torch.randn(side, side) if use_noise else None)
        self.noise_strength = nn.Parameter(torch.zeros(outputs)) if use_noise else None
        self.affine = FullyConnected(w_dim, 2 * outputs) if use_styles else None

    def forward(self, x: Tensor | None, w: Tensor, noise: Tensor | None) -> Tensor:
        """[N, inputs, H, W], w [N, w_dim] and noise [1 or N, 1, H', W'] -> [N, outputs, H', W']."""
        bias = self.bias.view(-1, 1, 1)
        if self.start == "const":
            x = self.const.expand(w.shape[0], -1, -1, -1)
        elif self.start == "dense":
            x = self.dense(w).view(w.shape[0], self.outputs, 4, 4)
        elif self.start == "up":
            x = nearest_convolution(cast(Tensor, x), self.conv.scaled_weight, self.bias if self.bias_first else None)
            x = filtered(x, self.kernel, (self.kernel.shape[0] // 2,) * 2) if self.kernel.numel() > 1 else x
        else:
            x = self.conv(x)
        if noise is not None and self.noise_strength is not None:
            x = x + noise * self.noise_strength.view(-1, 1, 1)
        x = cast(Tensor, x) if self.bias_first and self.start == "up" else x + bias
        x = F.leaky_relu(x, 0.2)
        x = normalized(x) if self.pixel_norm else x
        if self.affine is None:
            return self._normalized(x)
        scale, shift = self.affine(w).chunk(2, 1)
        if not self.instance_norm:
            return torch.addcmul(shift[:, :, None, None], x, (scale + 1)[:, :, None, None])
        return instance_norm(x, scale + 1, shift, eps=self.norm_epsilon)

    def _normalized(self, x: Tensor) -> Tensor:
        return F.group_norm(x, x.shape[1], eps=self.norm_epsilon) if self.instance_norm else x


class SynthesisNetwork(nn.Module):
    """ws to pictures.

    Args:
        w_dim: size of w.
        img_resolution: side of the pictures, a power of two from 4.
        img_channels: channels of the pictures.
        channel_base, channel_max: channels are min(channel_base / resolution, channel_max) ...
        channels: ... or these, for each resolution from 4 px upwards.
        filter: one row of the low-pass filter after doubling; empty: none.
        use_styles: w sets scale and shift of each layer; otherwise the first w only enters a dense first layer.
        const_input: begin with a constant, not with a dense layer of w.
        use_noise: noise at each pixel.
        pixel_norm, instance_norm: how features are normalised before a style.
        norm_epsilon: added to variances.
        bias_first: add the bias before the low-pass filter.
        shared_noise: one map of noise for both layers of a resolution.
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
        filter: Sequence[float] = FILTER,
        use_styles: bool = True,
        const_input: bool = True,
        use_noise: bool = True,
        pixel_norm: bool = False,
        instance_norm: bool = True,
        norm_epsilon: float = 1e-8,
        bias_first: bool = False,
        shared_noise: bool = False,
        lod: float = 0.0,
    ) -> None:
        super().__init__()
        self.widths = generators.widths(img_resolution, channel_base, channel_max, channels)
        self.num_ws = 2 * len(self.widths) if use_styles else 1
        self.shared_noise, self.lod = shared_noise, lod
        common: dict[str, Any] = dict(
            filter=filter,
            use_styles=use_styles,
            use_noise=use_noise,
            pixel_norm=pixel_norm,
            instance_norm=instance_norm,
            norm_epsilon=norm_epsilon,
            bias_first=bias_first,
        )
        for side, width in self.widths.items():
            block = nn.Module()
            if side > 4:
                block.conv0 = Layer(self.widths[side // 2], width, w_dim, side, "up", **common)
            else:
                block.conv0 = Layer(w_dim, width, w_dim, side, "const" if const_input else "dense", **common)
            block.conv1 = Layer(width, width, w_dim, side, "same", **common)
            block.torgb = Conv2d(width, img_channels, 1, filter=None)
            self.add_module(f"b{side}", block)

    def forward(
        self,
        ws: Tensor,
        noise_mode: str = "random",
        generator: torch.Generator | None = None,
        *,
        noise: Sequence[Tensor] | None = None,
        lod: float | None = None,
    ) -> Tensor:
        """[N, num_ws, w_dim] -> [N, C, H, W], nominally in [-1, 1].

        Args:
            ws: a w for each layer.
            noise_mode: ``"const"`` for the noise that the network holds, ``"random"`` or ``"none"``.
            generator: of random noise.
            noise: maps to use instead, [1 or N, 1, H, W] for each layer.
            lod: level of detail: 0 for the full resolution, 1 for half of it, between them a blend.
        """
        check_choice("noise_mode", noise_mode, generators.NOISE_MODES)
        generators.check_ws(ws, self.num_ws)
        sides, share = progan.stage(list(self.widths), self.lod if lod is None else lod)
        x = before = None
        ws = ws.expand(-1, 2 * len(self.widths), -1) if self.num_ws == 1 else ws
        for place, side in enumerate(sides):
            before = x
            drawn = None
            for index in (2 * place, 2 * place + 1):
                layer = cast(Layer, self.get_submodule(f"b{side}.conv{index % 2}"))
                if noise is not None:
                    drawn = noise[index]
                elif noise_mode == "random" and (drawn is None or not self.shared_noise):
                    drawn = torch.randn(ws.shape[0], 1, side, side, generator=generator, device=ws.device)
                elif noise_mode == "const" and layer.noise_strength is not None:
                    drawn = layer.noise_const[None, None]
                x = layer(x, ws[:, index], drawn)
        image: Tensor = self.get_submodule(f"b{sides[-1]}.torgb")(x)
        if share:
            old = self.get_submodule(f"b{sides[-2]}.torgb")(before)
            image = image.lerp(F.interpolate(old, scale_factor=2, mode="nearest"), share)
        return image


class Generator(generators.Generator):
    """Mapping and synthesis network; see them for the arguments."""

    synthesis: SynthesisNetwork

    def __init__(
        self,
        z_dim: int = 512,
        c_dim: int = 0,
        w_dim: int = 512,
        img_resolution: int = 128,
        img_channels: int = 3,
        *,
        mapping_kwargs: dict[str, Any] | None = None,
        synthesis_kwargs: dict[str, Any] | None = None,
    ) -> None:
        config = generators.arguments(locals())
        synthesis = SynthesisNetwork(w_dim, img_resolution, img_channels, **(synthesis_kwargs or {}))
        super().__init__(config, z_dim=z_dim, c_dim=c_dim, w_dim=w_dim, num_ws=synthesis.num_ws, resolution=img_resolution)
        self.synthesis = synthesis
        self.mapping = MappingNetwork(z_dim, c_dim, w_dim, self.num_ws, **(mapping_kwargs or {}))


def discriminator(
    c_dim: int = 0, img_resolution: int = 128, img_channels: int = 3, *, filter: Sequence[float] = FILTER, **options: Any
) -> progan.Discriminator:
    """ProGAN's discriminator with a low-pass filter, and logits of the class asked for (Mescheder et al. 2018)."""
    return progan.Discriminator(c_dim, img_resolution, img_channels, filter=filter, classes="product", **options)


def generator_loss(logits: Tensor) -> Tensor:
    """-log D(G(z)), the non-saturating loss: [N, 1] -> [N, 1]."""
    return F.softplus(-logits)


def discriminator_loss(real: Tensor, made: Tensor) -> Tensor:
    """-log D(x) - log(1 - D(G(z))): [N, 1] each -> [N, 1]."""
    return F.softplus(-real) + F.softplus(made)


def r1_penalty(logits: Tensor, real: Tensor) -> Tensor:
    """|dD(x)/dx|^2 of each picture (Mescheder et al. 2018): logits [N, 1] of ``real`` [N, C, H, W], with a gradient -> [N]."""
    (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    return gradient.square().sum((1, 2, 3))


def mixed(first: Tensor, second: Tensor, probability: float, chances: Tensor, used: int = 0) -> Tensor:
    """Style mixing: with ``probability`` a picture has the second w from a random layer on (Section 3.1).

    Args:
        first, second: ws [N, num_ws, w_dim].
        probability: share of pictures that are mixed.
        chances: [N, 2] in [0, 1), of whether and where.
        used: layers in use; all unless told.
    """
    layers = used or first.shape[1]
    cut = 1 + (chances[:, 1] * (max(layers, 2) - 1)).long()
    cut = torch.where(chances[:, 0] < probability, cut, first.shape[1])
    place = torch.arange(first.shape[1], device=first.device)
    return torch.where((place < cut[:, None])[:, :, None], first, second)


FILES = generators.ModelFiles(KIND, Generator, progan.Discriminator)
save, load, load_discriminator = FILES.save, FILES.load, FILES.load_discriminator


def game(recipe: Recipe, generator: Generator, judge: progan.Discriminator) -> Game:
    """The non-saturating loss and R1 in each step, at its level of detail, with two w in some pictures."""
    device = generator.device
    memory = Memory({"w": (generator.w_dim,)}).to(device)
    learning = trained(judge, recipe.freeze)
    of_g = torch.optim.Adam(generator.parameters(), recipe.lr[0], (0.0, 0.99), eps=1e-8)
    of_d = torch.optim.Adam(learning, recipe.lr[0], (0.0, 0.99), eps=1e-8)
    growth = progan.Growth(recipe.resolution, recipe.start_resolution if recipe.growing else recipe.resolution, recipe)

    def made(c: Tensor, seeds: Tensor, purpose: int) -> Tensor:
        chances = Chances(seeds, purpose, device)
        z = chances.normal(2, recipe.z_dim)
        first, second = generator.mapping(z[:, 0], c), generator.mapping(z[:, 1], c)
        memory.add("w", first[:, 0])
        used = 2 * len(progan.stage(list(generator.synthesis.widths), judge.lod)[0])
        ws = mixed(first, second, recipe.mixing_prob, chances.uniform(2), min(used, generator.num_ws))
        noise = chances.noise(generator.noise_sides[:used]) if generator.noise_sides else None
        image: Tensor = generator.synthesis(ws, "none", noise=noise)
        return image

    def of_generator(real: Tensor, c: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        only(generator.parameters(), generator, judge)
        return {"G": generator_loss(judge(made(c, seeds, 0), c)).mean()}

    def of_judge(real: Tensor, c: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        only(learning, generator, judge)
        real = progan.faded(real, judge.lod).requires_grad_()
        with torch.no_grad():
            image = made(c, seeds, 1)
        logits = judge(real, c)
        penalty = r1_penalty(logits, real).mean() * (recipe.r1_gamma / 2)
        return {"D": discriminator_loss(logits, judge(image, c)).mean(), "r1": penalty}

    def begin(step: int) -> dict[str, float]:
        if (w := memory.take("w")) is not None:
            generator.w_avg.copy_(w.lerp(generator.w_avg, recipe.w_avg_beta))
        return growth.begin(step, generator.synthesis, judge, of_g, of_d)

    def rate(step: int) -> float:
        side = recipe.resolution >> math.floor(growth.lod(step))
        return recipe.lr[min(int(math.log2(side)) - 2, len(recipe.lr) - 1)] / recipe.lr[0]

    def average(step: int) -> float:
        return 0.5 ** (len(growth.places(step)) / (1000 * recipe.average_kimg))

    phases = {"D": Phase(of_d, of_judge), "G": Phase(of_g, of_generator)}
    return Game(generator, judge, memory, phases, average, begin, min(recipe.batch), places=growth.places, schedule=rate)


train = adversarial.trainer(FILES, networks, game, PRESETS["128"], load_embedding)
