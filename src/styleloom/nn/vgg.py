"""A frozen VGG read at named layers: the perceptual features of every method here.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2015, arXiv:1409.1556.
Five blocks of 3x3 convolutions with 2x2 pooling between them. ``conv3_1`` is the first convolution of block 3 and
``relu3_1`` the same after its ReLU. VGG-16, VGG-19 and narrower networks of the same shape differ in two tuples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleloom.core.errors import StyleLoomError, check_choice

from . import winograd
from .layers import placed

VGG16_CONVS = (2, 2, 3, 3, 3)
VGG19_CONVS = (2, 2, 4, 4, 4)
VGG_WIDTHS = (64, 128, 256, 512, 512)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

POOLINGS: dict[str, Callable[[Tensor, int], Tensor]] = {"max": F.max_pool2d, "average": F.avg_pool2d}
PADDINGS = ("zeros", "reflect")


class Features(nn.Module):
    """A VGG-shaped network that returns the activations of the layers it is asked for.

    Args:
        convs: how many convolutions each of the blocks has.
        widths: channels of each block.
        pooling: ``"max"`` (as trained) or ``"average"`` (as Gatys 2016 paints).
        padding: what surrounds the activations: ``"zeros"`` (the first convolution then replicates the border, which
            keeps frames off optimized images) or ``"reflect"`` (the AdaIN encoder, and no border at all).
        mean, std: per-channel constants; images in [0, 1] enter the first convolution as ``(image - mean) / std``.

    Raises:
        StyleLoomError: an unknown pooling or padding, or as many widths as there are no blocks.
    """

    def __init__(
        self,
        *,
        convs: Sequence[int] = VGG19_CONVS,
        widths: Sequence[int] = VGG_WIDTHS,
        pooling: str = "max",
        padding: str = "zeros",
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        check_choice("pooling", pooling, POOLINGS)
        check_choice("padding", padding, PADDINGS)
        if len(convs) != len(widths):
            raise StyleLoomError(f"{len(convs)} blocks of convolutions but {len(widths)} widths; give one width a block")
        self.pooling = pooling
        self.padding = padding
        self.config = dict(convs=list(convs), widths=list(widths), padding=padding, mean=list(mean), std=list(std))
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.convolutions = nn.ModuleDict()
        channels = 3
        for block, (count, width) in enumerate(zip(convs, widths, strict=True), start=1):
            for index in range(1, count + 1):
                self.convolutions[f"{block}_{index}"] = nn.Conv2d(channels, width, 3)
                channels = width
        self.layers = tuple(f"{kind}{name}" for name in self.convolutions for kind in ("conv", "relu"))

    @property
    def convs(self) -> dict[str, nn.Conv2d]:
        """The convolutions by place: ``"1_1"``, ``"1_2"``, ``"2_1"``, ..."""
        return {name: cast(nn.Conv2d, conv) for name, conv in self.convolutions.items()}

    def prepare(self, device: torch.device, precision: torch.dtype) -> Features:
        """The network on a device and in a precision, channels last; the activations follow. What would change is a copy."""
        return placed(self, device, precision)

    def check_layers(self, layers: Iterable[str]) -> None:
        """Raise StyleLoomError unless this network has every one of the named layers."""
        unknown = [layer for layer in layers if layer not in self.layers]
        if unknown:
            raise StyleLoomError(f"unknown layers {unknown}; this network has {', '.join(self.layers)}")

    def minimum_size(self, layers: Iterable[str]) -> int:
        """The shortest side, in pixels, of an image that still reaches the deepest of ``layers``."""
        layers = list(layers)
        self.check_layers(layers)
        pools = max(int(layer[4]) for layer in layers) - 1
        return 2**pools * (2 if self.padding == "reflect" else 1)

    def forward(self, image: Tensor, layers: Sequence[str], read: Callable[[str, Tensor], Any] | None = None) -> dict[str, Any]:
        """Activations at ``layers``, computed no deeper than the deepest of them.

        Args:
            image: [N, 3, H, W] in [0, 1], RGB.
            layers: names such as ``"relu4_2"`` or ``"conv1_1"``.
            read: what to keep of each layer and its activations as they come, such as a loss; its gradient is then
                computed where the layer's turn comes, and takes no memory before.

        Returns:
            ``{layer: [N, C, H / 2^b, W / 2^b]}`` in the network's own precision, in the order asked for; or what
            ``read`` made of them.

        Raises:
            StyleLoomError: unknown layers, or an image smaller than :meth:`minimum_size`.
        """
        self.check_layers(layers)
        minimum = self.minimum_size(layers)
        if min(image.shape[-2:]) < minimum:
            height, width = image.shape[-2:]
            raise StyleLoomError(f"an image of {width} x {height} is too small for {layers[-1]}; it needs {minimum} px a side")
        missing = set(layers)
        outputs: dict[str, Any] = {}
        convs = self.convs
        first = convs["1_1"]
        x = ((image - self.mean) / self.std).to(first.weight.dtype)
        x = F.pad(x, (1, 1, 1, 1), mode="reflect") if self.padding == "reflect" else _replicate(x)
        x = x.contiguous(memory_format=torch.channels_last)
        block = "1"
        for name, conv in convs.items():
            if name[0] != block:
                x, block = POOLINGS[self.pooling](x, 2), name[0]
            if conv is first:
                x = F.conv2d(x, conv.weight, conv.bias)
            elif self.padding == "reflect":
                x = F.pad(x, (1, 1, 1, 1), mode="reflect")
                faster = winograd.pays(x, conv.weight)
                x = (winograd.convolve if faster else F.conv2d)(x, conv.weight, conv.bias)
            else:
                x = F.conv2d(x, conv.weight, conv.bias, padding=1)
            keep = f"conv{name}" in missing
            if keep:
                outputs[f"conv{name}"] = read(f"conv{name}", x) if read else x
            # In place where nobody keeps the sum before it: large images spend their time on memory.
            x = F.relu(x, inplace=not keep)
            if f"relu{name}" in missing:
                outputs[f"relu{name}"] = read(f"relu{name}", x) if read else x
            if len(outputs) == len(missing):
                break
        return {layer: outputs[layer] for layer in layers}


def _replicate(x: Tensor) -> Tensor:
    """One more pixel on each side, a copy of its neighbor; torch.compile cannot differentiate ``F.pad``'s own."""
    x = torch.cat([x[:, :, :1], x, x[:, :, -1:]], 2)
    return torch.cat([x[..., :1], x, x[..., -1:]], 3)
