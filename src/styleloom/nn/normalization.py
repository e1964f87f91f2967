"""Norms and dropout of translation networks, which can keep the statistics of another image or batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleloom.core.errors import check_choice

from .layers import Moment, channel_moments, instance_norm

NORMS = ("batch", "instance", "none")


class BatchNorm(nn.BatchNorm2d):
    """Batch normalization that uses the batch's own mean and variance outside of training, too, where it is asked to."""

    own_statistics = False
    moment: Moment | None = None
    recording = False

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same."""
        if not self.own_statistics or self.training:
            return super().forward(x)
        if self.recording:
            variance, mean = torch.var_mean(x.float(), (0, 2, 3), correction=0)
            self.moment = mean, variance
        if self.moment is not None:
            return instance_norm(x, self.weight, self.bias, self.moment, eps=self.eps)
        return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)


class _Normalized(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) of each channel, with a gradient that takes a fraction of the time of torch's own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Tensor:
        count, channels, height, width = x.shape
        y, mean, scale = torch.native_group_norm(x, None, None, count, channels, height * width, channels, eps)
        ctx.save_for_backward(x, *(each.view(count, channels, 1, 1) for each in (mean, scale)))
        ctx.eps = eps
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        x, mean, scale = ctx.saved_tensors
        if torch.is_grad_enabled():  # a gradient of the gradient is asked for
            (slope,) = torch.autograd.grad(F.group_norm(x, x.shape[1], None, None, ctx.eps), x, g, create_graph=True)
            return slope, None
        # scale (g - mean(g) - y mean(g y)); y anew, since it may be overwritten by what follows it.
        y = torch.addcmul((-mean * scale).to(x.dtype), x, scale.to(x.dtype))
        # Sums are taken in fp32 inside, whatever they are given; asked for fp32, torch would copy all of g first.
        level, along = (each.sum((2, 3), keepdim=True).float() / (x.shape[2] * x.shape[3]) for each in (g, g * y))
        return y.mul_((-along * scale).to(g.dtype)).add_((-level * scale).to(g.dtype)).addcmul_(g, scale.to(g.dtype)), None


class InstanceNorm(nn.GroupNorm):
    """Instance normalization without scale and shift, by each image's own mean and variance or by those of a thumbnail of it.

    A group a channel is instance norm, and several times faster than torch's own.
    """

    moment: Moment | None = None
    recording = False

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same."""
        if self.recording:
            self.moment = channel_moments(x)
        if self.moment is None:
            if torch.is_grad_enabled() and x.requires_grad and not torch.compiler.is_compiling():
                normalized: Tensor = _Normalized.apply(x, self.eps)
                return normalized
            return super().forward(x)
        one, zero = torch.ones((), device=x.device), torch.zeros((), device=x.device)
        return instance_norm(x, one.expand(x.shape[1]), zero.expand(x.shape[1]), self.moment, eps=self.eps)


class Dropout(nn.Dropout):
    """Dropout that goes on outside of training where it is asked to: the noise z of pix2pix."""

    noisy = False

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same."""
        return F.dropout(x, self.p, self.training or self.noisy)


@contextmanager
def inference_mode_of(network: nn.Module, *, batch_statistics: bool = False, noise: bool = False) -> Iterator[None]:
    """Let a network in eval mode normalize by each batch's own statistics, or keep its dropout, for a while.

    Args:
        network: the network whose batch norms and dropouts are meant.
        batch_statistics: normalize by the batch's own mean and variance, not the saved ones.
        noise: leave dropout on.
    """
    modules = list(network.modules())
    try:
        for module in modules:
            if isinstance(module, BatchNorm):
                module.own_statistics = batch_statistics
            elif isinstance(module, Dropout):
                module.noisy = noise
        yield
    finally:
        for module in modules:
            if isinstance(module, BatchNorm):
                module.own_statistics = False
            elif isinstance(module, Dropout):
                module.noisy = False


@contextmanager
def statistics_of(network: nn.Module, image: Tensor) -> Iterator[None]:
    """Let a network normalize by the statistics that it finds in an image, a thumbnail of one whose tiles it then sees.

    Args:
        network: a network in eval mode.
        image: [1, C, H, W] in [-1, 1], of a size that the network takes.
    """
    norms = [module for module in network.modules() if isinstance(module, InstanceNorm | BatchNorm)]
    try:
        for module in norms:
            module.recording = True
        network(image)
        for module in norms:
            module.recording = False
        yield
    finally:
        for module in norms:
            module.recording, module.moment = False, None


def normalization(kind: str, channels: int) -> nn.Module:
    """A normalization by name: ``"batch"``, ``"instance"`` (without scale and shift) or ``"none"``."""
    check_choice("norm", kind, NORMS)
    if kind == "batch":
        return BatchNorm(channels)
    return InstanceNorm(channels) if kind == "instance" else nn.Identity()
