"""The networks of ProGAN, see :mod:`styleloom.papers.progan`.

Differs from the official code:
    - images have the resolution of their level, not always the full one;
    - doubling by nearest neighbors and a convolution are computed as one transposed convolution, and halving likewise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.nn import generators
from styleloom.nn.equalized import GAIN, Conv2d, FullyConnected, leaky_relu_, normalized, with_minibatch_std
from styleloom.nn.resample import boxed_convolution, filtered, fir, nearest_convolution


def pixel_norm(x: Tensor) -> Tensor:
    """Unit length at each pixel: [N, C, H, W] -> the same."""
    return normalized(x)


def stage(resolutions: Sequence[int], lod: float) -> tuple[list[int], float]:
    """Resolutions in use at a level of detail, and the share of the one before the last."""
    if not 0 <= lod <= len(resolutions) - 1:
        raise StyleLoomError(f"lod is {lod:g}; it must be from 0, the full resolution, to {len(resolutions) - 1}")
    return list(resolutions[: len(resolutions) - math.floor(lod)]), lod - math.floor(lod)


class Normalization(nn.Module):
    """Normalization of z, and of classes, to unit length; this generator has it instead of a mapping network."""

    def __init__(self, z_dim: int, c_dim: int, *, normalize_latents: bool = True, embed_classes: bool = False) -> None:
        super().__init__()
        self.w_avg: Tensor
        self.c_dim, self.normalize_latents = c_dim, normalize_latents
        self.embed = FullyConnected(c_dim, c_dim, bias=False) if embed_classes else None
        self.register_buffer("w_avg", torch.zeros(z_dim + c_dim))

    def forward(
        self, z: Tensor, c: Tensor | None = None, truncation_psi: float = 1.0, truncation_cutoff: int | None = None
    ) -> Tensor:
        """[N, z_dim] and [N, c_dim] -> [N, 1, z_dim + c_dim]; truncation draws to 0, an image of no direction."""
        if self.c_dim and c is None:
            raise StyleLoomError(f"this network wants a class, [N, {self.c_dim}]")
        x = z.float()
        if self.embed is not None and c is not None:
            x = torch.cat([normalized(x), self.embed(c.float())], 1)
        else:
            x = torch.cat([x, c.float()], 1) if self.c_dim and c is not None else x
            x = normalized(x) if self.normalize_latents else x
        return generators.truncated(x[:, None], self.w_avg, truncation_psi, truncation_cutoff)


class SynthesisNetwork(nn.Module):
    """Latents to images.

    Args:
        w_dim: size of the latents.
        img_resolution: side of the images, a power of two from 4.
        img_channels: channels of the images.
        channel_base, channel_max: channels are min(channel_base / resolution, channel_max) ...
        channels: ... or these, for each resolution from 4 px upwards.
        pixel_norm: normalize features at each pixel.
        norm_first: before the activation instead of after it.
        equalized: scale weights when they are used, not when they are made.
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
    """Normalization and synthesis network; see them for the arguments."""

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
    """Images to scores: real high, made low.

    Args:
        c_dim: number of classes; 0: none.
        img_resolution, img_channels, channel_base, channel_max, channels, equalized: see :class:`SynthesisNetwork`.
        mbstd_group_size: images of a group whose spread is seen; None: all; 0: none.
        mbstd_num_channels: channels that it gets.
        filter: one row of a low-pass filter before halving; empty: none.
        classes: ``"scores"`` appends a score for each class to the results, ``"product"`` gives the score of the class.
        pool_last: halve after the activation instead of before it.
        widen_first: let the first convolution of a resolution, not the second, change the number of channels.
        activate_rgb: end the layers that read images in a leaky ReLU.
        lod: level of detail that it has by default.
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
            raise StyleLoomError(f"images of {tuple(image.shape[2:])} px; this discriminator takes {sides[-1]} px at lod {lod:g}")
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
        scores: Tensor = last.out(leaky_relu_(last.fc(leaky_relu_(last.conv(x)).flatten(1))))
        if self.classes == "scores" or not self.c_dim:
            return scores
        if c is None:
            raise StyleLoomError(f"this network wants a class, [N, {self.c_dim}]")
        return (scores * c).sum(1, keepdim=True)

    def _read(self, image: Tensor, side: int) -> Tensor:
        block: Any = self.get_submodule(f"b{side}")
        x: Tensor = block.fromrgb(image.contiguous(memory_format=torch.channels_last))
        return leaky_relu_(x) if self.activate_rgb else x
