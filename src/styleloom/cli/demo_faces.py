"""The demo's portraits: what the bundled generator makes of seeds."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from styleloom import sampling
from styleloom.blocks import images
from styleloom.blocks.generators import Generator
from styleloom.papers import stylegan2

MODEL = "portraits-32"
SAMPLES = range(24)
ROWS, COLUMNS = (2, 21), (5, 9, 13, 17, 20)
PSIS = (1.0, 0.75, 0.5, 0.25, 0.0, -0.5)
STATIONS, FRAMES = (2, 9, 13, 21, 5, 18), 24

FIGURES = (
    ("faces.png", "Twenty-four seeds, truncated to psi 0.7."),
    ("faces-mixing.png", "Style mixing: coarse layers (4-8 px) of the portraits at the left, all others of those above."),
    ("faces-truncation.png", "Truncation: psi 1, 0.75, 0.5, 0.25, the mean portrait at 0, and beyond it at -0.5."),
    ("faces-walk.gif", "From each seed to the next, straight through w."),
)


def faces(folder: Path, device: torch.device) -> str:
    """Write the figures into a folder; the HTML that shows them."""
    generator = stylegan2.load(MODEL).to(device)

    def enlarged(pictures: Tensor) -> Tensor:
        return images.resize(pictures.cpu(), (4 * pictures.shape[2], 4 * pictures.shape[3]))

    made = enlarged(generator.generate(SAMPLES, truncation_psi=0.7))
    images.write(images.grid(list(made.split(8))), folder / "faces.png")
    mixed = [enlarged(row) for row in sampling.mixing_rows(generator, ROWS, COLUMNS)]
    images.write(images.grid(mixed), folder / "faces-mixing.png")
    rows = [enlarged(_rendered(generator, torch.cat([generator.map([seed], truncation_psi=p) for p in PSIS]))) for seed in ROWS]
    images.write(images.grid(rows), folder / "faces-truncation.png")
    ways = torch.cat(list(sampling.walk(generator, STATIONS, frames=FRAMES)))
    walks = enlarged(_rendered(generator, ways)).unflatten(0, (len(STATIONS), FRAMES))
    images.write_gif([images.grid([each]) for each in walks.unbind(1)], folder / "faces-walk.gif", rate=12)
    return "".join(
        f'<figure><img src="{name}" alt="{caption}"><figcaption>{caption}</figcaption></figure>' for name, caption in FIGURES
    )


def _rendered(generator: Generator, ws: Tensor) -> Tensor:
    return torch.cat(list(generator.render(ws)))
