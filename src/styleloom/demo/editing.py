"""The demo's edits: a photograph along directions, holes filled, a morph, and directions of cartoon faces."""

from __future__ import annotations

from pathlib import Path

import torch

from styleloom.data import images
from styleloom.data.bundled import bundled, portraits
from styleloom.data.frames import Frame
from styleloom.data.masks import shape_mask
from styleloom.jobs.edit import PRIOR_WEIGHT
from styleloom.jobs.sources import rendered
from styleloom.papers import local_edit, stylegan2
from styleloom.tasks import attribute_directions as finding
from styleloom.tasks import editing, inversion
from styleloom.tasks import inpainting as local

PHOTOGRAPH, STEPS = "astronaut", 40
FRAME = Frame(225.2, 99.1, 149.5, 0.045, 512, 512)  # as "styleloom align" finds it, for those without the extra [faces]
EDITS: tuple[dict[str, float], ...] = (dict(smile=2.0), dict(light=2.0), dict(pale=1.5), dict(age=1.5), {"gray-hair": 2.5})
MARGIN, SIDE = 40, 220  # px around the face of the photograph, and of what is shown
TOON = ("smile", "mouth_open", "yaw", "light", "skin")
FRAMES = 14


def edited(folder: Path, device: torch.device) -> str:
    """Write the figures into a folder; the HTML that shows them."""
    generator = stylegan2.load("portraits-128").to(device)
    tools = inversion.tools_of(generator)
    photo = bundled(PHOTOGRAPH)
    target = FRAME.crop(photo, generator.resolution)
    config = inversion.configure(num_steps=STEPS, init="encoder", prior_weight=PRIOR_WEIGHT)
    *_, last = inversion.steps(generator, target.to(device), config, tools)
    before = rendered(generator, last.ws)
    known = editing.directions_of(generator)
    shown = [photo]
    for changes in EDITS:
        ws = editing.edit(generator, last.ws, {known[name]: strength for name, strength in changes.items()})
        shown.append(FRAME.paste(photo, rendered(generator, ws), instead_of=before))
    half = FRAME.side / 2 + MARGIN
    top, bottom = max(0, round(FRAME.y - half)), min(photo.shape[2], round(FRAME.y + half))
    left, right = max(0, round(FRAME.x - half)), min(photo.shape[3], round(FRAME.x + half))
    parts = [images.resize(each[:, :, top:bottom, left:right], (SIDE, SIDE)) for each in shown]
    images.write(images.grid([torch.cat(parts)]), folder / "edited.png")

    people = portraits()[:6]
    hole = shape_mask("ellipse:64,88,30,24", 128, 128)
    filled = local.run(generator, local_edit.inpainting(people, hole), tools=tools, num_steps=STEPS)
    images.write(images.grid([people * (1 - hole) + 0.5 * hole, filled.image, people]), folder / "filled.png")

    *_, found = inversion.steps(generator, people[:4].to(device), inversion.configure(num_steps=STEPS), tools)
    mode = editing.morph(generator, *found.ws.split(1), frames=FRAMES, loop=True)
    images.write_gif([images.resize(rendered(generator, ws), (256, 256)) for ws, _ in mode], folder / "morph.gif", rate=14)

    cartoons = stylegan2.load("toonfaces-64").to(device)
    chosen = finding.named(editing.directions_of(cartoons), TOON)
    sheet = finding.sheet(cartoons, chosen, [21], columns=7)
    images.write(sheet, folder / "directions.png")
    names = ", ".join(f"{name} {strength:+g}" for each in EDITS for name, strength in each.items())
    return "".join(
        f'<figure{wide}><img src="{name}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
        for name, wide, caption in (
            ("edited.png", ' class="wide"', f"A photograph, and edited along: {names}."),
            ("filled.png", ' class="wide"', "Holes; filled; and the portraits that nobody had shown the generator."),
            ("morph.gif", "", "Four portraits, found in latent space, one into the next at an even pace."),
            ("directions.png", "", f"A cartoon face along: {', '.join(TOON)}. Little else changes."),
        )
    )
