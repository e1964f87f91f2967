"""A small network that tells the attributes of an image: numbers, and choices among several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleloom.core import checkpoint
from styleloom.core.errors import StyleLoomError

KIND = "labeler"
WIDTHS = (32, 64, 128, 192)


class Labeler(nn.Module):
    """Strided convolutions, two dense layers, and an output for each number and each choice.

    Args:
        resolution: side of the images.
        numbers: names of attributes that are numbers.
        choices: choices of attributes that are one of several, the names of these.
        widths: channels after each halving.
    """

    def __init__(
        self,
        resolution: int,
        numbers: Sequence[str],
        choices: Mapping[str, Sequence[str]],
        widths: Sequence[int] = WIDTHS,
    ) -> None:
        super().__init__()
        self.config = dict(resolution=resolution, numbers=list(numbers), widths=list(widths))
        self.config["choices"] = {name: list(several) for name, several in choices.items()}
        self.resolution, self.numbers = resolution, tuple(numbers)
        self.choices = {name: tuple(several) for name, several in choices.items()}
        self.convolutions = nn.ModuleList()
        channels = 3
        for width in widths:
            self.convolutions.append(nn.Conv2d(channels, width, 4, stride=2, padding=1))
            self.convolutions.append(nn.Conv2d(width, width, 3, padding=1))
            channels = width
        self.dense = nn.Linear(channels * (resolution // 2 ** len(widths)) ** 2, 256)
        self.out = nn.Linear(256, len(self.numbers) + sum(map(len, self.choices.values())))

    def forward(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """[N, 3, resolution, resolution] in [0, 1] -> numbers [N, len(numbers)], and logits [N, choices] of each choice.

        Raises:
            StyleLoomError: images of another size.
        """
        if tuple(image.shape[1:]) != (3, self.resolution, self.resolution):
            raise StyleLoomError(f"images of shape {list(image.shape)}; this network tells those of {self.resolution} px")
        x = (image * 2 - 1).contiguous(memory_format=torch.channels_last)
        for convolution in self.convolutions:
            x = F.leaky_relu(convolution(x), 0.1)
        x = self.out(F.leaky_relu(self.dense(x.flatten(1)), 0.1))
        sizes = [len(several) for several in self.choices.values()]
        numbers, logits = x.split([len(self.numbers), sum(sizes)], 1)
        return numbers, dict(zip(self.choices, logits.split(sizes, 1), strict=True))

    @torch.inference_mode()
    def predict(self, image: Tensor) -> dict[str, Tensor]:
        """Predict the attributes [N] of images [N, 3, H, W] in [0, 1]: numbers, and the indices of choices."""
        numbers, logits = self(image)
        values = dict(zip(self.numbers, numbers.unbind(1), strict=True))
        return values | {name: each.argmax(1) for name, each in logits.items()}

    @torch.inference_mode()
    def classes(self, image: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """As classes [N] and how sure they are [N]: a number's sign and size, a choice's place and probability."""
        numbers, logits = self(image)
        answers = {name: (value > 0, value.abs()) for name, value in zip(self.numbers, numbers.unbind(1), strict=True)}
        return answers | {name: (each.argmax(1), each.softmax(1).amax(1)) for name, each in logits.items()}


def save(network: Labeler, path: Path, license: str = "unknown") -> None:
    """Write a model file in half precision."""
    tensors = {name: value.half() for name, value in network.state_dict().items()}
    checkpoint.save_model(path, tensors, kind=KIND, config=network.config, license=license)


def load(name: str | Path) -> Labeler:
    """A network from a name in the zoo, a path or ``hf://owner/repo/file``, in fp32.

    Raises:
        StyleLoomError: no such model, one of another kind, or a damaged one.
    """
    return checkpoint.rebuilt(name, KIND, lambda config: Labeler(**config))
