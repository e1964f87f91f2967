"""StyleGAN2 in the official layout, written plainly: grouped convolutions with each image's own weights, NCHW, its FIR.

A baseline of speed and an oracle of agreement. Functions of the modules of :mod:`styleloom.papers.stylegan2`, whose
parameters they read: skip generator, residual discriminator.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def upfirdn2d(x: Tensor, kernel: Tensor, up: int = 1, down: int = 1, pad: tuple[int, int] = (0, 0), gain: float = 1) -> Tensor:
    """Zeros between pixels, zeros around, a 4x4 filter a channel, every ``down``-th pixel."""
    count, channels, height, width = x.shape
    x = F.pad(x.reshape(count, channels, height, 1, width, 1), (0, up - 1, 0, 0, 0, up - 1))
    x = F.pad(x.reshape(count, channels, height * up, width * up), (*pad, *pad))
    weight = (kernel * gain)[None, None].repeat(channels, 1, 1, 1)
    return F.conv2d(x, weight, groups=channels)[:, :, ::down, ::down]


def bias_act(x: Tensor, bias: Tensor, gain: float = 1.0) -> Tensor:
    """Bias, leaky ReLU, gain."""
    return F.leaky_relu(x + bias.view(1, -1, *[1] * (x.ndim - 2)), 0.2) * (math.sqrt(2) * gain)


def modulated_conv2d(x: Tensor, weight: Tensor, styles: Tensor, kernel: Tensor, up: int = 1, demodulate: bool = True) -> Tensor:
    """Weights of each image's own, in one grouped convolution."""
    count = x.shape[0]
    outputs, inputs, size, _ = weight.shape
    w = weight[None] * styles.view(count, 1, inputs, 1, 1)
    if demodulate:
        w = w * (w.square().sum((2, 3, 4)) + 1e-8).rsqrt().view(count, outputs, 1, 1, 1)
    x = x.reshape(1, count * inputs, *x.shape[2:])
    if up == 1:
        x = F.conv2d(x, w.reshape(count * outputs, inputs, size, size), padding=size // 2, groups=count)
    else:
        w = w.transpose(1, 2).reshape(count * inputs, outputs, size, size)
        x = F.conv_transpose2d(x, w, stride=2, groups=count)
        x = upfirdn2d(x, kernel, pad=(1, 1), gain=4)
    return x.reshape(count, outputs, *x.shape[2:])


def synthesis(network: Any, ws: Tensor) -> Tensor:
    """ws [N, num_ws, w_dim] -> images, with constant noise."""
    image: Any = None
    place = 0
    for resolution in network.resolutions:
        block: Any = network.get_submodule(f"b{resolution}")
        layers = [block.conv0, block.conv1] if resolution > 4 else [block.conv1]
        if resolution == 4:
            x = block.const[None].repeat(ws.shape[0], 1, 1, 1)
        for layer in layers:
            styles = layer.affine(ws[:, place])
            x = modulated_conv2d(x, layer.weight, styles, layer.resample_filter, layer.up)
            x = bias_act(x + (layer.noise_const * layer.noise_strength), layer.bias)
            place += 1
        styles = block.torgb.affine(ws[:, place]) * block.torgb.weight_gain
        y = modulated_conv2d(x, block.torgb.weight, styles, block.resample_filter, demodulate=False)
        y = y + block.torgb.bias.view(1, -1, 1, 1)
        image = y if image is None else upfirdn2d(image, block.resample_filter, up=2, pad=(2, 1), gain=4) + y
    return image


def conv2d(layer: Any, x: Tensor, gain: float = 1.0) -> Tensor:
    """A layer of the discriminator."""
    w = layer.weight * layer.weight_gain
    size = w.shape[-1]
    if layer.down == 2:
        first = size // 2 + 1
        x = upfirdn2d(x, layer.resample_filter, pad=(first, first))
        x = F.conv2d(x, w, stride=2) if size == 3 else F.conv2d(x[:, :, ::2, ::2], w)
    else:
        x = F.conv2d(x, w, padding=size // 2)
    return bias_act(x, layer.bias, gain) if layer.activate else x * gain


def discriminator(network: nn.Module, image: Tensor) -> Tensor:
    """Images -> logits [N, 1]."""
    net: Any = network
    x = conv2d(net.get_submodule(f"b{net.resolutions[0]}").fromrgb, image)
    for resolution in net.resolutions:
        block: Any = net.get_submodule(f"b{resolution}")
        y = conv2d(block.skip, x, math.sqrt(0.5))
        x = y + conv2d(block.conv1, conv2d(block.conv0, x), math.sqrt(0.5))
    group = min(net.b4.group_size, x.shape[0])
    y = x.reshape(group, -1, *x.shape[1:])
    y = ((y - y.mean(0)).square().mean(0) + 1e-8).sqrt().mean((1, 2, 3), keepdim=True)
    x = conv2d(net.b4.conv, torch.cat([x, y.repeat(group, 1, *x.shape[2:])], 1))
    return net.b4.out(net.b4.fc(x.flatten(1)))
