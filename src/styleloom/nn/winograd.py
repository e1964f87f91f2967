"""3x3 convolutions of many channels with a quarter of the multiplications, on a CPU.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016: F(4x4, 3x3). Squares of 6x6 values and the
kernel are transformed, multiplied position by position, which for all squares and channels at once are 36 products of
matrices, and transformed back into 4x4 results. The products are a convolution of 1x1 kernels in 36 groups, which oneDNN
computes in half of the time of a product of matrices on processors that MKL does not favor. Gradients go back the same way,
through the transposes of the transforms.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# With fewer, the transforms of the values or of the kernel cost more than the products save.
LEAST_CHANNELS, LEAST_PIXELS, LEAST_VALUES = 128, 4096, 192 * 4096
SQUARES = 256  # at a time, in whole rows: their values then stay in the processor's cache

# The matrices B^T, G and A^T of the paper's Section 4.3, for one dimension; and for two, of values in rows.
_B = torch.tensor(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
).float()
_G = torch.tensor([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
_A = torch.tensor([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]).float()
_VALUES, _KERNEL, _RESULT = torch.kron(_B, _B), torch.kron(_G, _G), torch.kron(_A, _A)  # [36, 36], [36, 9], [16, 36]


def pays(x: Tensor, weight: Tensor) -> bool:
    """Whether :func:`convolve` is faster: fp32 on a CPU, with many channels and pixels."""
    channels, pixels = min(weight.shape[:2]), x.shape[0] * (x.shape[2] - 2) * (x.shape[3] - 2)
    return (
        weight.shape[2:] == (3, 3)
        and channels >= LEAST_CHANNELS
        and pixels >= LEAST_PIXELS
        and channels * pixels >= LEAST_VALUES
        and x.dtype == torch.float32
        and x.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve 3x3 kernels as ``F.conv2d`` does, with gradients, to about 1e-5 of the largest value.

    Args:
        x: [N, I, H + 2, W + 2], padded already.
        weight: [O, I, 3, 3].
        bias: [O].

    Returns:
        [N, O, H, W], in the channels-last layout.
    """
    if torch.is_grad_enabled() and any(each is not None and each.requires_grad for each in (x, weight, bias)):
        convolved: Tensor = _Convolution.apply(x, weight, bias)
        return convolved
    return _convolved(x, weight, bias)


class _Convolution(torch.autograd.Function):
    """:func:`_convolved` and its gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _convolved(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        bias = g.sum((0, 2, 3)) if of_bias else None
        if torch.is_grad_enabled():  # a gradient of the gradient is asked for
            geometry = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)
            return *torch.ops.aten.convolution_backward(g, x, weight, None, *geometry, [of_x, of_weight, False])[:2], bias
        return *_gradients(x, weight, g, of_x, of_weight), bias


def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    (inputs, height, width), outputs = x.shape[1:], len(weight)
    x = _whole_squares(x, 2)
    kernel = (_KERNEL @ weight.permute(2, 3, 0, 1).reshape(9, -1)).view(36 * outputs, inputs, 1, 1)
    size = (len(x), outputs, x.shape[1] - 2, x.shape[2] - 2)
    result = torch.empty(size, memory_format=torch.channels_last)
    for image, into in zip(x, result.permute(0, 2, 3, 1), strict=True):
        for band in _bands(into):
            products = _multiplied(_values(image, band), kernel, into.shape[1] // 4)
            part = into[band]
            _squares(part).copy_((_RESULT @ products).view(-1, into.shape[1] // 4, 4, 4, outputs))
            if bias is not None:
                part += bias
    # Never a view, which autograd would not let be changed in place.
    part = result[:, :, : height - 2, : width - 2]
    return result if part.shape == result.shape else part.clone(memory_format=torch.channels_last)


def _gradients(x: Tensor, weight: Tensor, g: Tensor, of_x: bool, of_weight: bool) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of x and weight, where they are asked for: [N, I, H + 2, W + 2], [O, I, 3, 3]; g [N, O, H, W]."""
    (inputs, height, width), outputs = x.shape[1:], len(weight)
    x, g = _whole_squares(x, 2), _whole_squares(g, 0)
    kernel = (_KERNEL @ weight.permute(2, 3, 1, 0).reshape(9, -1)).view(36 * inputs, outputs, 1, 1)
    to_x, to_kernel = torch.zeros(x.shape), torch.zeros(36, outputs, inputs)
    for image, slope, into in zip(x, g, to_x, strict=True):
        for band in _bands(slope):
            products = _RESULT.T @ _squares(slope[band]).reshape(-1, 16, outputs)  # [squares, 36, O]
            if of_x:
                values = _VALUES.T @ _multiplied(products, kernel, slope.shape[1] // 4)
                _add_squares(into[band.start : band.stop + 2], values.view(-1, slope.shape[1] // 4, 6, 6, inputs))
            if of_weight:
                to_kernel.baddbmm_(products.permute(1, 2, 0), _values(image, band).permute(1, 0, 2))
    to_weight = (_KERNEL.T @ to_kernel.view(36, -1)).view(3, 3, outputs, inputs).permute(2, 3, 0, 1)
    return to_x[:, :height, :width].permute(0, 3, 1, 2) if of_x else None, to_weight if of_weight else None


def _whole_squares(x: Tensor, border: int) -> Tensor:
    """[N, C, H, W] -> [N, H', W', C] whose sides are multiples of 4 and the border."""
    below, right = (-(side - border) % 4 for side in x.shape[2:])
    return (F.pad(x, (0, right, 0, below)) if below or right else x).permute(0, 2, 3, 1).contiguous()


def _bands(image: Tensor) -> Iterator[slice]:
    """Rows of an image [4 down, 4 across, C] that make about so many squares."""
    height = 4 * max(1, SQUARES // (image.shape[1] // 4))
    for top in range(0, len(image), height):
        yield slice(top, min(top + height, len(image)))


def _squares(rows: Tensor) -> Tensor:
    """[4 down, 4 across, C] -> a view of [down, across, 4, 4, C]."""
    return rows.view(len(rows) // 4, 4, rows.shape[1] // 4, 4, -1).permute(0, 2, 1, 3, 4)


def _values(image: Tensor, band: slice) -> Tensor:
    """The transforms of a band's squares of 6x6: [squares, 36, C]."""
    squares = image[band.start : band.stop + 2].unfold(0, 6, 4).unfold(1, 6, 4).permute(0, 1, 3, 4, 2)
    return _VALUES @ squares.reshape(-1, 36, image.shape[-1])


def _multiplied(values: Tensor, kernel: Tensor, across: int) -> Tensor:
    """[squares, 36, I] by a kernel [36 O, I, 1, 1], position by position -> [squares, 36, O]."""
    images = values.view(1, -1, across, kernel.shape[1] * 36).permute(0, 3, 1, 2)  # channels last, a group a position
    # A dilation is nothing to kernels of one pixel, but with it torch leaves them to oneDNN even where it has one thread.
    return F.conv2d(images, kernel, dilation=2, groups=36).permute(0, 2, 3, 1).reshape(len(values), 36, -1)


def _add_squares(rows: Tensor, squares: Tensor) -> None:
    """Add [down, across, 6, 6, C] into rows [4 down + 2, 4 across + 2, C], where squares overlap by 2."""
    for (top, bottom), (left, right) in product(((0, 4), (4, 6)), repeat=2):
        part = rows[top:, left:].unfold(0, bottom - top, 4).unfold(1, right - left, 4)  # no two of these overlap
        part += squares[:, :, top:bottom, left:right].permute(0, 1, 4, 2, 3)
