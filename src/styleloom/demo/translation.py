"""The demo's portraits, drawn from their edges and colored anew."""

from __future__ import annotations

from pathlib import Path

import torch

from styleloom.data import color, images
from styleloom.data.derive import canny
from styleloom.papers import pix2pix, stylegan2
from styleloom.tasks.translation import translate

SEEDS = (1, 2, 13, 18, 35, 42, 45)


def translated(folder: Path, device: torch.device) -> str:
    """Write the sheet into a folder; the HTML that shows it."""
    people = stylegan2.load("portraits-128").to(device).generate(SEEDS, truncation_psi=0.7)
    edges = torch.stack([canny(person) for person in people.cpu()])
    gray = color.luma(people)
    drawn, colored = (translate(pix2pix.load(name), people).cpu() for name in ("edges2portrait", "colorize-portrait"))
    rows = [people.cpu(), edges.expand(-1, 3, -1, -1), drawn, gray.cpu().expand(-1, 3, -1, -1), colored]
    images.write(images.grid(rows), folder / "translated.png")
    caption = "Portraits, their edges, what a network draws from these; their gray, and what another colors."
    return f'<figure class="wide"><img src="translated.png" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
