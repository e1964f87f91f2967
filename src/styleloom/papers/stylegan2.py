"""Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020.

StyleGAN sets the scale of each feature map by instance norm and a style, and hides a spike in every picture that cheats the
norm: a droplet. Here the style scales the *inputs* of a convolution, and the outputs are divided by the spread that this
leads one to expect: statistics of the weights, not of the picture, so nothing is gained by a spike. There are skip
connections instead of growing, and R1 and a path length penalty are taken now and then only.

Parameters have the names of NVIDIA's stylegan2-ada-pytorch, whose files load as they are.

Differs from the official code:
    - inputs are scaled before one convolution that all pictures share, and outputs after it, instead of weights of each
      picture's own in a grouped convolution: equal, and faster on a CPU;
    - plain torch operators, without compiled kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleloom.blocks import checkpoint
from styleloom.blocks.equalized import Conv2d, FullyConnected, leaky_relu, normalized, with_minibatch_std
from styleloom.blocks.errors import StyleLoomError, check_choice
from styleloom.blocks.resample import convolved, downsampled, fir, upsampled

ARCHITECTURES = ("orig", "skip", "resnet")
KIND = "stylegan2"
NOISE_MODES = ("const", "random", "none")
HALF = math.sqrt(0.5)  # of each of two branches that are added


def modulated_conv(x: Tensor, weight: Tensor, styles: Tensor, kernel: Tensor, *, demodulate: bool = True, up: int = 1) -> Tensor:
    """Convolution with weights scaled by styles, and divided by the spread that these give the outputs.

    Args:
        x: [N, I, H, W].
        weight: [O, I, k, k].
        styles: [N, I].
        kernel: low-pass filter, see :func:`~styleloom.blocks.resample.fir`.
        demodulate: divide by the expected spread.
        up: 2 doubles the resolution.

    Returns:
        [N, O, up H, up W].
    """
    # Eq. 1: w'_ijk = s_i w_ijk, which is to scale the inputs.
    found = convolved(x * styles.to(x.dtype)[:, :, None, None], weight.to(x.dtype), kernel, up=up)
    if not demodulate:
        return found
    # Eq. 3: w''_ijk = w'_ijk / sqrt(sum_ik w'_ijk^2), which is to scale the outputs.
    spread = (styles.square() @ weight.square().sum((2, 3)).T + 1e-8).rsqrt()  # [N, O]
    return found * spread.to(x.dtype)[:, :, None, None]


class MappingNetwork(nn.Module):
    """z, and the embedding of a class, to w.

    Args:
        z_dim: size of z; 0: none.
        c_dim: number of classes; 0: none.
        w_dim: size of w.
        num_ws: copies of w that are given out, or None for [N, w_dim] and no truncation.
        num_layers: dense layers.
        embed_features: size of a class's embedding, w_dim unless told.
        layer_features: size of the layers between, w_dim unless told.
        lr_multiplier: how much slower than the others these layers learn.
        w_avg_beta: decay of the running mean of w; None: none is kept.
    """

    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        num_ws: int | None,
        *,
        num_layers: int = 8,
        embed_features: int | None = None,
        layer_features: int | None = None,
        lr_multiplier: float = 0.01,
        w_avg_beta: float | None = 0.995,
    ) -> None:
        super().__init__()
        self.w_avg: Tensor
        self.z_dim, self.c_dim, self.w_dim, self.num_ws, self.num_layers = z_dim, c_dim, w_dim, num_ws, num_layers
        self.w_avg_beta = w_avg_beta
        embedded = (embed_features or w_dim) if c_dim else 0
        if c_dim:
            self.embed = FullyConnected(c_dim, embedded)
        sizes = [z_dim + embedded, *[layer_features or w_dim] * (num_layers - 1), w_dim]
        for index in range(num_layers):
            layer = FullyConnected(sizes[index], sizes[index + 1], lr_multiplier=lr_multiplier, activate=True)
            self.add_module(f"fc{index}", layer)
        if num_ws is not None and w_avg_beta is not None:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(
        self,
        z: Tensor | None,
        c: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        update_average: bool = False,
    ) -> Tensor:
        """[N, z_dim] and [N, c_dim] -> ws [N, num_ws, w_dim], drawn to the mean by ``truncation_psi`` in the first layers."""
        parts = [normalized(z.float())] if self.z_dim and z is not None else []
        if self.c_dim:
            if c is None:
                raise StyleLoomError(f"this network wants a class, [N, {self.c_dim}]")
            parts.append(normalized(self.embed(c.float())))
        x = torch.cat(parts, 1)
        for index in range(self.num_layers):
            x = self.get_submodule(f"fc{index}")(x)
        if update_average and self.w_avg_beta is not None:
            self.w_avg.copy_(x.detach().mean(0).lerp(self.w_avg, self.w_avg_beta))
        if self.num_ws is None:
            return x
        ws = x[:, None].expand(-1, self.num_ws, -1)
        if truncation_psi == 1:
            return ws
        cutoff = self.num_ws if truncation_cutoff is None else truncation_cutoff
        return torch.cat([self.w_avg.lerp(ws[:, :cutoff], truncation_psi), ws[:, cutoff:]], 1)


Noise = Callable[["SynthesisLayer", Tensor], Tensor | None]


class SynthesisLayer(nn.Module):
    """A modulated convolution, noise, bias and leaky ReLU."""

    def __init__(
        self, inputs: int, outputs: int, w_dim: int, resolution: int, *, up: int = 1, clamp: float | None = None
    ) -> None:
        super().__init__()
        self.resample_filter: Tensor
        self.noise_const: Tensor
        self.up, self.clamp = up, clamp
        self.register_buffer("resample_filter", fir())
        self.affine = FullyConnected(w_dim, inputs, bias_init=1)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, w: Tensor, noise: Noise, gain: float = 1.0) -> Tensor:
        """[N, inputs, H, W], [N, w_dim] -> [N, outputs, up H, up W]."""
        x = modulated_conv(x, self.weight, self.affine(w), self.resample_filter, up=self.up)
        added = noise(self, x)
        if added is not None:
            x = x + (added * self.noise_strength).to(x.dtype)
        return leaky_relu(x, self.bias, gain=gain, clamp=self.clamp)


class ToRGB(nn.Module):
    """Features to a picture: modulated, not demodulated."""

    def __init__(self, inputs: int, outputs: int, w_dim: int, *, clamp: float | None = None) -> None:
        super().__init__()
        self.clamp = clamp
        self.affine = FullyConnected(w_dim, inputs, bias_init=1)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.weight_gain = 1 / math.sqrt(inputs)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """[N, inputs, H, W], [N, w_dim] -> [N, outputs, H, W]."""
        styles = self.affine(w) * self.weight_gain
        x = modulated_conv(x, self.weight, styles, self.weight.new_ones(1, 1), demodulate=False)
        x = x + self.bias.to(x.dtype).view(1, -1, 1, 1)
        return x.clamp(-self.clamp, self.clamp) if self.clamp is not None else x


class SynthesisBlock(nn.Module):
    """The layers of one resolution: two convolutions (one at 4 px), and a picture where the architecture has one."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        w_dim: int,
        resolution: int,
        img_channels: int,
        *,
        is_last: bool,
        architecture: str = "skip",
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.resample_filter: Tensor
        self.inputs, self.architecture = inputs, architecture
        self.register_buffer("resample_filter", fir())
        if inputs:
            self.conv0 = SynthesisLayer(inputs, outputs, w_dim, resolution, up=2, clamp=clamp)
        else:
            self.const = nn.Parameter(torch.randn(outputs, resolution, resolution))
        self.conv1 = SynthesisLayer(outputs, outputs, w_dim, resolution, clamp=clamp)
        self.num_conv = 2 if inputs else 1
        self.num_torgb = int(is_last or architecture == "skip")
        if self.num_torgb:
            self.torgb = ToRGB(outputs, img_channels, w_dim, clamp=clamp)
        if inputs and architecture == "resnet":
            self.skip = Conv2d(inputs, outputs, 1, bias=False, up=2)

    def forward(self, x: Tensor | None, image: Tensor | None, ws: Tensor, noise: Noise) -> tuple[Tensor, Tensor | None]:
        """Features and picture of half the resolution, ws [N, num_conv + num_torgb, w_dim] -> features and picture."""
        w = iter(ws.unbind(1))
        if x is None:
            x = self.const.expand(ws.shape[0], -1, -1, -1).contiguous(memory_format=torch.channels_last)
            x = self.conv1(x, next(w), noise)
        elif self.architecture == "resnet":
            y = self.skip(x, gain=HALF)
            x = self.conv0(x, next(w), noise)
            x = y + self.conv1(x, next(w), noise, gain=HALF)
        else:
            x = self.conv1(self.conv0(x, next(w), noise), next(w), noise)
        if image is not None:
            image = upsampled(image, self.resample_filter)
        if self.num_torgb:
            y = self.torgb(x, next(w)).float()
            image = image + y if image is not None else y
        return x, image


class SynthesisNetwork(nn.Module):
    """ws to pictures.

    Args:
        w_dim: size of w.
        img_resolution: side of the pictures, a power of two from 4.
        img_channels: channels of the pictures.
        channel_base: channels times resolution ...
        channel_max: ... but at most so many channels.
        architecture: ``"skip"`` (pictures of all resolutions are added), ``"resnet"`` or ``"orig"`` (Figure 7).
        conv_clamp: largest magnitude of activations, which 16-bit numbers need.
    """

    def __init__(
        self,
        w_dim: int,
        img_resolution: int,
        img_channels: int = 3,
        *,
        channel_base: int = 32768,
        channel_max: int = 512,
        architecture: str = "skip",
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        check_choice("architecture", architecture, ARCHITECTURES)
        self.resolutions = _resolutions(img_resolution)
        width = {resolution: min(channel_base // resolution, channel_max) for resolution in self.resolutions}
        self.num_ws = 1  # of the last picture
        for resolution in self.resolutions:
            block = SynthesisBlock(
                width[resolution // 2] if resolution > 4 else 0,
                width[resolution],
                w_dim,
                resolution,
                img_channels,
                is_last=resolution == img_resolution,
                architecture=architecture,
                clamp=conv_clamp,
            )
            self.num_ws += block.num_conv
            self.add_module(f"b{resolution}", block)

    def forward(self, ws: Tensor, noise_mode: str = "random", generator: torch.Generator | None = None) -> Tensor:
        """[N, num_ws, w_dim] -> [N, C, H, W], nominally in [-1, 1].

        Args:
            ws: a w for each layer; a picture's own layer shares that of the next block's first.
            noise_mode: ``"const"`` for the noise that the network holds, ``"random"`` or ``"none"``.
            generator: of random noise.
        """
        check_choice("noise_mode", noise_mode, NOISE_MODES)

        def noise(layer: SynthesisLayer, x: Tensor) -> Tensor | None:
            if noise_mode == "random":
                return torch.randn(x.shape[0], 1, *x.shape[2:], generator=generator, device=x.device)
            return layer.noise_const if noise_mode == "const" else None

        x = image = None
        place = 0
        for resolution in self.resolutions:
            block = cast(SynthesisBlock, self.get_submodule(f"b{resolution}"))
            x, image = block(x, image, ws[:, place : place + block.num_conv + block.num_torgb], noise)
            place += block.num_conv
        return cast(Tensor, image)


def _resolutions(img_resolution: int) -> list[int]:
    if img_resolution < 4 or img_resolution & (img_resolution - 1):
        raise StyleLoomError(f"img_resolution is {img_resolution}; it must be a power of two, at least 4")
    return [2**power for power in range(2, img_resolution.bit_length())]


class Generator(nn.Module):
    """Mapping and synthesis network; see them for the arguments."""

    def __init__(
        self,
        z_dim: int = 512,
        c_dim: int = 0,
        w_dim: int = 512,
        img_resolution: int = 256,
        img_channels: int = 3,
        *,
        mapping_kwargs: Mapping[str, Any] | None = None,
        synthesis_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.config = dict(
            z_dim=z_dim,
            c_dim=c_dim,
            w_dim=w_dim,
            img_resolution=img_resolution,
            img_channels=img_channels,
            mapping_kwargs=dict(mapping_kwargs or {}),
            synthesis_kwargs=dict(synthesis_kwargs or {}),
        )
        self.z_dim, self.c_dim, self.w_dim, self.resolution = z_dim, c_dim, w_dim, img_resolution
        self.synthesis = SynthesisNetwork(w_dim, img_resolution, img_channels, **(synthesis_kwargs or {}))
        self.num_ws = self.synthesis.num_ws
        self.mapping = MappingNetwork(z_dim, c_dim, w_dim, self.num_ws, **(mapping_kwargs or {}))


class DiscriminatorBlock(nn.Module):
    """The layers of one resolution, ending at half of it."""

    def __init__(
        self, inputs: int, middle: int, outputs: int, img_channels: int, *, architecture: str, clamp: float | None = None
    ) -> None:
        super().__init__()
        self.resample_filter: Tensor
        self.architecture = architecture
        self.register_buffer("resample_filter", fir())
        self.reads = not inputs or architecture == "skip"
        if self.reads:
            self.fromrgb = Conv2d(img_channels, middle, 1, activate=True, clamp=clamp)
        self.conv0 = Conv2d(middle, middle, 3, activate=True, clamp=clamp)
        self.conv1 = Conv2d(middle, outputs, 3, activate=True, down=2, clamp=clamp)
        if architecture == "resnet":
            self.skip = Conv2d(middle, outputs, 1, bias=False, down=2)

    def forward(self, x: Tensor | None, image: Tensor) -> tuple[Tensor, Tensor]:
        """Features, and the picture of this resolution -> features and picture of half of it."""
        if self.reads:
            y = self.fromrgb(image)
            x = x + y if x is not None else y
        if self.architecture == "skip":
            image = downsampled(image, self.resample_filter)
        if self.architecture == "resnet":
            y = self.skip(x, gain=HALF)
            return y + self.conv1(self.conv0(x), gain=HALF), image
        return self.conv1(self.conv0(x)), image


class DiscriminatorEpilogue(nn.Module):
    """Minibatch spread, a last convolution and two dense layers, at 4 px."""

    def __init__(
        self,
        inputs: int,
        cmap_dim: int,
        img_channels: int,
        *,
        architecture: str,
        mbstd_group_size: int | None = 4,
        mbstd_num_channels: int = 1,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.architecture, self.cmap_dim = architecture, cmap_dim
        self.group_size, self.num_channels = mbstd_group_size, mbstd_num_channels
        if architecture == "skip":
            self.fromrgb = Conv2d(img_channels, inputs, 1, activate=True)
        self.conv = Conv2d(inputs + mbstd_num_channels, inputs, 3, activate=True, clamp=clamp)
        self.fc = FullyConnected(inputs * 16, inputs, activate=True)
        self.out = FullyConnected(inputs, cmap_dim or 1)

    def forward(self, x: Tensor, image: Tensor, cmap: Tensor | None) -> Tensor:
        """[N, inputs, 4, 4] -> [N, 1]."""
        x = x.float()
        if self.architecture == "skip":
            x = x + self.fromrgb(image)
        if self.num_channels:
            x = with_minibatch_std(x, self.group_size, self.num_channels)
        x = self.out(self.fc(self.conv(x).flatten(1)))
        return (x * cmap).sum(1, keepdim=True) / math.sqrt(self.cmap_dim) if cmap is not None else x


class Discriminator(nn.Module):
    """Pictures to logits: real above 0, made below.

    Args:
        c_dim: number of classes; 0: none.
        img_resolution, img_channels, channel_base, channel_max, conv_clamp: see :class:`SynthesisNetwork`.
        architecture: ``"resnet"``, ``"skip"`` or ``"orig"``.
        cmap_dim: size of the projection of a class, the channels at 4 px unless told.
        mapping_kwargs: of the classes' :class:`MappingNetwork`.
        epilogue_kwargs: ``mbstd_group_size`` and ``mbstd_num_channels``.
    """

    def __init__(
        self,
        c_dim: int = 0,
        img_resolution: int = 256,
        img_channels: int = 3,
        *,
        architecture: str = "resnet",
        channel_base: int = 32768,
        channel_max: int = 512,
        conv_clamp: float | None = None,
        cmap_dim: int | None = None,
        mapping_kwargs: Mapping[str, Any] | None = None,
        epilogue_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        check_choice("architecture", architecture, ARCHITECTURES)
        self.config = dict(
            c_dim=c_dim,
            img_resolution=img_resolution,
            img_channels=img_channels,
            architecture=architecture,
            channel_base=channel_base,
            channel_max=channel_max,
            conv_clamp=conv_clamp,
            cmap_dim=cmap_dim,
            mapping_kwargs=dict(mapping_kwargs or {}),
            epilogue_kwargs=dict(epilogue_kwargs or {}),
        )
        self.c_dim = c_dim
        self.resolutions = _resolutions(img_resolution)[:0:-1]  # down to 8
        width = {resolution: min(channel_base // resolution, channel_max) for resolution in [*self.resolutions, 4]}
        cmap_dim = (width[4] if cmap_dim is None else cmap_dim) if c_dim else 0
        common: dict[str, Any] = dict(architecture=architecture, clamp=conv_clamp)
        for resolution in self.resolutions:
            inputs = width[resolution] if resolution < img_resolution else 0
            block = DiscriminatorBlock(inputs, width[resolution], width[resolution // 2], img_channels, **common)
            self.add_module(f"b{resolution}", block)
        if c_dim:
            self.mapping = MappingNetwork(0, c_dim, cmap_dim, None, w_avg_beta=None, **(mapping_kwargs or {}))
        self.b4 = DiscriminatorEpilogue(width[4], cmap_dim, img_channels, **common, **(epilogue_kwargs or {}))

    def forward(self, image: Tensor, c: Tensor | None = None) -> Tensor:
        """[N, C, H, W] in [-1, 1] -> [N, 1]."""
        x = None
        for resolution in self.resolutions:
            x, image = self.get_submodule(f"b{resolution}")(x, image)
        logits: Tensor = self.b4(x, image, self.mapping(None, c) if self.c_dim else None)
        return logits


def save(generator: Generator, path: Path, discriminator: Discriminator | None = None, licence: str = "Apache-2.0") -> None:
    """Write a model file: a generator, and the discriminator that goes on teaching it."""
    networks = {"G": generator, "D": discriminator}
    tensors = {f"{key}.{name}": value for key, net in networks.items() if net for name, value in net.state_dict().items()}
    config = {key: net.config if net else None for key, net in networks.items()}
    checkpoint.save_model(path, tensors, kind=KIND, config=config, licence=licence)


def load(name: str | Path) -> Generator:
    """A generator from a name in the zoo, a path or ``hf://owner/repo/file``, in fp32.

    Raises:
        StyleLoomError: no such model, or one of another kind.
    """
    return _loaded(name, "G", Generator)


def load_discriminator(name: str | Path) -> Discriminator:
    """The discriminator beside a generator, see :func:`load`.

    Raises:
        StyleLoomError: no such model, one of another kind, or one without a discriminator.
    """
    return _loaded(name, "D", Discriminator)


Network = TypeVar("Network", Generator, Discriminator)


def _loaded(name: str | Path, key: str, build: type[Network]) -> Network:
    tensors, config = checkpoint.read_model(name, KIND)
    if not config[key]:
        raise StyleLoomError(f"{name} holds no {build.__name__.lower()}")
    network = build(**config[key])
    network.load_state_dict({place.removeprefix(f"{key}."): t for place, t in tensors.items() if place.startswith(f"{key}.")})
    return network.float().eval()


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


def path_lengths(image: Tensor, ws: Tensor, noise: Tensor) -> Tensor:
    """|J^T y| of each picture, root mean square over its layers (Eq. 4).

    Args:
        image: [N, C, H, W], made of ``ws``.
        ws: [N, num_ws, w_dim], which needs a gradient.
        noise: y, [N, C, H, W], normal.
    """
    height, width = image.shape[2:]
    (gradient,) = torch.autograd.grad((image * noise).sum() / math.sqrt(height * width), ws, create_graph=True)
    return gradient.square().sum(2).mean(1).sqrt()
