"""The discriminator of StyleGAN2."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.nn import generators
from styleloom.nn.equalized import Conv2d, FullyConnected, with_minibatch_std
from styleloom.nn.resample import TAPS, downsampled, fir

from .architecture import ARCHITECTURES, HALF, computed_alone
from .mapping import MappingNetwork


class DiscriminatorBlock(nn.Module):
    """The layers of one resolution, ending at half of it."""

    def __init__(
        self,
        inputs: int,
        middle: int,
        outputs: int,
        img_channels: int,
        *,
        architecture: str,
        clamp: float | None = None,
        filter: Sequence[float] = TAPS,
    ) -> None:
        super().__init__()
        self.resample_filter: Tensor
        self.architecture = architecture
        self.register_buffer("resample_filter", fir(filter))
        self.reads = not inputs or architecture == "skip"
        self.dtype = torch.float32
        if self.reads:
            self.fromrgb = Conv2d(img_channels, middle, 1, activate=True, clamp=clamp)
        self.conv0 = Conv2d(middle, middle, 3, activate=True, clamp=clamp)
        self.conv1 = Conv2d(middle, outputs, 3, activate=True, down=2, clamp=clamp, filter=filter)
        if architecture == "resnet":
            self.skip = Conv2d(middle, outputs, 1, bias=False, down=2, filter=filter)

    def forward(self, x: Tensor | None, image: Tensor) -> tuple[Tensor, Tensor]:
        """Features, and the image of this resolution -> features and image of half of it."""
        x = x.to(self.dtype) if x is not None else None
        if self.reads:
            y = self.fromrgb(image.to(self.dtype, memory_format=torch.channels_last))
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
    """Images to logits: real above 0, made below.

    Args:
        c_dim: number of classes; 0: none.
        img_resolution, img_channels, channel_base, channel_max, channels: see :class:`SynthesisNetwork`.
        conv_clamp, resample_filter: likewise.
        architecture: ``"resnet"``, ``"skip"`` or ``"orig"``.
        cmap_dim: size of the projection of a class, the channels at 4 px by default.
        mapping_kwargs: settings of the classes' :class:`MappingNetwork`.
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
        channels: Sequence[int] | None = None,
        conv_clamp: float | None = None,
        resample_filter: Sequence[float] = TAPS,
        cmap_dim: int | None = None,
        mapping_kwargs: Mapping[str, Any] | None = None,
        epilogue_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.config = generators.arguments(locals())
        check_choice("architecture", architecture, ARCHITECTURES)
        self.c_dim = c_dim
        self.widths = width = generators.widths(img_resolution, channel_base, channel_max, channels)
        self.resolutions = sorted(width, reverse=True)[:-1]  # down to 8
        cmap_dim = (width[4] if cmap_dim is None else cmap_dim) if c_dim else 0
        common: dict[str, Any] = dict(architecture=architecture, clamp=conv_clamp)
        for resolution in self.resolutions:
            inputs = width[resolution] if resolution < img_resolution else 0
            block = DiscriminatorBlock(
                inputs, width[resolution], width[resolution // 2], img_channels, filter=resample_filter, **common
            )
            self.add_module(f"b{resolution}", block)
        if c_dim:
            self.mapping = MappingNetwork(0, c_dim, cmap_dim, None, w_avg_beta=None, **(mapping_kwargs or {}))
        self.b4 = DiscriminatorEpilogue(width[4], cmap_dim, img_channels, **common, **(epilogue_kwargs or {}))

    def forward(self, image: Tensor, c: Tensor | None = None) -> Tensor:
        """[N, C, H, W] in [-1, 1] -> [N, 1]."""
        if tuple(image.shape[2:]) != (self.resolutions[0],) * 2:
            raise StyleLoomError(f"images of {tuple(image.shape[2:])} px; this discriminator takes {self.resolutions[0]} px")
        alone = computed_alone(self, image.shape[0])
        x = None
        if alone:
            parts = [self._blocks(alone, None, each) for each in image.split(1)]
            x, image = (torch.cat(each) for each in zip(*parts, strict=True))
        x, image = self._blocks(self.resolutions[len(alone) :], x, image)
        logits: Tensor = self.b4(x, image, self.mapping(None, c) if self.c_dim else None)
        return logits

    def _blocks(self, resolutions: Sequence[int], x: Tensor | None, image: Tensor) -> tuple[Tensor | None, Tensor]:
        """Go on through some of the resolutions."""
        for resolution in resolutions:
            x, image = self.get_submodule(f"b{resolution}")(x, image)
        return x, image
