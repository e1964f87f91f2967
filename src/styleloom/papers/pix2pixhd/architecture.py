"""Generator with a local enhancer, discriminators at several scales, encoder of instances."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleloom.core.errors import StyleLoomError
from styleloom.nn.layers import Conv
from styleloom.nn.translation import (
    PatchGAN,
    ResidualBlock,
    ResNetGenerator,
    normalization,
)

MOST_WIDTH = 512  # channels of a discriminator


LLOYD_STEPS = 30


def halved(image: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, H / 2, W / 2], by means of 3 x 3 pixels."""
    return F.avg_pool2d(image, 3, stride=2, padding=1, count_include_pad=False)


class LocalEnhancer(nn.Module):
    """A generator for twice the size around another one (Section 3.2): what both see is added before the residual blocks.

    Args:
        in_channels, out_channels: numbers of channels of the images.
        width: channels of its first convolution; the global generator's has twice as many, at half the size.
        blocks: residual blocks of the global generator.
        local_blocks: residual blocks of its own.
        downsamplings: halvings of the global generator.
        norm: ``"batch"``, ``"instance"`` or ``"none"``.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        *,
        width: int = 32,
        blocks: int = 9,
        local_blocks: int = 3,
        downsamplings: int = 4,
        norm: str = "instance",
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = dict(
            in_channels=in_channels,
            out_channels=out_channels,
            width=width,
            blocks=blocks,
            local_blocks=local_blocks,
            downsamplings=downsamplings,
            norm=norm,
        )
        self.in_channels, self.out_channels, self.multiple = in_channels, out_channels, 2 ** (downsamplings + 1)
        self.smallest = 2 * max(4, self.multiple)
        self.inner = ResNetGenerator(
            in_channels, out_channels, width=2 * width, blocks=blocks, downsamplings=downsamplings, norm=norm, always_bias=True
        )
        del self.inner.head  # what it would draw is not asked for
        self.reach = 2 * (self.inner.reach or 0) + 8 * (2 + 2 * local_blocks)
        self.stem, self.stem_norm = Conv(in_channels, width, 7), normalization(norm, width)
        self.down, self.down_norm = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), normalization(norm, 2 * width)
        self.blocks = nn.ModuleList([ResidualBlock(2 * width, norm, False, True) for _ in range(local_blocks)])
        self.up = nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1)
        self.up_norm = normalization(norm, width)
        self.head = Conv(width, out_channels, 7)

    def forward(self, image: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, H, W] in [-1, 1]."""
        x = F.relu(self.stem_norm(self.stem(image.contiguous(memory_format=torch.channels_last))), inplace=True)
        x = F.relu(self.down_norm(self.down(x)), inplace=True) + self.inner.features(halved(image))
        for block in self.blocks:
            x = block(x)
        x = F.relu(self.up_norm(self.up(x)), inplace=True)
        return torch.tanh(self.head(x).float())


class MultiScale(nn.Module):
    """Discriminators of an image, its half, its quarter (Section 3.2).

    Args:
        in_channels: number of channels of what they see.
        width: channels of the first convolution.
        layers: strided convolutions of each.
        num: how many there are; the first sees the whole size.
        norm: ``"batch"``, ``"instance"`` or ``"none"``.
    """

    def __init__(self, in_channels: int = 3, *, width: int = 64, layers: int = 3, num: int = 2, norm: str = "instance") -> None:
        super().__init__()
        self.config: dict[str, Any] = dict(in_channels=in_channels, width=width, layers=layers, num=num, norm=norm)
        options: dict[str, Any] = dict(width=width, layers=layers, norm=norm, padding=2, max_width=MOST_WIDTH, always_bias=True)
        self.scales = nn.ModuleList([PatchGAN(in_channels, **options) for _ in range(num)])

    def features(self, image: Tensor) -> list[list[Tensor]]:
        """Activations of each layer at each scale, the logits last."""
        outputs = []
        for index, scale in enumerate(self.scales):
            image = halved(image) if index else image
            outputs.append(scale.features(image))  # type: ignore[operator]
        return outputs

    def forward(self, image: Tensor) -> list[Tensor]:
        """[N, in_channels, H, W] -> logits [N, 1, h, w] of each scale."""
        return [each[-1] for each in self.features(image)]


class InstanceEncoder(nn.Module):
    """A code for each instance, from the image of it: features, averaged over the instance (Section 3.4).

    Without an image, codes are drawn from those that were usual in training, class by class.

    Args:
        in_channels: number of channels of images.
        codes: numbers of a code.
        width: channels of the first convolution.
        downsamplings: halvings.
        norm: ``"batch"``, ``"instance"`` or ``"none"``.
        usual: classes, and codes of each that may be drawn; see :meth:`find_usual`.
    """

    usual: Tensor

    def __init__(
        self,
        in_channels: int = 3,
        codes: int = 3,
        *,
        width: int = 16,
        downsamplings: int = 4,
        norm: str = "instance",
        usual: Sequence[int] = (0, 0),
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = dict(
            in_channels=in_channels, codes=codes, width=width, downsamplings=downsamplings, norm=norm
        )
        self.register_buffer("usual", torch.zeros(*usual, codes), persistent=bool(usual[0]))
        if usual[0]:
            self.config["usual"] = list(usual)
        self.network = ResNetGenerator(
            in_channels, codes, width=width, blocks=0, downsamplings=downsamplings, norm=norm, always_bias=True
        )
        self.in_channels, self.multiple, self.smallest = in_channels, self.network.multiple, self.network.smallest
        self.reach = None

    def forward(self, image: Tensor, instances: Tensor) -> Tensor:
        """Image [N, C, H, W] in [-1, 1] and numbers of instances [N, 1, H, W] -> codes [N, codes, H, W]."""
        features: Tensor = self.network(image)
        result = []
        for feature, numbers in zip(features, instances.round().long(), strict=True):
            names, inverse = numbers.flatten().unique(return_inverse=True)
            sums = feature.new_zeros(len(feature), len(names)).index_add(1, inverse, feature.flatten(1))
            counts = torch.bincount(inverse, minlength=len(names))
            result.append((sums / counts)[:, inverse].view_as(feature))
        return torch.stack(result)

    @torch.inference_mode()
    def find_usual(self, examples: Iterable[tuple[Tensor, Tensor, Tensor]], classes: int, count: int) -> InstanceEncoder:
        """A copy that knows the usual codes: the centers of clusters of each class's instances.

        Args:
            examples: inputs [1, A, H, W], whose first channels are 1 where a class is, images [1, C, H, W] in [-1, 1], and
                numbers of instances [1, 1, H, W].
            classes: how many; 1 where inputs are no label maps.
            count: codes of each class.
        """
        found: list[list[Tensor]] = [[] for _ in range(classes)]
        for x, image, instances in examples:
            codes = self(image, instances)[0]
            for inside in _insides(instances):
                found[_class_of(x, inside, classes)].append(codes[:, inside].mean(1))
        every = torch.stack([code for codes in found for code in codes])
        centers = [_centers(torch.stack(codes) if codes else every, count) for codes in found]
        copy = InstanceEncoder(**self.config | dict(usual=(classes, count)))
        copy.load_state_dict(self.state_dict() | dict(usual=torch.stack(centers)))
        return copy.to(every.device)

    def drawn(self, x: Tensor, instances: Tensor, seed: int) -> Tensor:
        """One of the usual codes for each instance: inputs [1, A, H, W], numbers [1, 1, H, W] -> codes [1, codes, H, W].

        Raises:
            StyleLoomError: none are known.
        """
        if not len(self.usual):
            raise StyleLoomError("this model knows no usual codes; give codes_of, an image to read codes off")
        random = torch.Generator().manual_seed(seed)
        codes = x.new_empty(1, self.usual.shape[2], *x.shape[2:])
        for inside in _insides(instances):
            choice = int(torch.randint(self.usual.shape[1], (), generator=random))
            codes[0, :, inside] = self.usual[_class_of(x, inside, len(self.usual)), choice][:, None].to(x)
        return codes


def _insides(instances: Tensor) -> Iterator[Tensor]:
    """Positions of each instance of a map [1, 1, H, W]: [H, W] of bools."""
    numbers = instances[0, 0].round().long()
    for number in numbers.unique():
        yield numbers == number


def _class_of(x: Tensor, inside: Tensor, classes: int) -> int:
    """The class of an instance: the channel of x that is largest there."""
    return int(x[0, :classes, inside].mean(1).argmax())


def _centers(points: Tensor, count: int) -> Tensor:
    """Centers of clusters (Lloyd 1982): [N, D] -> [count, D]; points themselves, some twice, where there are not so many."""
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(0))
    centers = points[order.repeat(-(-count // len(points)))[:count]]
    for _ in range(LLOYD_STEPS if len(points) > count else 0):
        nearest = torch.cdist(points, centers).argmin(1)
        sums = torch.zeros_like(centers).index_add(0, nearest, points)
        sizes = torch.bincount(nearest, minlength=count)[:, None]
        centers = torch.where(sizes > 0, sums / sizes.clamp_min(1), centers)
    return centers


def boundaries(instances: Tensor) -> Tensor:
    """1 where a neighbor belongs to another instance: numbers [N, 1, H, W] -> [N, 1, H, W] (Section 3.3)."""
    edge = torch.zeros_like(instances, dtype=torch.bool)
    across, down = instances[..., 1:] != instances[..., :-1], instances[..., 1:, :] != instances[..., :-1, :]
    edge[..., 1:] |= across
    edge[..., :-1] |= across
    edge[..., 1:, :] |= down
    edge[..., :-1, :] |= down
    return edge.float()
