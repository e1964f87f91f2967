"""Draw ``anystyle.jpg``, bundled photographs in bundled styles, one pass of ``anystyle`` each; and ``quick.jpg``, two of them
in one pass and after the steps of the preset quick.

python docs/anystyle.py
"""

from pathlib import Path

import torch

import styleloom as sl
from styleloom.data import images

CONTENTS = ("cat", "astronaut", "coffee", "rocket")
STYLES = ("wave", "gilded", "swirls", "stained-glass", "ink-wash")
SIDE = (180, 240)
PAIRS = (("coffee", "swirls"), ("astronaut", "cubism"))
HERE = Path(__file__).parent


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
    sl.write(images.grid(rows), HERE / "anystyle.jpg")
    rows = []
    for name, drawn in PAIRS:
        content, style = cropped(sl.bundled(name)), sl.draw(drawn)
        small = torch.cat([images.resize(each, SIDE) for each in (content, cropped(style))], 2)
        painted = [
            sl.stylize(content, style, method="ghiasi", model=model),
            sl.stylize(content, style, preset="quick", content_mask="faces"),
        ]
        rows.append(torch.cat([small, *painted], 3))
    sl.write(torch.cat(rows, 2), HERE / "quick.jpg", quality=85)
