"""Label maps and maps of instances: tables of colors, classes and numbers."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError


def instance_numbers(image: Tensor) -> Tensor:
    """A map of instances [C, H, W] in [0, 1], another gray or color of 8 or 16 bits for each, as numbers from 0 on: [1, H, W]."""
    levels = (image[:3].double() * 65535).round().long()
    colors = (levels * 65536 ** torch.arange(len(levels))[:, None, None]).sum(0, keepdim=True)
    return colors.unique(return_inverse=True)[1].to(image)


def read_labels(path: str | Path) -> tuple[tuple[int, int, int], ...]:
    """A table of colors: ``r,g,b`` or ``name,r,g,b`` a line, in the order of the classes.

    Raises:
        StyleLoomError: no such file, no table, or a color twice.
    """
    try:
        rows = [row for row in csv.reader(Path(path).read_text().splitlines()) if row and not row[0].startswith("#")]
        colors = [tuple(int(cell) for cell in row[-3:]) for row in rows]
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise StyleLoomError(f"cannot read the color table {path}: {error}; wanted lines of name,r,g,b") from error
    wrong = next((color for color in colors if len(color) != 3 or not all(0 <= each <= 255 for each in color)), None)
    if not colors or wrong:
        raise StyleLoomError(f"the color table {path} holds {wrong or 'nothing'}; wanted lines of name,r,g,b from 0 to 255")
    if len(set(colors)) < len(colors):
        raise StyleLoomError(f"the color table {path} has a color twice; each class has its own")
    return tuple((red, green, blue) for red, green, blue in colors)


def one_hot(image: Tensor, colors: Sequence[Sequence[int]]) -> Tensor:
    """A channel a class, 1 where its color is nearest: [N, 3, H, W] in [0, 1] -> [N, K, H, W]."""
    return torch.nn.functional.one_hot(classes(image, colors), len(colors)).permute(0, 3, 1, 2).float()


def classes(image: Tensor, colors: Sequence[Sequence[int]]) -> Tensor:
    """The number of the nearest color: [N, 3, H, W] in [0, 1] -> [N, H, W]."""
    table = torch.from_numpy(np.array(colors, dtype=np.float32)) / 255
    distances = torch.stack([(image - color.view(1, 3, 1, 1)).square().sum(1) for color in table])
    return distances.argmin(0)
