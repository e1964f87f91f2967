"""3x3 convolutions of many channels with a quarter of the multiplications, for inference on a CPU.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016: F(4x4, 3x3). Squares of 6x6 values and the
kernel are transformed, multiplied position by position, which for all squares and channels at once are 36 products of
matrices, and transformed back into 4x4 results. The products are a convolution of 1x1 kernels in 36 groups, which oneDNN
computes in half of the time of a product of matrices on processors that MKL does not favor.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_CHANNELS = 192  # below, the transforms cost more than the products save
SQUARES = 256  # at a time, in whole rows: their values then stay in the processor's cache

# The matrices B^T, G and A^T of the paper's Section 4.3, for one dimension.
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


def pays(x: Tensor, weight: Tensor) -> bool:
    """Whether :func:`convolve` is to be used: fp32 on a CPU, without gradients, on many channels."""
    return (
        weight.shape[2:] == (3, 3)
        and min(weight.shape[:2]) >= LEAST_CHANNELS
        and x.dtype == torch.float32
        and x.device.type == "cpu"
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
    )


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What ``F.conv2d`` gives of 3x3 kernels, to about 1e-5 of the largest value.

    Args:
        x: [N, I, H + 2, W + 2], padded already.
        weight: [O, I, 3, 3].
        bias: [O].

    Returns:
        [N, O, H, W], in the channels-last layout.
    """
    count, inputs, (height, width), outputs = x.shape[0], x.shape[1], (side - 2 for side in x.shape[2:]), len(weight)
    across, down = -(-width // 4), -(-height // 4)
    if width % 4 or height % 4:
        x = F.pad(x, (0, -width % 4, 0, -height % 4))
    x = x.permute(0, 2, 3, 1)  # [N, 4 down + 2, 4 across + 2, I]
    kernel = torch.kron(_G, _G) @ weight.permute(2, 3, 0, 1).reshape(9, -1)  # [36, O I]
    kernel = kernel.view(36 * outputs, inputs, 1, 1)
    before, after = torch.kron(_B, _B), torch.kron(_A, _A)  # [36, 36], [16, 36]
    at_once = max(1, SQUARES // across)
    result = torch.empty(count, 4 * down, 4 * across, outputs)
    for image, into in zip(x, result, strict=True):
        for top in range(0, 4 * down, 4 * at_once):
            squares = image[top : top + 4 * at_once + 2].unfold(0, 6, 4).unfold(1, 6, 4)  # [rows, across, I, 6, 6]
            rows = squares.shape[0]
            values = before @ squares.permute(0, 1, 3, 4, 2).reshape(rows * across, 36, inputs)
            values = values.view(1, rows, across, 36 * inputs).permute(0, 3, 1, 2)  # channels last, a group a position
            products = F.conv2d(values, kernel, groups=36).permute(0, 2, 3, 1).reshape(rows * across, 36, outputs)
            part = into[top : top + 4 * rows].view(rows, 4, across, 4, outputs)
            part.copy_((after @ products).view(rows, across, 4, 4, outputs).permute(0, 2, 1, 3, 4))
            if bias is not None:
                part += bias
    return result[:, :height, :width].permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
