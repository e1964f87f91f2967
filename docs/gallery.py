"""Make the images of the README with the program itself: ``python docs/gallery.py``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from styleloom.data.bundled import bundled
from styleloom.data.images import grid, resize, resize_to_fit, write
from styleloom.demo.faces import CHANGES, FACE
from styleloom.demo.inversion import SHOWN, TARGETS, descents
from styleloom.drawn import toonfaces
from styleloom.drawn.painterly import STYLES, draw
from styleloom.nn.vgg_files import load_features
from styleloom.papers import dumoulin, johnson, stylegan2
from styleloom.tasks.painting import stylize
from styleloom.tasks.sampling import mixing_rows

HERE = Path(__file__).parent
PAIRS = (
    ("cat", "wave"),
    ("astronaut", "swirls"),
    ("coffee", "stained-glass"),
    ("cat", "gilded"),
    ("rocket", "watercolor"),
    ("coffee", "cubism"),
)


def main() -> None:
    """Write ``gallery.jpg`` (content, style, result; two to a row), ``styles.jpg`` (the sixteen styles) and ``pastiche.jpg``."""
    features = load_features()
    tiles = []
    for content, style in PAIRS:
        photo, image = bundled(content), draw(style)
        painted = stylize(photo, image, preset="quick", size=512, content_mask="faces", features=features)
        column = torch.cat([resize(photo, (118, 158)), resize(image, (158, 158))[..., 20:138, :]], 2)
        tiles.append(torch.cat([column, resize(painted, (236, 316))], 3))
        print(f"{content} in the style of {style}", flush=True)
    rows = [torch.cat(tiles[i : i + 2], 3) for i in range(0, len(tiles), 2)]
    write(torch.cat(rows, 2), HERE / "gallery.jpg", quality=90)
    sheet = [torch.cat([draw(name, 220) for name in list(STYLES)[i : i + 8]], 3) for i in (0, 8)]
    write(torch.cat(sheet, 2), HERE / "styles.jpg", quality=88)
    model, photo = dumoulin.load(), resize(bundled("astronaut"), (440, 440))
    every = [resize(dumoulin.stylize(photo, name, model=model), (220, 220)) for name in STYLES]
    write(torch.cat([torch.cat(every[i : i + 8], 3) for i in (0, 8)], 2), HERE / "pastiche.jpg", quality=90)
    one_style()
    faces()
    inversions()


def one_style() -> None:
    """Write ``johnson.jpg``: two photographs by each of the networks of one style."""
    photos = [resize_to_fit(bundled(name), 640)[..., :424, :] for name in ("coffee", "cat")]
    painted = [torch.cat([johnson.stylize(photo, f"johnson-{style}") for style in ("mosaic", "swirls")]) for photo in photos]
    write(grid(painted), HERE / "johnson.jpg", quality=80)


def faces() -> None:
    """Write ``toonfaces.jpg``, faces drawn, and one of them changed; a sheet of each generator, uncurated samples at psi 1 and,
    below, at 0.7; and ``mixing.jpg``: portraits at the left and above, and where they meet the one above with the left's coarse
    styles."""
    face = toonfaces.attributes(FACE)
    seeds = toonfaces.render([toonfaces.attributes(seed) for seed in range(8)], 128)
    write(
        grid([seeds, toonfaces.render([replace(face, **change) for change in CHANGES], 128)]), HERE / "toonfaces.jpg", quality=90
    )
    for name, count, side in (("toonfaces-64", 12, 96), ("portraits-128", 8, 128)):
        made = torch.cat([stylegan2.load(name).generate(range(2 * count), truncation_psi=psi) for psi in (1.0, 0.7)])
        write(grid(list(resize(made, (side, side)).split(count))), HERE / f"{name}.jpg", quality=90)
    rows = mixing_rows(stylegan2.load("portraits-128"), (2, 28), (1, 13, 35, 42, 45))
    write(grid([resize(row, (128, 128)) for row in rows]), HERE / "mixing.jpg", quality=90)


def inversions() -> None:
    """Write ``inversion.jpg``: in the first row six held-out faces and six portraits, below what the learned optimizer has of
    them after a few steps from the mean face, and at the bottom what tuned Adam has after as many as the last."""
    columns = []
    for model, targets in TARGETS.items():
        images = targets()[:6]
        found = descents(stylegan2.load(model), images)
        rows = [images, *(found["learned"][step].image for step in SHOWN), found["Adam, tuned"][-1].image]
        columns.append([resize(each, (96, 96)) for each in rows])
    write(grid([torch.cat(row) for row in zip(*columns, strict=True)]), HERE / "inversion.jpg", quality=90)


if __name__ == "__main__":
    main()
