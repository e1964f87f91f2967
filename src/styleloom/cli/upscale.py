"""``styleloom upscale``: enlarge pictures four times."""

from __future__ import annotations

import time
from pathlib import Path

from styleloom.blocks import images
from styleloom.papers import super_resolution

from .inputs import find, open_picture, targets_of
from .options import Common
from .report import Report


def upscale(
    content: str,
    *,
    out: Path,
    model: str = "upscale-x4",
    tile: int = 256,
    max_pixels: int = images.MAX_PIXELS // 4,
    common: Common,
) -> None:
    """Enlarge a picture four times, by a network that draws detail (Johnson 2016).

    Args:
        content: picture, or a folder or glob of them.
        out: picture to write; for several a folder.
        model: upscale-x4 or a model file.
        tile: pictures are enlarged in squares of so many pixels, which changes nothing but the memory it takes; 0: whole.
        max_pixels: refuse pictures of more pixels.
    """
    report, device = Report(common), common.torch_device()
    contents = find(content)
    network = super_resolution.load(model)
    outcomes = []
    for source, target in zip(contents, targets_of(contents, content, out), strict=True):
        picture = open_picture(source, max_pixels, as_bytes=True).to(device)
        mark = time.perf_counter()
        large = super_resolution.upscale(picture, network, tile=tile)
        seconds = time.perf_counter() - mark
        images.write(large, target)
        report.say(f"wrote {target}  ({large.shape[3]} x {large.shape[2]}, {seconds:.2f} s on {device})")
        outcomes.append(dict(content=source, out=str(target), seconds=round(seconds, 3)))
    report.outcome(device=str(device), pictures=outcomes)
