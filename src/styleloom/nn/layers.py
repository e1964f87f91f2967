"""Layers that several papers share."""

from __future__ import annotations

import copy
from itertools import product
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import winograd

N = TypeVar("N", bound=nn.Module)
LARGE = 2**22  # pixels times channels
FEW = 8  # channels, which fill a vector unit
STRIP = 2**20  # values of a strip of rows
EXACT_POSITIONS = 2**20  # above which torch's group norm of channels-last maps is off by more than 1e-3
Moment = tuple[Tensor, Tensor]
"""Mean and variance of each channel, [N, C] each."""


def instance_norm(x: Tensor, scale: Tensor, shift: Tensor, moment: Moment | None = None, *, eps: float = 1e-5) -> Tensor:
    """Scale (x - mean) / sqrt(variance + eps) + shift over each image's own positions (Ulyanov et al. 2016).

    Args:
        x: [N, C, H, W].
        scale, shift: [C], or [N, C] for a pair an image.
        moment: mean and (biased) variance to use instead of those of ``x``.
    """
    if moment is None and torch.compiler.is_exporting():
        # Runtimes sum a whole map in plain float32, which drifts with its size; a mean of means of rows does not.
        mean = x.mean(3, keepdim=True).mean(2, keepdim=True)
        variance = (x - mean).square().mean(3, keepdim=True).mean(2, keepdim=True)
        moment = mean[:, :, 0, 0], variance[:, :, 0, 0]
    if moment is None and x.shape[2] * x.shape[3] > EXACT_POSITIONS:
        moment = channel_moments(x)
    if moment is None:  # a group a channel is instance norm, and several times faster than torch's own
        x = x.contiguous() if x.shape[1] < FEW else x
        if scale.ndim == 1:
            return F.group_norm(x, x.shape[1], scale, shift, eps)
        x = F.group_norm(x, x.shape[1], None, None, eps)
        return torch.addcmul(_maps(shift, x), x, _maps(scale, x))
    mean, variance = moment
    factor = scale * (variance + eps).rsqrt()
    return torch.addcmul(_maps(shift - mean * factor, x), x, _maps(factor, x))


def _maps(vector: Tensor, x: Tensor) -> Tensor:
    """[C] or [N, C] -> [1 or N, C, 1, 1], of the dtype of ``x``."""
    return vector.reshape(-1, vector.shape[-1], 1, 1).to(x.dtype)


def channel_moments(x: Tensor) -> Moment:
    """Mean and biased variance over positions: [N, C, H, W] -> [N, C] each."""
    variance, mean = torch.var_mean(x.float(), (2, 3), correction=0)
    return mean, variance


class Conv(nn.Conv2d):
    """A convolution after nearest-neighbor upsampling by ``up`` (1 or 2), reflection-padded to keep the size (over ``stride``).

    Three kinds are computed in an equal but faster way: on upsampled images, large kernels with few outputs, and many channels.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, up: int = 1, bias: bool = True, padded: bool = True
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, bias=bias)
        self.up = up
        self.margin = kernel // 2 if padded else 0
        if up not in (1, 2) or (up == 2 and (kernel, stride, padded) != (3, 1, True)):
            raise ValueError(f"up is {up}, with a kernel of {kernel}; it must be 1, or 2 with a padded 3x3 kernel of stride 1")

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H up / stride, W up / stride]."""
        if not torch.is_autocast_enabled(x.device.type):
            x = x.to(self.weight.dtype)
        if self.up == 2 and not torch.compiler.is_compiling():  # compilers know no writing into every other pixel
            return _convolved_upsampled(x, self.weight, self.bias)
        if self.up == 2:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        if self.out_channels < FEW and self._few_columns_pay(x):
            return _convolved_by_columns(x, self.weight, self.bias, self.margin)
        if self.margin:
            x = F.pad(x, (self.margin,) * 4, mode="reflect")
        if self.stride == (1, 1) and winograd.pays(x, self.weight):
            return winograd.convolve(x, self.weight, self.bias)
        return super().forward(x)

    def _few_columns_pay(self, x: Tensor) -> bool:
        fp32 = x.dtype == torch.float32 and not torch.is_autocast_enabled(x.device.type)
        here = x.device.type == "cpu" and not torch.compiler.is_compiling()  # compilers know no loop over a free number of rows
        return here and fp32 and self.kernel_size[0] >= 7 and self.stride == (1, 1)


def _convolved_upsampled(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A 3x3 convolution of ``x`` upsampled by 2 and reflected, of whose nine factors at most four are different pixels.

    Each of the four pixels that come from one is a 2x2 convolution of ``x`` itself with sums of the kernel's entries.
    """
    rows = (weight[:, :, 0], weight[:, :, 1] + weight[:, :, 2], weight[:, :, 0] + weight[:, :, 1], weight[:, :, 2])
    halves = [torch.stack(rows[:2], 2), torch.stack(rows[2:], 2)]  # of even and odd rows of the result, [O, I, 2, 3]
    kernels = []
    for half in halves:
        left, middle, right = half.unbind(3)
        kernels += [torch.stack([left, middle + right], 3), torch.stack([left + middle, right], 3)]
    # The reflection of an upsampled image repeats the border of the image itself.
    output = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), torch.cat(kernels), bias.repeat(4) if bias is not None else None)
    count, outputs, (height, width) = x.shape[0], weight.shape[0], x.shape[2:]
    result = torch.empty(
        (count, outputs, 2 * height, 2 * width), dtype=x.dtype, device=x.device, memory_format=torch.channels_last
    )
    for part, (above, before) in zip(output.split(outputs, 1), product((0, 1), repeat=2), strict=True):
        result[:, :, above::2, before::2] = part[:, :, above : above + height, before : before + width]
    return result


def _convolved_by_columns(x: Tensor, weight: Tensor, bias: Tensor | None, margin: int) -> Tensor:
    """A reflection-padded convolution with few outputs, column by column of its kernel.

    Three outputs leave most of a vector unit idle; three for each of nine columns do not. The image is taken in strips of rows,
    whose sums stay in the processor's cache. Not for bf16: the sums over columns would be rounded one by one.
    """
    outputs, inputs, rows, columns = weight.shape
    kernel = weight.permute(3, 0, 1, 2).reshape(columns * outputs, inputs, rows, 1)
    kernel = F.pad(kernel, (0, 0, 0, 0, 0, 0, 0, -len(kernel) % FEW)).contiguous(memory_format=torch.channels_last)
    height, width = (side + 2 * margin - extent + 1 for side, extent in zip(x.shape[2:], (rows, columns), strict=True))
    count = max(1, STRIP // (len(x) * len(kernel) * x.shape[3]))
    strips = []
    for top in range(0, height, count):
        first, end = top - margin, min(top + count, height) + rows - 1 - margin  # of x, before and behind its borders
        strip = x[:, :, max(first, 0) : end]
        if margin:
            strip = F.pad(strip, (margin, margin, max(-first, 0), max(end - x.shape[2], 0)), mode="reflect")
        parts = F.conv2d(strip, kernel).split(outputs, 1)
        result = parts[0][..., :width]
        result = result + bias.view(-1, 1, 1) if bias is not None else result.clone()
        for index, part in enumerate(parts[1:columns], 1):
            result += part[..., index : index + width]
        strips.append(result)
    return torch.cat(strips, 2)


def strided(conv: nn.Module, x: Tensor) -> Tensor:
    """Convolve with stride 2. Its kernel's gradient for large images takes half of oneDNN's time.

    Args:
        conv: an ``nn.Conv2d`` or ``nn.ConvTranspose2d``.
        x: [N, C, H, W].
    """
    assert isinstance(conv, nn.Conv2d | nn.ConvTranspose2d)
    on_cpu = x.device.type == "cpu" and not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling()
    pixels = x[:, :1].numel() * (4 if conv.transposed else 1)  # of the larger side
    if on_cpu and x.dtype == torch.float32 and torch.is_grad_enabled() and pixels * min(conv.weight.shape[:2]) >= LARGE:
        geometry = (conv.stride, conv.padding, conv.dilation, conv.transposed, conv.output_padding, conv.groups)
        convolved: Tensor = _Strided.apply(x, conv.weight, conv.bias, *geometry)
        return convolved
    result: Tensor = conv(x)
    return result


class _Strided(torch.autograd.Function):
    """A convolution whose kernel's gradient is computed channels first."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, *geometry: Any) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = geometry
        return torch.convolution(x, weight, bias, *geometry)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad[:3]

        def slope(g: Tensor, x: Tensor, weight: Tensor, *wanted: bool) -> Any:
            return torch.ops.aten.convolution_backward(g, x, weight, None, *ctx.geometry, [*wanted, False])

        return (
            slope(g, x, weight, True, False)[0] if of_x else None,
            slope(g.contiguous(), x.contiguous(), weight.contiguous(), False, True)[1] if of_weight else None,
            g.sum((0, 2, 3)) if of_bias else None,
            *[None] * len(ctx.geometry),
        )


def placed(network: N, device: torch.device, dtype: torch.dtype | None = None, *, frozen: bool = False) -> N:
    """A network on a device, channels last: itself where it lies so already, else a copy, so that the caller's stays as it was.

    Args:
        network: the network whose weights are used.
        device: where they are to lie.
        dtype: type of its floating-point weights; its own by default.
        frozen: without gradients for its weights.
    """

    def lies(tensor: Tensor) -> bool:
        return (
            tensor.device.type == device.type
            and device.index in (None, tensor.device.index)
            and (dtype is None or not tensor.is_floating_point() or tensor.dtype == dtype)
            and (tensor.ndim != 4 or tensor.is_contiguous(memory_format=torch.channels_last))
        )

    if all(map(lies, network.state_dict().values())) and not (frozen and any(p.requires_grad for p in network.parameters())):
        return network
    copied = copy.deepcopy(network).to(device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return copied.requires_grad_(False) if frozen else copied
