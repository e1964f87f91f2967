"""Networks of public repositories, laid out as theirs: baselines of speed, and oracles of the converters."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ExamplesConv(nn.Module):
    """pytorch/examples' ConvLayer and UpsampleConvLayer."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, upsample: int = 1) -> None:
        super().__init__()
        self.upsample = upsample
        self.pad = nn.ReflectionPad2d(kernel // 2)
        self.conv2d = nn.Conv2d(inputs, outputs, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        if self.upsample > 1:
            x = nn.functional.interpolate(x, mode="nearest", scale_factor=self.upsample)
        return self.conv2d(self.pad(x))


class ExamplesBlock(nn.Module):
    """Its ResidualBlock."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (ExamplesConv(channels, channels, 3, 1) for _ in range(2))
        self.in1, self.in2 = (nn.InstanceNorm2d(channels, affine=True) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.in2(self.conv2(torch.relu(self.in1(self.conv1(x)))))


class ExamplesNet(nn.Module):
    """pytorch/examples' TransformerNet, on images of 0 to 255."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = ExamplesConv(3, 32, 9, 1), ExamplesConv(32, 64, 3, 2), ExamplesConv(64, 128, 3, 2)
        self.deconv1, self.deconv2 = ExamplesConv(128, 64, 3, 1, 2), ExamplesConv(64, 32, 3, 1, 2)
        self.deconv3 = ExamplesConv(32, 3, 9, 1)
        for index in range(1, 6):
            setattr(self, f"res{index}", ExamplesBlock(128))
        for index, channels in enumerate((32, 64, 128, 64, 32), 1):
            setattr(self, f"in{index}", nn.InstanceNorm2d(channels, affine=True))

    def forward(self, x: Tensor) -> Tensor:
        for index in (1, 2, 3):
            x = torch.relu(getattr(self, f"in{index}")(getattr(self, f"conv{index}")(x)))
        for index in range(1, 6):
            x = getattr(self, f"res{index}")(x)
        for index in (4, 5):
            x = torch.relu(getattr(self, f"in{index}")(getattr(self, f"deconv{index - 3}")(x)))
        return self.deconv3(x)


def naoto_vgg() -> nn.Sequential:
    """The AdaIN encoder as naoto0804 lays it out, up to relu4_1 and on to relu5_1."""
    layers: list[nn.Module] = [nn.Conv2d(3, 3, 1)]
    channels = 3
    for count, width in zip((2, 2, 4, 4, 1), (64, 128, 256, 512, 512), strict=True):
        for _ in range(count):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(channels, width, 3), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers[:-1])


def naoto_decoder() -> nn.Sequential:
    """The decoder as naoto0804 lays it out."""
    up, pad = nn.Upsample(scale_factor=2), nn.ReflectionPad2d(1)
    conv = lambda inputs, outputs: [pad, nn.Conv2d(inputs, outputs, 3), nn.ReLU()]  # noqa: E731
    return nn.Sequential(
        *conv(512, 256), up, *conv(256, 256), *conv(256, 256), *conv(256, 256), *conv(256, 128), up,
        *conv(128, 128), *conv(128, 64), up, *conv(64, 64), pad, nn.Conv2d(64, 3, 3),
    )  # fmt: skip
