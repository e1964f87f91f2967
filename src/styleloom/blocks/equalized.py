"""Layers with an equalised learning rate, and what else ProGAN, StyleGAN and StyleGAN2 share.

Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation", ICLR 2018, Section 4.1: weights
are kept at unit scale and multiplied by He's constant when they are used, so that Adam's steps mean the same in every layer.
Parameters have the names that NVIDIA's published networks give them.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .resample import convolved, fir

GAIN = math.sqrt(2)  # of a leaky ReLU


def leaky_relu(x: Tensor, bias: Tensor | None = None, *, gain: float = 1.0, clamp: float | None = None) -> Tensor:
    """Bias a channel, leaky ReLU of slope 0.2 times sqrt(2) ``gain``, clamped to +-``clamp`` ``gain``: [N, C, ...]."""
    if bias is not None:
        x = x + bias.to(x.dtype).view(1, -1, *[1] * (x.ndim - 2))
    x = F.leaky_relu(x, 0.2) * (GAIN * gain)
    return x.clamp(-clamp * gain, clamp * gain) if clamp is not None else x


def normalized(x: Tensor) -> Tensor:
    """Vectors of unit mean square: [N, C] -> the same."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class FullyConnected(nn.Module):
    """A dense layer, with a leaky ReLU where asked for.

    Args:
        inputs, outputs: sizes.
        lr_multiplier: how much slower than others it learns.
        bias_init: value that the biases have at first.
        activate: end in a leaky ReLU.
    """

    def __init__(
        self, inputs: int, outputs: int, *, lr_multiplier: float = 1.0, bias_init: float = 0.0, activate: bool = False
    ) -> None:
        super().__init__()
        self.activate = activate
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((outputs,), float(bias_init)))
        self.weight_gain = lr_multiplier / math.sqrt(inputs)
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs] -> [N, outputs]."""
        x = F.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)
        return leaky_relu(x) if self.activate else x


class Conv2d(nn.Module):
    """A convolution, with a leaky ReLU where asked for, that may double or halve the resolution.

    Args:
        inputs, outputs: channels.
        kernel: side of its kernels.
        bias: have one.
        activate: end in a leaky ReLU.
        up, down: 2 doubles or halves the resolution, filtered.
        clamp: largest magnitude of the result, before ``gain``.
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
    ) -> None:
        super().__init__()
        self.resample_filter: Tensor
        self.up, self.down, self.activate, self.clamp = up, down, activate, clamp
        self.register_buffer("resample_filter", fir())
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.weight_gain = 1 / math.sqrt(inputs * kernel**2)

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, up H / down, up W / down], times ``gain``."""
        x = convolved(x, (self.weight * self.weight_gain).to(x.dtype), self.resample_filter, up=self.up, down=self.down)
        if self.activate:
            return leaky_relu(x, self.bias, gain=gain, clamp=self.clamp)
        if self.bias is not None:
            x = x + self.bias.to(x.dtype).view(1, -1, 1, 1)
        x = x * gain if gain != 1 else x
        return x.clamp(-self.clamp * gain, self.clamp * gain) if self.clamp is not None else x


def with_minibatch_std(x: Tensor, group_size: int | None, num_channels: int = 1) -> Tensor:
    """Append the spread of activations over groups of pictures as further channels (Section 3).

    Args:
        x: [N, C, H, W], N a multiple of the group's size or below it.
        group_size: pictures of a group; None: all.
        num_channels: channels to append; each has the mean spread of its share of the channels.

    Returns:
        [N, C + num_channels, H, W].
    """
    count, channels, height, width = x.shape
    group = min(group_size or count, count)
    y = x.reshape(group, -1, num_channels, channels // num_channels, height, width)
    y = (y - y.mean(0)).square().mean(0).add(1e-8).sqrt().mean((2, 3, 4))  # [N / group, num_channels]
    y = y.reshape(-1, num_channels, 1, 1).repeat(group, 1, height, width)
    return torch.cat([x, y.to(x.dtype)], 1)
