"""Doubling and halving a resolution through a small low-pass filter, as StyleGAN and StyleGAN2 do between their layers.

Zhang, "Making Convolutional Networks Shift-Invariant Again", ICML 2019: without the filter, halving and doubling alias.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

TAPS = (1, 3, 3, 1)


def fir(taps: Sequence[float] = TAPS) -> Tensor:
    """A separable filter [K, K] that sums to 1, from one row of it."""
    row = torch.tensor(taps, dtype=torch.float32)
    kernel = torch.outer(row, row)
    return kernel / kernel.sum()


def filtered(x: Tensor, kernel: Tensor, pad: tuple[int, int], *, stride: int = 1, gain: float = 1.0) -> Tensor:
    """Zero-pad, filter each channel, take every ``stride``-th pixel.

    Args:
        x: [N, C, H, W].
        kernel: [K, K], separable and symmetric.
        pad: pixels before and after, in both directions; negative ones cut.
        stride: 2 halves the resolution.
        gain: factor of the result.

    Returns:
        [N, C, (H + pad - K) / stride + 1, (W + pad - K) / stride + 1].
    """
    row = kernel.sum(0).to(x.dtype)  # an outer product of a row that sums to 1
    channels = x.shape[1]
    x = F.pad(x, (*pad, *pad))
    x = F.conv2d(x, (row * gain).view(1, 1, 1, -1).expand(channels, 1, 1, -1), stride=(1, stride), groups=channels)
    return F.conv2d(x, row.view(1, 1, -1, 1).expand(channels, 1, -1, 1), stride=(stride, 1), groups=channels)


def upsampled(x: Tensor, kernel: Tensor) -> Tensor:
    """Zeros between the pixels, then the filter with a gain of 4: [N, C, H, W] -> [N, C, 2 H, 2 W]."""
    count, channels, height, width = x.shape
    taps = kernel.shape[0]
    spread = x.new_zeros(count, channels, 2 * height, 2 * width)
    spread[:, :, ::2, ::2] = x
    return filtered(spread, kernel, ((taps + 1) // 2, (taps - 2) // 2), gain=4)


def downsampled(x: Tensor, kernel: Tensor) -> Tensor:
    """The filter, then every second pixel: [N, C, H, W] -> [N, C, H / 2, W / 2]."""
    taps = kernel.shape[0]
    return filtered(x, kernel, ((taps - 1) // 2, (taps - 2) // 2), stride=2)


def convolved(x: Tensor, weight: Tensor, kernel: Tensor, *, up: int = 1, down: int = 1) -> Tensor:
    """A convolution that keeps the size, doubles it (``up``) or halves it (``down``), filtered where the resolution is high.

    Args:
        x: [N, I, H, W].
        weight: [O, I, k, k], k odd.
        kernel: the filter, see :func:`fir`.
        up: 1 or 2.
        down: 1 or 2.

    Returns:
        [N, O, up H / down, up W / down].
    """
    size = weight.shape[-1]
    margin, taps = size // 2, kernel.shape[0]
    if up == 2:
        x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        return filtered(x, kernel, (margin + (taps + 1) // 2 - (size - 1), margin + (taps - 2) // 2 - (size - 2)), gain=4)
    if down == 2:
        pad = (margin + (taps - 1) // 2, margin + (taps - 2) // 2)
        if size == 1:
            return F.conv2d(filtered(x, kernel, pad, stride=2), weight)
        return F.conv2d(filtered(x, kernel, pad), weight, stride=2)
    return F.conv2d(x, weight, padding=margin)
