"""Layers with an equalized learning rate, and what else ProGAN, StyleGAN and StyleGAN2 share.

Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation", ICLR 2018, Section 4.1: weights
are kept at unit scale and multiplied by He's constant when they are used, so that Adam's steps mean the same in every layer.
Parameters have the names that NVIDIA's published networks give them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleloom.core.errors import StyleLoomError

from .resample import TAPS, convolved, fir

GAIN = math.sqrt(2)  # of a leaky ReLU


def leaky_relu_(x: Tensor, clamp: float | None = None) -> Tensor:
    """Leaky ReLU of slope 0.2, in place, clamped to +-``clamp``; gradients are right, and memory is what a CPU waits for.

    The gain that other code multiplies by afterwards belongs into the weights and biases before: a positive factor passes.
    """
    x = F.leaky_relu_(x, 0.2)
    return x.clamp_(-clamp, clamp) if clamp is not None else x


def normalized(x: Tensor) -> Tensor:
    """Vectors of unit mean square: [N, C] -> the same."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class FullyConnected(nn.Module):
    """A dense layer, with a leaky ReLU where asked for.

    Args:
        inputs, outputs: sizes.
        lr_multiplier: how much slower than others it learns.
        bias: have one.
        bias_init: value that the biases have at first.
        activate: end in a leaky ReLU, times sqrt(2).
        gain: spread of the result of normal inputs, before the activation.
        equalized: scale the weights when they are used, not when they are made.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        lr_multiplier: float = 1.0,
        bias: bool = True,
        bias_init: float = 0.0,
        activate: bool = False,
        gain: float = 1.0,
        equalized: bool = True,
    ) -> None:
        super().__init__()
        self.activate = activate
        spread = gain / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.randn(outputs, inputs) * (1.0 if equalized else spread) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((outputs,), float(bias_init))) if bias else None
        self.weight_gain = lr_multiplier * (spread if equalized else 1.0)
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs] -> [N, outputs]."""
        gain = GAIN if self.activate else 1.0
        bias = self.bias * (self.bias_gain * gain) if self.bias is not None else None
        x = F.linear(x, self.weight * (self.weight_gain * gain), bias)
        return leaky_relu_(x) if self.activate else x


class Conv2d(nn.Module):
    """A convolution, with a leaky ReLU where asked for, that may double or halve the resolution.

    Args:
        inputs, outputs: channels.
        kernel: side of its kernels.
        bias: have one.
        activate: end in a leaky ReLU, times sqrt(2).
        up, down: 2 doubles or halves the resolution, filtered.
        clamp: largest magnitude of the result, before ``gain``.
        filter: one row of the low-pass filter, which NVIDIA's layers hold whether they use it or not; None: none.
        gain: spread of the result of normal inputs, before the activation.
        equalized: scale the weights when they are used, not when they are made.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        bias: bool = True,
        activate: bool = False,
        up: int = 1,
        down: int = 1,
        clamp: float | None = None,
        filter: Sequence[float] | None = TAPS,
        gain: float = 1.0,
        equalized: bool = True,
    ) -> None:
        super().__init__()
        self.resample_filter: Tensor | None
        self.up, self.down, self.activate, self.clamp = up, down, activate, clamp
        self.register_buffer("resample_filter", fir(filter) if filter is not None else None)
        spread = gain / math.sqrt(inputs * kernel**2)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel) * (1.0 if equalized else spread))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.weight_gain = spread if equalized else 1.0

    @property
    def scaled_weight(self) -> Tensor:
        """The kernels as they are used: [outputs, inputs, kernel, kernel]."""
        return self.weight * self.weight_gain

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, up H / down, up W / down], times ``gain``."""
        clamp = self.clamp * gain if self.clamp is not None else None
        gain *= GAIN if self.activate else 1.0
        weight, bias = (self.weight * (self.weight_gain * gain)).to(x.dtype), None
        if self.bias is not None:
            bias = (self.bias * gain).to(x.dtype)
        x = convolved(x, weight, self.resample_filter, up=self.up, down=self.down, bias=bias)
        if self.activate:
            return leaky_relu_(x, clamp)
        return x.clamp_(-clamp, clamp) if clamp is not None else x


def with_minibatch_std(x: Tensor, group_size: int | None, num_channels: int = 1) -> Tensor:
    """Append the spread of activations over groups of images as further channels (Section 3).

    Args:
        x: [N, C, H, W], N a multiple of the group's size or below it.
        group_size: images of a group; None: all.
        num_channels: channels to append; each has the mean spread of its share of the channels.

    Returns:
        [N, C + num_channels, H, W].
    """
    count, channels, height, width = x.shape
    group = min(group_size or count, count)
    if count % group:
        raise StyleLoomError(f"{count} images cannot be shared by groups of {group}, whose spread is taken; use a multiple")
    y = x.reshape(group, -1, num_channels, channels // num_channels, height, width)
    y = (y - y.mean(0)).square().mean(0).add(1e-8).sqrt().mean((2, 3, 4))  # [N / group, num_channels]
    y = y.reshape(-1, num_channels, 1, 1).repeat(group, 1, height, width)
    return torch.cat([x, y.to(x.dtype)], 1)
