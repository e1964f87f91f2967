"""Layers that several papers share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Moment = tuple[Tensor, Tensor]
"""Mean and variance of each channel, [N, C] each."""


def instance_norm(x: Tensor, scale: Tensor, shift: Tensor, moment: Moment | None = None, *, eps: float = 1e-5) -> Tensor:
    """scale (x - mean) / sqrt(variance + eps) + shift over each picture's own positions (Ulyanov et al. 2016).

    Args:
        x: [N, C, H, W].
        scale, shift: [C], or [N, C] for a pair a picture.
        moment: mean and (biased) variance to use instead of those of ``x``.
    """
    if moment is None and scale.ndim == 1:
        # A group a channel is instance norm, and several times faster than torch's own.
        return F.group_norm(x, x.shape[1], scale, shift, eps)
    if moment is None:
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
    """A convolution after upsampling by ``up``, reflection-padded to keep the size (divided by ``stride``)."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, up: int = 1, bias: bool = True, padded: bool = True
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, bias=bias)
        self.up = up
        self.margin = kernel // 2 if padded else 0

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H up / stride, W up / stride]."""
        if self.up > 1:
            x = F.interpolate(x, scale_factor=self.up, mode="nearest")
        if self.margin:
            x = F.pad(x, (self.margin,) * 4, mode="reflect")
        return super().forward(x.to(self.weight.dtype))
