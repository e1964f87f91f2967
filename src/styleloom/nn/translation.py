"""Networks from image to image, and discriminators of patches, as pix2pix, CycleGAN and pix2pixHD have them.

Isola et al. 2017 (U-Net, PatchGAN), Zhu et al. 2017 (the residual generator, after Johnson et al. 2016), Wang et al. 2018
(discriminators at several scales). All take and give [N, C, H, W] in [-1, 1].
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleloom.core.errors import StyleLoomError, check_choice

from .layers import Conv, strided
from .normalization import NORMS as NORMS
from .normalization import BatchNorm as BatchNorm
from .normalization import Dropout as Dropout
from .normalization import InstanceNorm as InstanceNorm
from .normalization import inference_mode_of as inference_mode_of
from .normalization import normalization as normalization
from .normalization import statistics_of as statistics_of

UPSAMPLES = ("transpose", "nearest")
SLOPE = 0.2  # of leaky ReLUs


def checked_residual(residual: bool, in_channels: int, out_channels: int) -> bool:
    """Whether a network adds its result to its input.

    Raises:
        StyleLoomError: the two have different channels.
    """
    if residual and in_channels != out_channels:
        raise StyleLoomError(f"a residual network from {in_channels} to {out_channels} channels; it needs as many on both sides")
    return residual


def _result(image: Tensor, x: Tensor, residual: bool) -> Tensor:
    """Output of a network from its last layer's x. Only a residual added to a bright or dark pixel goes beyond [-1, 1]."""
    change = torch.tanh(x.float())
    return image + change if residual else change


class UNet(nn.Module):
    """An encoder and a decoder with a skip connection at each level (Isola et al. 2017, Section 3.2).

    Args:
        in_channels, out_channels: numbers of channels of the images.
        width: channels of the first level; each next one has twice as many.
        depth: levels; images have a multiple of 2 ** depth pixels a side.
        norm: ``"batch"``, ``"instance"`` or ``"none"``.
        dropout: drop half of the channels in the decoder's widest levels: the paper's noise z.
        upsample: a ``"transpose"`` convolution, or ``"nearest"`` and a 3x3 convolution, which leaves no checkerboard.
        max_width: most channels of a level; 8 * ``width`` by default.
        residual: add the result to the input, for a domain that differs little; it starts as the identity.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        *,
        width: int = 64,
        depth: int = 8,
        norm: str = "batch",
        dropout: bool = True,
        upsample: str = "transpose",
        max_width: int | None = None,
        residual: bool = False,
    ) -> None:
        super().__init__()
        if depth < 2:
            raise StyleLoomError(f"a U-Net of depth {depth}; it needs 2 levels or more")
        check_choice("upsample", upsample, UPSAMPLES)
        self.config: dict[str, Any] = dict(
            in_channels=in_channels,
            out_channels=out_channels,
            width=width,
            depth=depth,
            norm=norm,
            dropout=dropout,
            upsample=upsample,
            max_width=max_width,
            residual=residual,
        )
        self.residual = checked_residual(residual, in_channels, out_channels)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.multiple = self.smallest = 2**depth
        self.reach = None  # everything: the lowest level sees the whole image
        most = 8 * width if max_width is None else max_width
        widths = [min(width * 2**level, most) for level in range(depth)]
        bias = norm == "instance"  # as the authors' PyTorch code has it
        self.down, self.down_norm, self.up, self.up_norm = (nn.ModuleList() for _ in range(4))
        for level, wide in enumerate(widths):
            above = widths[level - 1] if level else in_channels
            self.down.append(nn.Conv2d(above, wide, 4, stride=2, padding=1, bias=bias))
            self.down_norm.append(normalization(norm if 0 < level < depth - 1 else "none", wide))
            inputs, outputs = wide if level == depth - 1 else 2 * wide, above if level else out_channels
            up_bias = bias or level == 0
            self.up.append(
                nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=up_bias)
                if upsample == "transpose"
                else Conv(inputs, outputs, 3, up=2, bias=up_bias)
            )
            self.up_norm.append(normalization(norm if level else "none", outputs))
        self.dropout = nn.ModuleList(
            [Dropout(0.5) if dropout and 4 <= level < depth - 1 else nn.Identity() for level in range(depth)]
        )

    def forward(self, image: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, H, W] in [-1, 1]."""
        x = image.contiguous(memory_format=torch.channels_last)
        skips: list[Tensor] = []
        for level, (conv, normalize) in enumerate(zip(self.down, self.down_norm, strict=True)):
            if level:
                skips.append(x)
                x = F.leaky_relu(x, SLOPE)
            x = normalize(conv(x))
        for level in reversed(range(len(self.up))):
            x = self.dropout[level](self.up_norm[level](self.up[level](F.relu(x))))
            if level:
                x = torch.cat([skips[level - 1], x], 1)
        return _result(image, x, self.residual)


class ResidualBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), reflection-padded."""

    def __init__(self, channels: int, norm: str, dropout: bool, bias: bool) -> None:
        super().__init__()
        self.conv1, self.norm1 = Conv(channels, channels, 3, bias=bias), normalization(norm, channels)
        self.dropout = Dropout(0.5) if dropout else nn.Identity()
        self.conv2, self.norm2 = Conv(channels, channels, 3, bias=bias), normalization(norm, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same."""
        y = self.dropout(F.relu(self.norm1(self.conv1(x)), inplace=True))
        return x + self.norm2(self.conv2(y))


class ResNetGenerator(nn.Module):
    """Strided convolutions, residual blocks, transposed convolutions (Zhu et al. 2017, after Johnson et al. 2016).

    With four halvings it is pix2pixHD's global generator.

    Args:
        in_channels, out_channels: numbers of channels of the images.
        width: channels of the first convolution; each halving of the resolution doubles them.
        blocks: residual blocks.
        downsamplings: halvings; images have a multiple of 2 ** downsamplings pixels a side.
        norm: ``"batch"``, ``"instance"`` or ``"none"``.
        dropout: drop half of the channels in each block.
        upsample: a ``"transpose"`` convolution, or ``"nearest"`` and a 3x3 convolution, which leaves no checkerboard.
        always_bias: give convolutions a bias whatever norm follows, as pix2pixHD does.
        residual: add the result to the input, for a domain that differs little; it starts as the identity.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        *,
        width: int = 64,
        blocks: int = 9,
        downsamplings: int = 2,
        norm: str = "instance",
        dropout: bool = False,
        upsample: str = "transpose",
        always_bias: bool = False,
        residual: bool = False,
    ) -> None:
        super().__init__()
        check_choice("upsample", upsample, UPSAMPLES)
        self.config: dict[str, Any] = dict(
            in_channels=in_channels,
            out_channels=out_channels,
            width=width,
            blocks=blocks,
            downsamplings=downsamplings,
            norm=norm,
            dropout=dropout,
            upsample=upsample,
            always_bias=always_bias,
            residual=residual,
        )
        self.residual = checked_residual(residual, in_channels, out_channels)
        self.in_channels, self.out_channels, self.multiple = in_channels, out_channels, 2**downsamplings
        self.smallest = max(4, 2 * self.multiple)  # of which a reflected border can be taken
        self.reach: int | None = -(-(6 + (2 + 2 * blocks) * 2**downsamplings) // 8) * 8
        bias = always_bias or norm == "instance"
        widths = [width * 2**level for level in range(downsamplings + 1)]
        self.stem, self.stem_norm = Conv(in_channels, width, 7, bias=bias), normalization(norm, width)
        self.down, self.down_norm, self.up, self.up_norm = (nn.ModuleList() for _ in range(4))
        for inputs, outputs in itertools.pairwise(widths):
            self.down.append(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=bias))
            self.down_norm.append(normalization(norm, outputs))
        self.blocks = nn.ModuleList([ResidualBlock(widths[-1], norm, dropout, bias) for _ in range(blocks)])
        for inputs, outputs in zip(widths[:0:-1], widths[-2::-1], strict=True):
            self.up.append(
                nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1, bias=bias)
                if upsample == "transpose"
                else Conv(inputs, outputs, 3, up=2, bias=bias)
            )
            self.up_norm.append(normalization(norm, outputs))
        self.head = Conv(width, out_channels, 7)

    def features(self, image: Tensor) -> Tensor:
        """Input of the last convolution: [N, in_channels, H, W] -> [N, width, H, W]."""
        x = image.contiguous(memory_format=torch.channels_last)
        x = F.relu(self.stem_norm(self.stem(x)), inplace=True)
        for conv, normalize in zip(self.down, self.down_norm, strict=True):
            x = F.relu(normalize(strided(conv, x)), inplace=True)
        for block in self.blocks:
            x = block(x)
        for conv, normalize in zip(self.up, self.up_norm, strict=True):
            x = F.relu(normalize(conv(x) if isinstance(conv, Conv) else strided(conv, x)), inplace=True)
        return x

    def forward(self, image: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, H, W] in [-1, 1]."""
        return _result(image, self.head(self.features(image)), self.residual)


class PatchGAN(nn.Module):
    """A discriminator of overlapping patches, one logit each (Isola et al. 2017, Section 3.2.2).

    Args:
        in_channels: number of channels of what it sees; for pairs those of both images.
        width: channels of the first convolution.
        layers: strided convolutions; patches of 16, 34, 70, 142 and 286 px for 1 to 5, and of one pixel for 0.
        norm: ``"batch"``, ``"instance"`` or ``"none"``.
        padding: padding of each convolution; 2 in pix2pixHD.
        max_width: most channels; 8 * ``width`` by default.
        always_bias: give convolutions a bias whatever norm follows, as pix2pixHD does.
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        width: int = 64,
        layers: int = 3,
        norm: str = "batch",
        padding: int = 1,
        max_width: int | None = None,
        always_bias: bool = False,
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = dict(
            in_channels=in_channels,
            width=width,
            layers=layers,
            norm=norm,
            padding=padding,
            max_width=max_width,
            always_bias=always_bias,
        )
        bias = always_bias or norm == "instance"
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        if not layers:
            sizes = [(in_channels, width, 1, 1, True), (width, 2 * width, 1, 1, bias), (2 * width, 1, 1, 1, bias)]
            padding = 0
        else:
            most = 8 * width if max_width is None else max_width
            widths = [in_channels, *(min(width * 2**level, most) for level in range(layers + 1)), 1]
            strides = [2] * layers + [1, 1]
            biased = [True, *[bias] * layers, True]
            sizes = [
                (*pair, 4, *rest) for *pair, rest in zip(widths, widths[1:], zip(strides, biased, strict=True), strict=False)
            ]
        for index, (inputs, outputs, kernel, stride, has_bias) in enumerate(sizes):
            self.convs.append(nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=has_bias))
            self.norms.append(normalization(norm if 0 < index < len(sizes) - 1 else "none", outputs))

    def features(self, image: Tensor) -> list[Tensor]:
        """Activations of each layer, the logits last: [N, in_channels, H, W] -> [[N, C, h, w], ..., [N, 1, h, w]]."""
        x = image.contiguous(memory_format=torch.channels_last)
        outputs = []
        for index, (conv, normalize) in enumerate(zip(self.convs, self.norms, strict=True), 1):
            x = normalize(conv(x))
            if index < len(self.convs):
                x = F.leaky_relu(x, SLOPE)
            outputs.append(x)
        return outputs

    def forward(self, image: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> logits [N, 1, h, w]."""
        return self.features(image)[-1]


GENERATORS: dict[str, type[UNet] | type[ResNetGenerator]] = {"unet": UNet, "resnet": ResNetGenerator}


def generator_config(network: nn.Module) -> dict[str, Any]:
    """Plain values from which :func:`made_generator` makes the network again."""
    name = next(name for name, kind in GENERATORS.items() if type(network) is kind)
    return dict(network=name) | network.config  # type: ignore[operator]


def made_generator(config: dict[str, Any]) -> UNet | ResNetGenerator:
    """The network that :func:`generator_config` told of."""
    options = dict(config)
    name = options.pop("network")
    check_choice("network", name, GENERATORS)
    return GENERATORS[name](**options)


def initialize(network: nn.Module, gain: float = 0.02) -> None:
    """Weights from N(0, gain), scales of batch norm from N(1, gain), biases 0, as the papers have it."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, gain)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, gain)
            nn.init.zeros_(module.bias)
    if getattr(network, "residual", False):
        last = network.up[0] if isinstance(network, UNet) else network.head
        for parameter in last.parameters():  # type: ignore[union-attr]
            nn.init.zeros_(parameter)


class ImagePool(nn.Module):
    """Images made so far, of which half of the time an earlier one is shown in a new one's place (Shrivastava et al. 2017).

    Args:
        size: how many it holds; 0: none, and each image is shown itself.
        shape: [C, H, W] of an image.
    """

    own_buffers = True  # of several processes each has its own
    images: Tensor
    count: Tensor

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def query(self, images: Tensor, rng: Any) -> Tensor:
        """Put images [N, C, H, W] in, and take as many out.

        Args:
            images: newly made.
            rng: a :class:`random.Random`, asked as the authors' code asks Python's.
        """
        size = len(self.images)
        if not size:
            return images
        shown = []
        for image in images.detach():
            held = int(self.count)
            if held < size:
                self.images[held] = image
                self.count += 1
                shown.append(image)
            elif rng.uniform(0, 1) > 0.5:
                index = rng.randint(0, size - 1)
                shown.append(self.images[index].to(image.dtype, copy=True))
                self.images[index] = image
            else:
                shown.append(image)
        return torch.stack(shown)
