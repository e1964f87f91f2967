"""Doubling and halving a resolution through a small low-pass filter, as StyleGAN and StyleGAN2 do between their layers.

Zhang, "Making Convolutional Networks Shift-Invariant Again", ICML 2019: without the filter, halving and doubling alias.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

TAPS = (1, 3, 3, 1)


def fir(taps: Sequence[float] = TAPS) -> Tensor:
    """A separable filter [K, K] that sums to 1, from one row of it."""
    row = torch.tensor(taps, dtype=torch.float32)
    kernel = torch.outer(row, row)
    return kernel / kernel.sum()


def filtered(
    x: Tensor, kernel: Tensor, pad: tuple[int, int], *, stride: int = 1, gain: float = 1.0, bias: Tensor | None = None
) -> Tensor:
    """Zero-pad, filter each channel, take every ``stride``-th pixel.

    Args:
        x: [N, C, H, W].
        kernel: [K, K], symmetric.
        pad: pixels before and after, in both directions; negative ones cut.
        stride: 2 halves the resolution.
        gain: factor of the result.
        bias: [C], added to the result.

    Returns:
        [N, C, (H + pad - K) / stride + 1, (W + pad - K) / stride + 1].
    """
    channels, (before, after) = x.shape[1], pad
    weight = (kernel * gain).to(x.dtype).expand(channels, 1, -1, -1)
    if before != after or before < 0:
        x, before = F.pad(x, (before, after, before, after)), 0
    if stride == 2 and bias is None and x.requires_grad and x.device.type == "cpu" and not torch.compiler.is_compiling():
        halved: Tensor = _Halved.apply(x, weight, before)
        return halved
    return F.conv2d(x, weight, bias, stride=stride, padding=before, groups=channels)


class _Halved(torch.autograd.Function):
    """A filter of each channel with a stride of 2. Its gradient is a filter without one: torch's own takes many times as long."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, pad: int) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.size, ctx.pad = x.shape[2:], pad
        return F.conv2d(x, weight, stride=2, padding=pad, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        weight = ctx.saved_tensors[0].to(gradient.dtype)  # in mixed precision they may differ
        count, channels, height, width = gradient.shape
        reach, before = weight.shape[-1] - 1, weight.shape[-1] - 1 - ctx.pad
        sides = (side + reach for side in ctx.size)
        spread = gradient.new_zeros((count, channels, *sides)).contiguous(memory_format=torch.channels_last)
        spread[:, :, before : before + 2 * height : 2, before : before + 2 * width : 2] = gradient
        return F.conv2d(spread, weight.flip(2, 3), groups=channels), None, None


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


def convolved(
    x: Tensor, weight: Tensor, kernel: Tensor | None, *, up: int = 1, down: int = 1, bias: Tensor | None = None
) -> Tensor:
    """A convolution that keeps the size, doubles it (``up``) or halves it (``down``), filtered where the resolution is high.

    Args:
        x: [N, I, H, W].
        weight: [O, I, k, k], k odd.
        kernel: the filter, see :func:`fir`; needed where the size changes.
        up: 1 or 2.
        down: 1 or 2.
        bias: [O], added to the result.

    Returns:
        [N, O, up H / down, up W / down].
    """
    size = weight.shape[-1]
    margin = size // 2
    if kernel is None or up == down == 1:
        return F.conv2d(x, weight, bias, padding=margin)
    taps = kernel.shape[0]
    if x.device.type == "cuda" and taps % 2 == 0:
        return _convolved_at_once(x, weight, kernel, up=up, bias=bias)
    if up == 2:
        pad = (margin + (taps + 1) // 2 - (size - 1), margin + (taps - 2) // 2 - (size - 2))
        return filtered(_spread(x, weight), kernel, pad, gain=4, bias=bias)
    pad = (margin + (taps - 1) // 2, margin + (taps - 2) // 2)
    if size == 1:
        return F.conv2d(filtered(x, kernel, pad, stride=2), weight, bias)
    return F.conv2d(filtered(x, kernel, pad), weight, bias, stride=2)


def _convolved_at_once(x: Tensor, weight: Tensor, kernel: Tensor, *, up: int, bias: Tensor | None) -> Tensor:
    """Convolve as :func:`convolved` does with ``up`` or ``down``, by one kernel that holds both the filter and the weights.

    Four times the arithmetic, and no map in between: a GPU has the arithmetic to spare.
    """
    taps, margin = kernel.shape[0], weight.shape[-1] // 2
    both = F.conv2d(weight.flatten(0, 1)[:, None], kernel.to(weight.dtype)[None, None], padding=taps - 1)
    both = both.view(*weight.shape[:2], *both.shape[2:])  # [O, I, k + taps - 1, k + taps - 1]
    if up == 2:
        return F.conv_transpose2d(x, 4 * both.transpose(0, 1), bias, stride=2, padding=margin + taps // 2 - 1)
    return F.conv2d(x, both, bias, stride=2, padding=margin + taps // 2 - 1)


def _spread(x: Tensor, weight: Tensor) -> Tensor:
    """A transposed convolution with a stride of 2: [N, I, H, W] and [O, I, k, k] -> [N, O, 2 H + k - 2, 2 W + k - 2].

    Where the kernels are far larger than the map, it is one product of matrices: torch copies them to turn them around.
    """
    if torch.compiler.is_compiling() or 16 * x.numel() > weight.numel() or x.device.type != "cpu":
        return F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
    (inputs, height, width), size = x.shape[1:], weight.shape[-1]
    columns = x.permute(0, 2, 3, 1).flatten(1, 2) @ weight.permute(0, 2, 3, 1).reshape(-1, inputs).T  # [N, H W, O k k]
    return F.fold(columns.transpose(1, 2), (2 * height + size - 2, 2 * width + size - 2), size, stride=2)


def nearest_convolution(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Doubling by nearest neighbors and then a convolution, computed as one transposed convolution.

    Args:
        x: [N, I, H, W].
        weight: [O, I, k, k], k odd.
        bias: [O].

    Returns:
        [N, O, 2 H, 2 W].
    """
    kernel = _smeared(weight.flip(2, 3)).transpose(0, 1)
    return F.conv_transpose2d(x, kernel, bias, stride=2, padding=weight.shape[-1] // 2)


def boxed_convolution(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A convolution and then the means of 2x2 pixels, computed as one convolution with a stride.

    Args:
        x: [N, I, H, W].
        weight: [O, I, k, k], k odd.
        bias: [O].

    Returns:
        [N, O, H / 2, W / 2].
    """
    return F.conv2d(x, _smeared(weight) / 4, bias, stride=2, padding=weight.shape[-1] // 2)


def _smeared(weight: Tensor) -> Tensor:
    """A kernel after a box of 2x2 ones: [O, I, k, k] -> [O, I, k + 1, k + 1]."""
    weight = F.pad(weight, (1, 1, 1, 1))
    return weight[:, :, 1:, 1:] + weight[:, :, :-1, 1:] + weight[:, :, 1:, :-1] + weight[:, :, :-1, :-1]
