"""``styleloom upscale``: enlarge images four times."""

from __future__ import annotations

from pathlib import Path

from styleloom import jobs
from styleloom.data import images
from styleloom.data.output import Output

from .options import Common, Existing
from .report import Report
from .stylize import images_done


def upscale(
    content: str,
    *,
    out: Path,
    model: str = "upscale-x4",
    tile: int = 256,
    max_pixels: int = images.MAX_PIXELS // 4,
    output: Output,
    existing: Existing,
    common: Common,
) -> None:
    """Enlarge an image four times, by a network that draws detail (Johnson 2016).

    Args:
        content: image, or a folder or glob of them.
        out: image to write; for several a folder.
        model: upscale-x4 or a model file.
        tile: images are enlarged in squares of so many pixels, which changes nothing but the memory it takes; 0: whole.
        max_pixels: refuse images of more pixels.
    """
    report, device = Report(common), common.torch_device()
    events = jobs.upscale(content, out=existing.outputs(out, output), model=model, tile=tile, limits=common.limits(max_pixels))
    report.follow(
        events,
        lambda event: f"wrote {event.out[0]}  ({event.values['size']}, {event.seconds:.2f} s on {device})",
        images_done,
    )
