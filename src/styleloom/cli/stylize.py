"""``styleloom stylize``: repaint photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from styleloom import jobs
from styleloom.core.errors import StyleLoomError
from styleloom.data import images
from styleloom.data.output import Output
from styleloom.jobs import Finished, ItemDone
from styleloom.papers import adain, dumoulin, gatys, ghiasi

from .options import Common, Existing
from .report import Report


def stylize(
    content: list[str],
    *,
    out: Path,
    style: list[str] | None = None,
    recursive: bool = False,
    method: str = "gatys",
    preset: str = "best",
    weights: tuple[float, ...] = (),
    mask: list[str] | None = None,
    content_mask: str | None = None,
    start: str | None = None,
    preview_every: int = 0,
    batch: int = 8,
    smooth: float = 0.7,
    max_pixels: int = images.MAX_PIXELS,
    settings: Annotated[dict[str, Any], gatys.GatysConfig, ghiasi.GhiasiConfig, adain.AdaINConfig, dumoulin.DumoulinConfig],
    output: Output,
    existing: Existing,
    common: Common,
) -> None:
    """Repaint a photograph in the style of one or more images.

    Images are files, or names of bundled ones: astronaut, cat, coffee, rocket, and the styles that
    "styleloom data styles" draws. Stopped with Ctrl-C, the best image so far is written.

    Args:
        content: photographs, folders or globs of them, or a video for the methods of one pass. Without --style these are one
            photograph and one style.
        out: image or video to write; for several photographs a folder.
        style: style image; for dumoulin the name of one of its styles, for johnson the name or file of a network. Repeat the
            option to mix several.
        recursive: paint the photographs of the folders in a folder too.
        method: gatys (minutes an image), or in one pass: ghiasi (any style), adain (any style), dumoulin, johnson.
        preset: best, quick (one pass, then a few steps: seconds), draft, paper or authors: where the settings below start from.
        weights: share of each style.
        mask: a gray image for each style, white where it is painted; one serves two styles. Repeat the option.
        content_mask: where the photograph is to stay recognizable, for gatys: "faces" (found by the extra [faces]), a gray image,
            white there, or a shape: ellipse:x,y,half width,half height.
        start: image to start from, instead of --init.
        preview_every: write the image so far every so many steps.
        batch: images of one size that are painted at once, in one pass, on a GPU; on a CPU each has a thread of its own.
        smooth: how much of each frame of a video is the one before it, moved along; 0: each by itself.
        max_pixels: refuse images of more pixels.
    """
    photos, styles = _told_apart(content, style or [])
    report, device = Report(common), common.torch_device()
    events = jobs.stylize(
        photos[0] if len(photos) == 1 else photos,
        styles,
        recursive=recursive,
        out=existing.outputs(out, output),
        method=method,
        preset=preset,
        weights=weights,
        mask=mask,
        content_mask=content_mask,
        start=start,
        preview_every=preview_every,
        batch=batch,
        smooth=smooth,
        limits=common.limits(max_pixels),
        **settings,
    )

    def tell(event: ItemDone) -> str:
        values = event.values
        parts = [f"{values['size']}" if "size" in values else "", f"{values['steps']} steps" if "steps" in values else ""]
        parts += [f"{values['frames']} frames" if "frames" in values else "", f"{event.seconds:.2f} s on {device}"]
        notes = "".join(f"\nnote: {note}" for note in values.get("notes", ()))
        return f"wrote {event.out[0]}  ({', '.join(part for part in parts if part)}){notes}"

    report.follow(events, tell, images_done)


def _told_apart(images: list[str], styles: list[str]) -> tuple[list[str], list[str]]:
    """The photographs and the styles of a command.

    Raises:
        StyleLoomError: several images without --style, which might be either.
    """
    if styles:
        return images, styles
    if len(images) != 2:
        what = "one image" if len(images) == 1 else f"{len(images)} images"
        raise StyleLoomError(
            f"{what} and no --style: name the styles by --style, as in: "
            "styleloom stylize photos/*.jpg --style painting.jpg -o out/"
        )
    return images[:1], images[1:]


def images_done(finished: Finished) -> str:
    """A line about several images."""
    if finished.done + finished.skipped < 2:
        return ""
    before = f", {finished.skipped} done before" if finished.skipped else ""
    return f"{finished.done} images in {finished.seconds:.1f} s{before}"
