"""The networks of StyleGAN2, see :mod:`styleloom.papers.stylegan2`.

Parameters have the names of NVIDIA's stylegan2-ada-pytorch, whose files load as they are.

Differs from the official code:
    - inputs are scaled before one convolution that all images share, and outputs after it, instead of weights of each
      image's own in a grouped convolution: equal, and faster on a CPU;
    - plain torch operators, without compiled kernels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.nn import generators
from styleloom.nn.equalized import GAIN, Conv2d, FullyConnected, leaky_relu_
from styleloom.nn.resample import TAPS, convolved, fir, upsampled

from .mapping import MappingNetwork

if TYPE_CHECKING:
    from .discriminator import Discriminator, DiscriminatorBlock

ARCHITECTURES = ("orig", "skip", "resnet")
NORMALIZATIONS = ("demodulate", "instance", "none")
LARGE = 2**24
"""Bytes of a batch's feature map from which on it goes on image by image: fresh memory comes slower than arithmetic
is done, and the maps of one image stay in the processor's cache and with the allocator."""
HALF = math.sqrt(0.5)  # of each of two branches that are added


def modulated_conv(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    kernel: Tensor,
    *,
    demodulate: bool = True,
    up: int = 1,
    bias: Tensor | None = None,
    gain: float = 1.0,
) -> Tensor:
    """Convolution with weights scaled by styles, and divided by the spread that these give the outputs.

    Args:
        x: [N, I, H, W].
        weight: [O, I, k, k].
        styles: [N, I].
        kernel: low-pass filter, see :func:`~styleloom.nn.resample.fir`.
        demodulate: divide by the expected spread.
        up: 2 doubles the resolution.
        bias: [O], added in the end.
        gain: factor of the result, bias included.

    Returns:
        [N, O, up H, up W].
    """
    # Eq. 1: w'_ijk = s_i w_ijk. Eq. 3: w''_ijk = w'_ijk / sqrt(sum_ik w'_ijk^2).
    scale = styles.new_full((), gain)
    if demodulate:
        scale = gain * (styles.square() @ weight.square().sum((2, 3)).T + 1e-8).rsqrt()  # [N, O]
    bias = (bias * gain).to(x.dtype) if bias is not None else None
    # Weights of an image's own want a gradient of their own, which costs twice the convolution: not where only ws are learned.
    own_pays = x.shape[0] == 1 and weight.numel() < x.numel() and (weight.requires_grad or not styles.requires_grad)
    if own_pays and not torch.compiler.is_compiling():
        own = weight * styles[0, :, None, None] * scale.reshape(-1, 1, 1, 1)
        return convolved(x, own.to(x.dtype), kernel, up=up, bias=bias)
    # To scale a kernel's inputs and outputs is to scale those of the convolution, which all images then share.
    output = convolved(x * styles.to(x.dtype)[:, :, None, None], weight.to(x.dtype), kernel, up=up)
    output = output * scale.to(x.dtype).reshape(*scale.shape, 1, 1)
    return output.add_(bias.view(-1, 1, 1)) if bias is not None else output


Noise = Sequence[Tensor | None]
"""A map [1 or N, 1, H, W], or none, for each convolution."""


class SynthesisLayer(nn.Module):
    """A modulated convolution, noise, bias and leaky ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        w_dim: int,
        resolution: int,
        *,
        up: int = 1,
        clamp: float | None = None,
        filter: Sequence[float] = TAPS,
        use_noise: bool = True,
        normalization: str = "demodulate",
    ) -> None:
        super().__init__()
        self.resample_filter: Tensor
        self.noise_const: Tensor
        self.up, self.clamp, self.use_noise, self.normalization = up, clamp, use_noise, normalization
        self.register_buffer("resample_filter", fir(filter))
        self.affine = FullyConnected(w_dim, inputs, bias_init=1)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        if use_noise:
            self.register_buffer("noise_const", torch.randn(resolution, resolution))
            self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None, gain: float = 1.0) -> Tensor:
        """[N, inputs, H, W], w [N, w_dim] and noise [1 or N, 1, up H, up W] -> [N, outputs, up H, up W]."""
        total = GAIN * gain
        styles = self.affine(w)
        if self.normalization == "instance":  # StyleGAN's norm in this network, to compare
            x = modulated_conv(x, self.weight, styles, self.resample_filter, up=self.up, demodulate=False)
            x = F.group_norm(x, x.shape[1], eps=1e-8).mul(total).add_((self.bias * total).to(x.dtype).view(-1, 1, 1))
        else:
            demodulate = self.normalization == "demodulate"
            styles = styles if demodulate else styles / math.sqrt(self.weight[0].numel())
            options: dict[str, Any] = dict(demodulate=demodulate, up=self.up, bias=self.bias, gain=total)
            x = modulated_conv(x, self.weight, styles, self.resample_filter, **options)
        if noise is not None and self.use_noise:
            x = x.add_((noise * (self.noise_strength * total)).to(x.dtype))
        return leaky_relu_(x, self.clamp * gain if self.clamp is not None else None)


class ToRGB(nn.Module):
    """Features to an image: modulated, not demodulated."""

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
        x = modulated_conv(x, self.weight, styles, self.weight.new_ones(1, 1), demodulate=False, bias=self.bias)
        return x.clamp_(-self.clamp, self.clamp) if self.clamp is not None else x


class SynthesisBlock(nn.Module):
    """The layers of one resolution: two convolutions (one at 4 px), and an image where the architecture has one."""

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
        filter: Sequence[float] = TAPS,
        **layer: Any,
    ) -> None:
        super().__init__()
        self.resample_filter: Tensor
        self.inputs, self.architecture = inputs, architecture
        self.dtype = torch.float32
        self.register_buffer("resample_filter", fir(filter))
        layer |= dict(clamp=clamp)
        if inputs:
            self.conv0 = SynthesisLayer(inputs, outputs, w_dim, resolution, up=2, filter=filter, **layer)
        else:
            self.const = nn.Parameter(torch.randn(outputs, resolution, resolution))
        self.conv1 = SynthesisLayer(outputs, outputs, w_dim, resolution, **layer)
        self.num_conv = 2 if inputs else 1
        self.num_torgb = int(is_last or architecture == "skip")
        if self.num_torgb:
            self.torgb = ToRGB(outputs, img_channels, w_dim, clamp=clamp)
        if inputs and architecture == "resnet":
            self.skip = Conv2d(inputs, outputs, 1, bias=False, up=2, filter=filter)

    def forward(self, x: Tensor | None, image: Tensor | None, ws: Tensor, noise: Noise) -> tuple[Tensor, Tensor | None]:
        """Features and image of half the resolution, ws [N, num_conv + num_torgb, w_dim] -> features and image."""
        w, first, last = iter(ws.unbind(1)), noise[0], noise[-1]
        if x is None:
            x = self.const.to(self.dtype).expand(ws.shape[0], -1, -1, -1).contiguous(memory_format=torch.channels_last)
            x = self.conv1(x, next(w), last)
        elif self.architecture == "resnet":
            x = x.to(self.dtype)
            y = self.skip(x, gain=HALF)
            x = self.conv0(x, next(w), first)
            x = y + self.conv1(x, next(w), last, gain=HALF)
        else:
            x = self.conv1(self.conv0(x.to(self.dtype), next(w), first), next(w), last)
        if image is not None:
            image = upsampled(image, self.resample_filter)
        if self.num_torgb:
            y = self.torgb(x, next(w)).float()
            image = image + y if image is not None else y
        return x, image


class SynthesisNetwork(nn.Module):
    """ws to images.

    Args:
        w_dim: size of w.
        img_resolution: side of the images, a power of two from 4.
        img_channels: channels of the images.
        channel_base, channel_max: channels are min(channel_base / resolution, channel_max) ...
        channels: ... or these, for each resolution from 4 px upwards.
        architecture: ``"skip"`` (images of all resolutions are added), ``"resnet"`` or ``"orig"`` (Figure 7).
        conv_clamp: largest magnitude of activations, which 16-bit numbers need.
        resample_filter: one row of the low-pass filter.
        use_noise: noise at each pixel.
        normalization: ``"demodulate"``, ``"instance"``: StyleGAN's norm, or ``"none"``.
    """

    def __init__(
        self,
        w_dim: int,
        img_resolution: int,
        img_channels: int = 3,
        *,
        channel_base: int = 32768,
        channel_max: int = 512,
        channels: Sequence[int] | None = None,
        architecture: str = "skip",
        conv_clamp: float | None = None,
        resample_filter: Sequence[float] = TAPS,
        use_noise: bool = True,
        normalization: str = "demodulate",
    ) -> None:
        super().__init__()
        check_choice("architecture", architecture, ARCHITECTURES)
        check_choice("normalization", normalization, NORMALIZATIONS)
        self.widths = width = generators.widths(img_resolution, channel_base, channel_max, channels)
        self.resolutions = list(width)
        self.first_ws: dict[int, int] = {}  # index of a block's first w, by resolution
        self.num_ws = 1  # of the last image
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
                filter=resample_filter,
                use_noise=use_noise,
                normalization=normalization,
            )
            self.first_ws[resolution] = self.num_ws - 1
            self.num_ws += block.num_conv
            self.add_module(f"b{resolution}", block)

    def forward(
        self,
        ws: Tensor,
        noise_mode: str = "random",
        generator: torch.Generator | None = None,
        *,
        noise: Sequence[Tensor] | None = None,
        resolution: int | None = None,
    ) -> Tensor:
        """[N, num_ws, w_dim] -> [N, C, H, W], nominally in [-1, 1].

        Args:
            ws: a w for each layer; an image's own layer shares that of the next block's first.
            noise_mode: ``"const"`` for the noise that the network holds, ``"random"`` or ``"none"``.
            generator: generator of random noise.
            noise: maps to use instead, [1 or N, 1, H, W] for each of the 2 log2(resolution) - 3 convolutions.
            resolution: stop at this lower resolution, in the architecture ``"skip"``, which has an image at each.
        """
        check_choice("noise_mode", noise_mode, generators.NOISE_MODES)
        generators.check_ws(ws, self.num_ws)
        count, layers = ws.shape[0], 2 * len(self.resolutions) - 1
        if noise is not None and len(noise) != layers:
            raise StyleLoomError(f"{len(noise)} maps of noise; wanted one for each of {layers} convolutions")
        maps = list(noise) if noise is not None else self._noise(count, noise_mode, generator, ws.device)
        chosen = [side for side in self.resolutions if resolution is None or side <= resolution]
        alone = [side for side in computed_alone(self, count) if side in chosen]
        x, image = self._blocks(chosen[: len(chosen) - len(alone)], None, None, ws, maps)
        if alone:
            images = image.split(1) if image is not None else [None] * count
            own = [each.split(1) if each is not None and len(each) > 1 else [each] * count for each in maps]
            parts = zip(x.split(1), images, ws.split(1), zip(*own, strict=True), strict=True)
            image = torch.cat([cast(Tensor, self._blocks(alone, *part)[1]) for part in parts])
        return cast(Tensor, image)

    def layers_up_to(self, side: int) -> int:
        """Count the first layers that an image of ``side`` pixels depends on."""
        if side not in self.resolutions or not isinstance(block := self.get_submodule(f"b{side}"), SynthesisBlock):
            return self.num_ws
        return self.first_ws[side] + block.num_conv + 1 if block.num_torgb else self.num_ws

    def _noise(self, count: int, noise_mode: str, generator: torch.Generator | None, device: torch.device) -> Noise:
        """Noise of a mode for each convolution."""
        layers = [layer for layer in self.modules() if isinstance(layer, SynthesisLayer)]
        if noise_mode == "none" or not layers[0].use_noise:
            return [None] * len(layers)
        if noise_mode == "const":
            return [layer.noise_const[None, None] for layer in layers]
        shapes = [(count, 1, *layer.noise_const.shape) for layer in layers]
        return [torch.randn(shape, generator=generator, device=device) for shape in shapes]

    def _blocks(
        self, resolutions: Sequence[int], x: Tensor | None, image: Tensor | None, ws: Tensor, noise: Noise
    ) -> tuple[Tensor, Tensor | None]:
        """Go on through some of the resolutions."""
        for resolution in resolutions:
            block = cast(SynthesisBlock, self.get_submodule(f"b{resolution}"))
            index = self.first_ws[resolution]  # of its first w, and of its first convolution
            own = ws[:, index : index + block.num_conv + block.num_torgb]
            x, image = block(x, image, own, noise[index : index + block.num_conv])
        return cast(Tensor, x), image


def computed_alone(network: SynthesisNetwork | Discriminator, count: int) -> list[int]:
    """Resolutions above 4 px, in the network's order, at which ``count`` images are computed one by one."""
    if torch.compiler.is_compiling() or next(network.parameters()).device.type != "cpu":  # compilers want batches of any size
        return []
    blocks = {r: cast("SynthesisBlock | DiscriminatorBlock", network.get_submodule(f"b{r}")) for r in network.resolutions}
    size = {r: count * network.widths[r] * r**2 * block.dtype.itemsize for r, block in blocks.items()}
    least = min((r for r in network.resolutions if count > 1 and size[r] > LARGE), default=math.inf)
    return [r for r in network.resolutions if r >= max(least, 8)]


class Generator(generators.Generator):
    """Mapping and synthesis network; see them for the arguments."""

    synthesis: SynthesisNetwork

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
        config = generators.arguments(locals())
        synthesis = SynthesisNetwork(w_dim, img_resolution, img_channels, **(synthesis_kwargs or {}))
        super().__init__(config, z_dim=z_dim, c_dim=c_dim, w_dim=w_dim, num_ws=synthesis.num_ws, resolution=img_resolution)
        self.synthesis = synthesis
        self.mapping = MappingNetwork(z_dim, c_dim, w_dim, self.num_ws, **(mapping_kwargs or {}))

    @override
    def layers_up_to(self, side: int) -> int:
        return self.synthesis.layers_up_to(side)

    @override
    def image_at(self, ws: Tensor, side: int) -> Tensor:
        if self.synthesis.layers_up_to(side) == self.num_ws:
            return super().image_at(ws, side)
        return self.synthesis(ws, noise_mode="const", resolution=side)


def reduce_precision(
    network: SynthesisNetwork | Discriminator, dtype: torch.dtype = torch.bfloat16, num_resolutions: int = 4
) -> None:
    """Compute the convolutions of the highest resolutions in ``dtype``; styles, demodulation and images stay in fp32.

    Args:
        network: is changed in place; torch.float32 undoes it.
        dtype: bfloat16, or float16 for networks with ``conv_clamp``.
        num_resolutions: how many of the highest.
    """
    for resolution in sorted(network.resolutions, reverse=True)[:num_resolutions]:
        network.get_submodule(f"b{resolution}").dtype = dtype  # type: ignore[assignment]
