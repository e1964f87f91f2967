"""The Inception network of published FIDs, from the files of torch-fidelity and pytorch-fid, and which features are compared.

Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016, as it was trained for TensorFlow's 2015
release: its average pooling leaves the padding out and its last block takes a maximum. torch-fidelity's
``weights-inception-2015-12-05-6726825d.pth`` and pytorch-fid's ``pt_inception-2015-12-05-6726825d.pth`` hold the same weights
under the names of the layers here. The two projects resize differently, so that their FIDs differ a little: torch-fidelity by
TensorFlow 1's bilinear rule, as the first FIDs, pytorch-fid by PyTorch's.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleloom.core.checkpoint import resolve
from styleloom.core.errors import StyleLoomError
from styleloom.core.pth import read_state_dict
from styleloom.nn.vgg_files import EMBEDDED, load_features

from .distribution import CPU, Embedding, layer_means

SIDE, FEATURES, CLASSES = 299, 2048, 1008


class Convolution(nn.Module):
    """Convolution, batch norm with recorded statistics, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, padding: object = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)  # type: ignore[arg-type]
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H', W']."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


def _mean3(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class BlockA(nn.Module):
    """Branches of 1x1, 5x5 and twice 3x3, and a pooled one, at 35 px."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = Convolution(inputs, 64, 1)
        self.branch5x5_1 = Convolution(inputs, 48, 1)
        self.branch5x5_2 = Convolution(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = Convolution(inputs, 64, 1)
        self.branch3x3dbl_2 = Convolution(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Convolution(96, 96, 3, padding=1)
        self.branch_pool = Convolution(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, 224 + pooled, H, W]."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), self.branch5x5_2(self.branch5x5_1(x)), double, self.branch_pool(_mean3(x))], 1)


class BlockB(nn.Module):
    """From 35 to 17 px."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = Convolution(inputs, 384, 3, 2)
        self.branch3x3dbl_1 = Convolution(inputs, 64, 1)
        self.branch3x3dbl_2 = Convolution(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Convolution(96, 96, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, inputs + 480, H', W'], half as large."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)], 1)


class BlockC(nn.Module):
    """Branches of 7x1 and 1x7, at 17 px."""

    def __init__(self, inputs: int, middle: int) -> None:
        super().__init__()
        across, down = dict(kernel=(1, 7), padding=(0, 3)), dict(kernel=(7, 1), padding=(3, 0))
        self.branch1x1 = Convolution(inputs, 192, 1)
        self.branch7x7_1 = Convolution(inputs, middle, 1)
        self.branch7x7_2 = Convolution(middle, middle, **across)  # type: ignore[arg-type]
        self.branch7x7_3 = Convolution(middle, 192, **down)  # type: ignore[arg-type]
        self.branch7x7dbl_1 = Convolution(inputs, middle, 1)
        self.branch7x7dbl_2 = Convolution(middle, middle, **down)  # type: ignore[arg-type]
        self.branch7x7dbl_3 = Convolution(middle, middle, **across)  # type: ignore[arg-type]
        self.branch7x7dbl_4 = Convolution(middle, middle, **down)  # type: ignore[arg-type]
        self.branch7x7dbl_5 = Convolution(middle, 192, **across)  # type: ignore[arg-type]
        self.branch_pool = Convolution(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, 768, H, W]."""
        once = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        return torch.cat([self.branch1x1(x), once, twice, self.branch_pool(_mean3(x))], 1)


class BlockD(nn.Module):
    """From 17 to 8 px."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3_1 = Convolution(inputs, 192, 1)
        self.branch3x3_2 = Convolution(192, 320, 3, 2)
        self.branch7x7x3_1 = Convolution(inputs, 192, 1)
        self.branch7x7x3_2 = Convolution(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = Convolution(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = Convolution(192, 192, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, inputs + 512, H', W'], half as large."""
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), seven, F.max_pool2d(x, 3, stride=2)], 1)


class BlockE(nn.Module):
    """Branches that end in 1x3 and 3x1 side by side, at 8 px; the last block takes a maximum where the first takes a mean."""

    def __init__(self, inputs: int, maximum: bool) -> None:
        super().__init__()
        self.maximum = maximum
        self.branch1x1 = Convolution(inputs, 320, 1)
        self.branch3x3_1 = Convolution(inputs, 384, 1)
        self.branch3x3_2a = Convolution(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = Convolution(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = Convolution(inputs, 448, 1)
        self.branch3x3dbl_2 = Convolution(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = Convolution(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = Convolution(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = Convolution(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, 2048, H, W]."""
        once, twice = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, stride=1, padding=1) if self.maximum else _mean3(x)
        parts = [self.branch1x1(x), self.branch3x3_2a(once), self.branch3x3_2b(once)]
        parts += [self.branch3x3dbl_3a(twice), self.branch3x3dbl_3b(twice), self.branch_pool(pooled)]
        return torch.cat(parts, 1)


class Inception(nn.Module):
    """Images [N, 3, H, W] in [0, 1] to the 2,048 features of FID.

    Args:
        half_pixels: resize as pytorch-fid does, by PyTorch's bilinear rule; else as torch-fidelity, by TensorFlow 1's.
    """

    def __init__(self, half_pixels: bool = False) -> None:
        super().__init__()
        self.half_pixels = half_pixels
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = BlockA(192, 32), BlockA(256, 64), BlockA(288, 64)
        self.Mixed_6a = BlockB(288)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = (BlockC(768, middle) for middle in (128, 160, 160, 192))
        self.Mixed_7a = BlockD(768)
        self.Mixed_7b, self.Mixed_7c = BlockE(1280, False), BlockE(2048, True)
        self.fc = nn.Linear(FEATURES, CLASSES)  # in the file; FID ends before it

    def forward(self, image: Tensor) -> Tensor:
        """Features [N, 2048] of images [N, 3, H, W] in [0, 1], of any size."""
        if self.half_pixels:
            x = 2 * F.interpolate(image, (SIDE, SIDE), mode="bilinear", align_corners=False) - 1
        else:
            x = (_enlarged((image * 255).round()) - 128) / 128
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, stride=2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, stride=2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        return self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean((2, 3))


def _enlarged(image: Tensor) -> Tensor:
    """To 299 px by TensorFlow 1's bilinear rule: pixel i of the result lies at i * old / new, and borders are repeated."""
    for axis in (2, 3):
        old = image.shape[axis]
        place = torch.arange(SIDE, device=image.device) * (old / SIDE)
        low = place.floor().long()
        share = (place - low).view((-1, 1) if axis == 2 else (1, -1)).to(image.dtype)
        image = image.index_select(axis, low).lerp(image.index_select(axis, (low + 1).clamp(max=old - 1)), share)
    return image


def load_embedding(name: str | Path = EMBEDDED, device: torch.device = CPU) -> Embedding:
    """The network whose features sets of images are compared by.

    Args:
        name: ``"vgg19-lite"``, another perceptual network that :func:`~styleloom.nn.vgg_files.load_features` takes, or
            Inception's file, by path or ``hf://owner/repo/file``: torch-fidelity's, or pytorch-fid's, whose name begins with
            ``pt_inception``.
        device: where it computes.

    Raises:
        StyleLoomError: no such file, or none of these networks in it.
    """
    if "inception" not in Path(str(name)).name.lower():
        return layer_means(load_features(name).to(device), str(name) if str(name) == EMBEDDED else Path(str(name)).stem)
    path = resolve(name)
    by_pytorch_fid = path.name.lower().startswith("pt_inception")
    network = Inception(half_pixels=by_pytorch_fid)
    try:
        network.load_state_dict(read_state_dict(path))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise StyleLoomError(f"{path} is not the Inception network of torch-fidelity or pytorch-fid: {reason}") from error
    network.eval().requires_grad_(False).to(device)
    resized_as = "pytorch-fid" if by_pytorch_fid else "torch-fidelity"
    return Embedding(f"inception-2015-12-05 (pool3, resized as {resized_as} does)", network, FEATURES, device)
