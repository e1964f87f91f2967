"""Draw ``anystyle.jpg``: bundled photographs in bundled styles, one pass of ``anystyle`` each.

python docs/anystyle.py
"""

from pathlib import Path

import torch

import styleloom as sl
from styleloom.data import images

CONTENTS = ("cat", "astronaut", "coffee", "rocket")
STYLES = ("wave", "gilded", "swirls", "stained-glass", "ink-wash")
SIDE = (180, 240)


def cropped(image: torch.Tensor) -> torch.Tensor:
    """The middle of an image, as wide as high times 4 / 3, of twice the size that is shown."""
    height, width = image.shape[-2:]
    high, wide = min(height, width * 3 // 4), min(width, height * 4 // 3)
    top, left = (height - high) // 2, (width - wide) // 2
    return images.resize(image[..., top : top + high, left : left + wide], (2 * SIDE[0], 2 * SIDE[1]))


if __name__ == "__main__":
    model = sl.ghiasi.load()
    styles = [sl.draw(name) for name in STYLES]
    rows = [torch.cat([torch.ones(1, 3, *SIDE), *(images.resize(cropped(style), SIDE) for style in styles)])]
    for name in CONTENTS:
        content = cropped(sl.bundled(name))
        painted = [sl.stylize(content, style, method="ghiasi", model=model) for style in styles]
        rows.append(torch.cat([images.resize(each, SIDE) for each in (content, *painted)]))
    sl.write(images.grid(rows), Path(__file__).with_name("anystyle.jpg"))
