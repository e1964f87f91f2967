"""The demo's faces: cartoon faces drawn by code, and what the bundled generators make of seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styleloom.data import images
from styleloom.drawn import toonfaces
from styleloom.nn.generators import Generator
from styleloom.papers import stylegan2
from styleloom.tasks import sampling

SAMPLES, COLUMNS = range(32), 8
PSIS = (1.0, 0.75, 0.5, 0.25, 0.0, -0.5)
FRAMES = 16
SIDE = 128  # that images are enlarged to
FACE = 59
CHANGES: tuple[dict[str, Any], ...] = (
    {},
    dict(smile=-1.0, mouth_open=0.0),
    dict(smile=1.0, mouth_open=0.6),
    dict(glasses="round"),
    dict(beard="full"),
    dict(hair="curly", hair_color="red"),
    dict(hat="beanie"),
    dict(yaw=-1.0, light=0.8),
)


@dataclass(frozen=True)
class Cast:
    """A generator and the seeds that are shown of it: rows and columns of the mixing sheet, and stations of the walk."""

    model: str
    rows: Sequence[int]
    columns: Sequence[int]
    stations: Sequence[int]
    layers: str  # that are mixed in
    mixed: str  # these, in words


CASTS = (
    Cast("toonfaces-64", (2, 21), (5, 9, 13, 17, 20), (2, 9, 13, 21, 5, 18), "0-1", "the first two layers"),
    Cast("portraits-128", (2, 28), (1, 13, 35, 42, 45), (2, 1, 35, 42, 28, 45), "coarse", "coarse layers (4-8 px)"),
)


def drawn(folder: Path) -> str:
    """Write the cartoon faces into a folder; the HTML that shows them."""
    faces = toonfaces.render([toonfaces.attributes(seed) for seed in SAMPLES], SIDE)
    images.write(images.grid(list(faces.split(COLUMNS))), folder / "toonfaces.png")
    face = toonfaces.attributes(FACE)
    changed = toonfaces.render([replace(face, **change) for change in CHANGES], SIDE)
    images.write(images.grid([changed]), folder / "toonfaces-changes.png")
    return _figures(
        ("toonfaces.png", "Thirty-two seeds, drawn."),
        ("toonfaces-changes.png", "Another, and then with one or two of its attributes changed: all else stays as it was."),
    )


def made(folder: Path, cast: Cast, device: torch.device) -> str:
    """Write the figures of a generator into a folder; the HTML that shows them."""
    generator = stylegan2.load(cast.model).to(device)
    name = cast.model

    def enlarged(small: Tensor) -> Tensor:
        return images.resize(small.cpu(), (SIDE, SIDE))

    samples = enlarged(generator.generate(SAMPLES, truncation_psi=0.7))
    images.write(images.grid(list(samples.split(COLUMNS))), folder / f"{name}.png")
    mixed = [enlarged(row) for row in sampling.mixing_rows(generator, cast.rows, cast.columns, cast.layers)]
    images.write(images.grid(mixed), folder / f"{name}-mixing.png")
    swept = [torch.cat([generator.map([seed], truncation_psi=psi) for psi in PSIS]) for seed in cast.rows]
    images.write(images.grid([enlarged(_rendered(generator, ws)) for ws in swept]), folder / f"{name}-truncation.png")
    ways = torch.cat(list(sampling.walk(generator, cast.stations, frames=FRAMES)))
    walks = enlarged(_rendered(generator, ways)).unflatten(0, (len(cast.stations), FRAMES))
    images.write_gif([images.grid([each]) for each in walks.unbind(1)], folder / f"{name}-walk.gif", rate=12)
    return _figures(
        (f"{name}.png", "Thirty-two seeds, truncated to psi 0.7; none was left out."),
        (f"{name}-mixing.png", f"Style mixing: {cast.mixed} of the faces at the left, all others of those above."),
        (f"{name}-truncation.png", "Truncation: psi 1, 0.75, 0.5, 0.25, the mean face at 0, and beyond it at -0.5."),
        (f"{name}-walk.gif", "From each seed to the next, straight through w."),
    )


def _figures(*figures: tuple[str, str]) -> str:
    return "".join(
        f'<figure><img src="{name}" alt="{caption}"><figcaption>{caption}</figcaption></figure>' for name, caption in figures
    )


def _rendered(generator: Generator, ws: Tensor) -> Tensor:
    return torch.cat(list(generator.render(ws)))
