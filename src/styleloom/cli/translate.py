"""``styleloom translate``: images of one domain made images of another."""

from __future__ import annotations

from pathlib import Path

from styleloom import jobs
from styleloom.data import images
from styleloom.data.output import Output
from styleloom.jobs import ItemDone

from .options import Common, Existing
from .report import Report
from .stylize import images_done


def translate(
    model: str,
    content: str,
    *,
    out: Path,
    to: str = "B",
    mask: str | None = None,
    samples: int = 1,
    seed: int = 0,
    statistics: str = "saved",
    drawing: bool = False,
    instances: str | None = None,
    size: int = 0,
    tile: int = 1024,
    smooth: float = 0.0,
    max_pixels: int = images.MAX_PIXELS,
    output: Output,
    existing: Existing,
    common: Common,
) -> None:
    """Translate an image into a model's other domain (pix2pix, CycleGAN, pix2pixHD).

    Args:
        model: a name from "styleloom zoo", or a model file.
        content: image, or a folder or glob of them; or a video.
        out: image or video to write; for several images a folder.
        to: the domain to make: B, or A where the model goes both ways.
        mask: where the result is wanted; elsewhere the image stays as it is: a gray image, white there, or a shape in pixels,
            such as box:left,top,right,bottom.
        samples: images to make of each, with other noise, of a model with dropout or with codes of instances.
        seed: seed of the first sample's noise.
        statistics: saved, or batch to let batch norm use each image's own.
        drawing: content is lines, black on white, not a photograph to take lines from.
        instances: for models of pix2pixHD that see the boundaries of objects: a map of them, another gray or color for each, or a
            folder of maps with the images' names.
        size: shorter side to work at; 0: the image's own.
        tile: larger images are translated in tiles of so many pixels, without a seam; 0: never.
        smooth: how much of each frame of a video is the one before it, moved along; 0: each by itself.
        max_pixels: refuse images of more pixels.
    """
    report, device = Report(common), common.torch_device()
    events = jobs.translate(
        content,
        model,
        out=existing.outputs(out, output),
        to=to,
        mask=mask,
        samples=samples,
        seed=seed,
        statistics=statistics,
        drawing=drawing,
        instances=instances,
        size=size,
        tile=tile,
        smooth=smooth,
        limits=common.limits(max_pixels),
    )

    def tell(event: ItemDone) -> str:
        what = event.values.get("size") or f"{event.values.get('frames')} frames"
        return f"wrote {', '.join(event.out)}  ({what}, {event.seconds:.2f} s on {device})"

    report.follow(events, tell, images_done)
