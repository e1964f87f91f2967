"""The networks of StyleGAN, see :mod:`styleloom.papers.stylegan`; the discriminator is ProGAN's.

Differs from the official code: as papers/progan/architecture.py, and the first eight layers are truncated when one asks for it,
not always.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.nn import generators
from styleloom.nn.equalized import GAIN, Conv2d, FullyConnected, leaky_relu_, normalized
from styleloom.nn.layers import instance_norm
from styleloom.nn.resample import filtered, fir, nearest_convolution
from styleloom.papers.progan.architecture import Discriminator, stage

FILTER = (1, 2, 1)


class MappingNetwork(nn.Module):
    """z, and the embedding of a class, to w.

    Args:
        z_dim: size of z.
        c_dim: number of classes; 0: none.
        w_dim: size of w.
        num_ws: copies of w that are given out.
        num_layers: dense layers.
        layer_features: size of the layers between, w_dim by default.
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
        return generators.truncated(x[:, None].expand(-1, self.num_ws, -1), self.w_avg, truncation_psi, truncation_cutoff)


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
    """ws to images.

    Args:
        w_dim: size of w.
        img_resolution: side of the images, a power of two from 4.
        img_channels: channels of the images.
        channel_base, channel_max: channels are min(channel_base / resolution, channel_max) ...
        channels: ... or these, for each resolution from 4 px upwards.
        filter: one row of the low-pass filter after doubling; empty: none.
        use_styles: w sets scale and shift of each layer; otherwise the first w only enters a dense first layer.
        const_input: begin with a constant, not with a dense layer of w.
        use_noise: noise at each pixel.
        pixel_norm, instance_norm: how features are normalized before a style.
        norm_epsilon: added to variances.
        bias_first: add the bias before the low-pass filter.
        shared_noise: one map of noise for both layers of a resolution.
        lod: level of detail that it has by default.
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
            generator: generator of random noise.
            noise: maps to use instead, [1 or N, 1, H, W] for each layer.
            lod: level of detail: 0 for the full resolution, 1 for half of it, between them a blend.
        """
        check_choice("noise_mode", noise_mode, generators.NOISE_MODES)
        generators.check_ws(ws, self.num_ws)
        sides, share = stage(list(self.widths), self.lod if lod is None else lod)
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
) -> Discriminator:
    """ProGAN's discriminator with a low-pass filter, and logits of the class asked for (Mescheder et al. 2018)."""
    return Discriminator(c_dim, img_resolution, img_channels, filter=filter, classes="product", **options)
