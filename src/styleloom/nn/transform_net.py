"""Image transformation network of Johnson et al. 2016, which Dumoulin's and Ghiasi's papers build on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleloom.core.errors import check_choice
from styleloom.nn.layers import Conv, Moment, channel_moments, instance_norm

BORDER = 40  # pixels that the paper pads an image by, and that its unpadded residual blocks cut off again


OUTPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    # differs from the paper: it scales tanh to [0, 255]; images here are in [0, 1].
    "tanh": lambda x: 0.5 + 0.5 * torch.tanh(x),
    "sigmoid": torch.sigmoid,
}


UPSAMPLES = ("nearest", "transpose")


PADDINGS = ("reflect", "border")


Norms = Sequence[tuple[Tensor, Tensor]]
"""Scale and shift of every normalization, [C] or [N, C] each, in the order of the layers."""


class TransformNet(nn.Module):
    """The image transformation network: two strided convolutions, five residual blocks, two upsampling convolutions.

    Every convolution but the last is followed by instance norm, whose scales and shifts are the network's own or the
    caller's.

    Args:
        width: channels of the first convolution; the next two have twice and four times as many.
        blocks: residual blocks.
        upsample: ``"nearest"`` and a convolution, or a ``"transpose"`` convolution.
        padding: ``"reflect"`` everywhere, or a ``"border"`` of 40 pixels once and none in the residual blocks.
        output: ``"linear"``, ``"tanh"`` or ``"sigmoid"``.
        own_norms: hold scales and shifts. Without them they come with each call, the last convolution's too.
        last_norm: normalize the last convolution as well, as networks of many styles do (see :meth:`with_norms`).
        bias: whether convolutions have one.
        deep_blocks, deep_width: residual blocks at an eighth of the resolution, and their channels: larger strokes for as much
            arithmetic. What they make is added to the features at a quarter, where the other residual blocks follow. 0: none,
            as in the paper.
    """

    def __init__(
        self,
        *,
        width: int = 32,
        blocks: int = 5,
        upsample: str = "nearest",
        padding: str = "reflect",
        output: str = "linear",
        own_norms: bool = True,
        last_norm: bool = False,
        bias: bool = True,
        deep_blocks: int = 0,
        deep_width: int = 160,
    ) -> None:
        super().__init__()
        check_choice("upsample", upsample, UPSAMPLES)
        check_choice("padding", padding, PADDINGS)
        check_choice("output", output, OUTPUTS)
        self.config = dict(
            width=width, blocks=blocks, upsample=upsample, padding=padding, output=output, own_norms=own_norms, bias=bias
        )
        if last_norm:
            self.config["last_norm"] = True
        if deep_blocks:
            self.config |= dict(deep_blocks=deep_blocks, deep_width=deep_width)
        self.border = padding == "border"
        self.output = output
        wide = 4 * width
        self.down = nn.ModuleList(
            [
                Conv(3, width, 9, bias=bias),
                Conv(width, 2 * width, 3, stride=2, bias=bias),
                Conv(2 * width, wide, 3, stride=2, bias=bias),
            ]
        )
        self.deep = nn.ModuleList()
        if deep_blocks:
            self.deep.append(Conv(wide, deep_width, 3, stride=2, bias=bias))
            self.deep.extend(Conv(deep_width, deep_width, 3, bias=bias) for _ in range(2 * deep_blocks))
            self.deep.append(Conv(deep_width, wide, 3, up=2, bias=bias))
        self.residual = nn.ModuleList([Conv(wide, wide, 3, bias=bias, padded=not self.border) for _ in range(2 * blocks)])
        self.up = nn.ModuleList()
        for inputs, outputs in ((wide, 2 * width), (2 * width, width)):
            self.up.append(
                Conv(inputs, outputs, 3, up=2, bias=bias)
                if upsample == "nearest"
                else nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1, bias=bias)
            )
        self.last = Conv(width, 3, 9, bias=bias)
        deep = [deep_width] * (len(self.deep) - 1) + [wide] * bool(self.deep)
        self.channels: tuple[int, ...] = (width, 2 * width, wide, *deep, *[wide] * (2 * blocks), 2 * width, width)
        self.channels += (3,) if last_norm or not own_norms else ()
        owned = self.channels if own_norms else ()
        self.scales = nn.ParameterList([torch.ones(count) for count in owned])
        self.shifts = nn.ParameterList([torch.zeros(count) for count in owned])

    def with_norms(self, norms: Norms) -> TransformNet:
        """A copy with scales and shifts of its own: one style of a network of many.

        Args:
            norms: scale and shift of every normalization, [C] or [1, C] each.
        """
        copy = TransformNet(**self.config | dict(own_norms=True, last_norm=True))  # type: ignore[arg-type]
        copy.load_state_dict(self.state_dict(), strict=False)
        for index, (scale, shift) in enumerate(norms):
            copy.scales[index].data.copy_(scale.reshape(-1))
            copy.shifts[index].data.copy_(shift.reshape(-1))
        return copy

    @property
    def reach(self) -> int:
        """Receptive radius: pixels that a pixel of the result depends on in each direction, rounded up to a multiple of 8."""
        deep = 4 + 8 * (len(self.deep) - 1) if self.deep else 0
        # 4 of the first kernel, 3 of the strided ones, 4 of each residual convolution, 6 and 4 of those after.
        return max(64, -(-(4 + 3 + deep + 4 * len(self.residual) + 6 + 4) // 8) * 8)

    def forward(self, image: Tensor, norms: Norms | None = None, statistics: Sequence[Moment] | None = None) -> Tensor:
        """[N, 3, H, W] in [0, 1] -> [N, 3, H, W], nominally in [0, 1]; any size.

        Args:
            image: the images.
            norms: scale and shift of every normalization, instead of the network's own.
            statistics: mean and variance at every normalization, instead of the image's own (see :meth:`statistics`).
        """
        norms = norms if norms is not None else list(zip(self.scales, self.shifts, strict=True))

        def norm(x: Tensor, index: int) -> Tensor:
            return instance_norm(x, *norms[index], statistics[index] if statistics is not None else None)

        return self._run(image, norm)

    def statistics(self, image: Tensor, norms: Norms | None = None) -> list[Moment]:
        """Mean and variance that each normalization meets in an image: what a thumbnail tells the tiles of a large one."""
        norms = norms if norms is not None else list(zip(self.scales, self.shifts, strict=True))
        met: list[Moment] = []

        def norm(x: Tensor, index: int) -> Tensor:
            met.append(channel_moments(x))
            return instance_norm(x, *norms[index], met[-1])

        self._run(image, norm)
        return met

    def _run(self, image: Tensor, norm: Callable[[Tensor, int], Tensor]) -> Tensor:
        height, width = image.shape[-2:]
        # Two halvings, or three; and reflection needs two pixels where the resolution is lowest.
        multiple = 8 if self.deep else 4
        below, right = ((multiple - side % multiple) % multiple for side in (height, width))  # -side % 8 is no ONNX
        if height < 2 * multiple or width < 2 * multiple:
            below, right = (max(more, 2 * multiple - side) for more, side in ((below, height), (right, width)))
        x = F.pad(image, (0, right, 0, below), mode="replicate")
        if self.border:
            x = F.pad(x, (BORDER,) * 4, mode="reflect")
        x = x.contiguous(memory_format=torch.channels_last)
        index = 0
        for conv in self.down:
            x = F.relu(norm(conv(x), index), inplace=True)
            index += 1
        if self.deep:
            first, *blocks, last = self.deep
            deep = F.relu(norm(first(x), index), inplace=True)
            index += 1
            for first, second in zip(blocks[::2], blocks[1::2], strict=True):
                y = F.relu(norm(first(deep), index), inplace=True)
                deep = deep + norm(second(y), index + 1)
                index += 2
            x = x + norm(last(deep), index)
            index += 1
        for first, second in zip(self.residual[::2], self.residual[1::2], strict=True):
            y = F.relu(norm(first(x), index), inplace=True)
            y = norm(second(y), index + 1)
            x = (x[:, :, 2:-2, 2:-2] if self.border else x) + y
            index += 2
        for conv in self.up:
            x = F.relu(norm(conv(x), index), inplace=True)
            index += 1
        x = self.last(x)
        if index < len(self.channels):  # the last convolution is normalized too
            x = norm(x, index)
        return OUTPUTS[self.output](x.float())[:, :, :height, :width]
