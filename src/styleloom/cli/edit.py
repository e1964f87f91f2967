"""``styleloom edit``, ``express``, ``cross``, ``morph``, ``align`` and ``inpaint``: photographs edited by a generator."""

from __future__ import annotations

from pathlib import Path

from styleloom import jobs
from styleloom.core.errors import StyleLoomError
from styleloom.data import images, video
from styleloom.data.output import Output
from styleloom.jobs import Finished, ItemDone, LoadOptions, PasteOptions

from .options import Common, Existing
from .report import Report

FRAMED = {
    "face": "its face was found",
    "landmarks": "by the landmarks",
    "box": "by the box",
    "center": "no face was looked for or found: the square in the middle",
}


def changes_of(direction: list[str]) -> dict[str, float]:
    """``["smile=2", "glasses=-1"]`` as strengths by name.

    Raises:
        StyleLoomError: another text, or one direction twice.
    """
    changes: dict[str, float] = {}
    for text in direction:
        name, _, strength = text.partition("=")
        try:
            value = float(strength)
        except ValueError as error:
            raise StyleLoomError(f"{text!r} is no direction and strength; write it as smile=2") from error
        if name in changes:
            raise StyleLoomError(f"the direction {name} is given twice; give it once")
        changes[name] = value
    return changes


def edit(
    model: str,
    source: list[str],
    *,
    out: Path,
    direction: list[str] = [],  # noqa: B006 (typer copies it)
    directions: list[str] = [],  # noqa: B006
    layers: str = "all",
    psi: float = 1.0,
    pasting: PasteOptions,
    loading: LoadOptions,
    output: Output,
    existing: Existing,
    common: Common,
) -> None:
    """Edit photographs, latents or seeds along directions, and put the result back into the photograph.

    A photograph is aligned, inverted, edited, and what changed is added to it. Into a folder go NAME.png and NAME.safetensors,
    the new latents, to edit further.

    Args:
        model: a name from "styleloom zoo", or a model file.
        source: photographs, folders or globs of them, files of latents ("styleloom invert", NVIDIA's projected_w.npz), and seeds.
        out: image to write for one source, or a folder.
        direction: NAME=STRENGTH, as smile=2, in standard deviations; may be given several times. "styleloom directions show" has
            the names.
        directions: files of further directions; may be given several times.
        layers: layers that are moved: coarse, middle, fine, all, or numbers as 0-3.
        psi: then pull latents towards the mean: 1 leaves them, 0 is the mean image.
    """
    report = Report(common)
    events = jobs.edit(
        model,
        source,
        changes_of(direction),
        out=existing.outputs(out, output),
        directions=directions,
        layers=layers,
        psi=psi,
        pasting=pasting,
        loading=loading,
        limits=common.limits(),
    )
    report.follow(events, _told, _count)


def express(
    model: str,
    source: list[str],
    *,
    out: Path,
    neutral: str,
    expressive: str,
    strength: float = 1.0,
    layers: str = "all",
    pasting: PasteOptions,
    loading: LoadOptions,
    output: Output,
    existing: Existing,
    common: Common,
) -> None:
    """Give faces the expression of another one: what differs between that one with and without it.

    Args:
        model: a name from "styleloom zoo", or a model file.
        source: the faces: photographs, folders or globs of them, files of latents, and seeds.
        out: image to write for one source, or a folder.
        neutral: another face without the expression: a photograph, file of latents, or seed.
        expressive: the same face with it.
        strength: 0 changes nothing, 1 is the whole difference.
        layers: layers that are moved: coarse, middle, fine, all, or numbers as 0-3.
    """
    report = Report(common)
    events = jobs.express(
        model,
        source,
        neutral,
        expressive,
        out=existing.outputs(out, output),
        strength=strength,
        layers=layers,
        pasting=pasting,
        loading=loading,
        limits=common.limits(),
    )
    report.follow(events, _told, _count)


def cross(
    model: str,
    source: list[str],
    *,
    out: Path,
    style: str,
    layers: str = "coarse",
    sheet: bool = False,
    beside: bool = False,
    loading: LoadOptions,
    output: Output,
    existing: Existing,
    common: Common,
) -> None:
    """Style transfer between latents: some layers of each source, all others of one style.

    Args:
        model: a name from "styleloom zoo", or a model file.
        source: photographs, folders or globs of them, files of latents, and seeds.
        out: image to write for one source, or a folder.
        style: a photograph, file of latents, or seed, that gives all other layers.
        layers: the source's: coarse (4-8 px), middle (16-32 px), fine (from 64 px), all, or numbers as 0-3.
        sheet: write all ways to split the layers instead, side by side.
        beside: write what was and what became of it side by side.
    """
    report = Report(common)
    events = jobs.cross(
        model,
        source,
        style,
        out=existing.outputs(out, output),
        layers=layers,
        sheet=sheet,
        beside=beside,
        loading=loading,
        limits=common.limits(),
    )
    report.follow(events, _told, _count)


def morph(
    model: str,
    source: list[str],
    *,
    out: Path,
    frames: int = 48,
    uneven: bool = False,
    easing: str = "none",
    loop: bool = False,
    rate: int = 24,
    columns: int = 8,
    loading: LoadOptions,
    existing: Existing,
    common: Common,
) -> None:
    """Morph from image to image, at an even pace: a video, a GIF, or a strip.

    Args:
        model: a name from "styleloom zoo", or a model file.
        source: two or more photographs, files of latents, or seeds, in their order.
        out: .mp4, .webm or .gif, or an image's suffix for a strip.
        frames: number of frames from one to the next.
        uneven: even steps in w, not in how far images are from each other.
        easing: none, or smooth to slow down at each image; with --uneven.
        loop: come back to the first.
        rate: frames a second.
        columns: columns of a strip.
    """
    report = Report(common)
    events = jobs.morph(
        model,
        source,
        out=existing.outputs(out),
        frames=frames,
        even=not uneven,
        easing=easing,
        loop=loop,
        rate=rate,
        columns=columns,
        loading=loading,
        limits=common.limits(),
    )
    what = "frames" if out.suffix.lower() == ".gif" or video.is_video(out) else "images"
    report.follow(
        events,
        lambda event: f"wrote {out}  ({event.values['count']} {what}, {event.seconds:.1f} s)",
        lambda finished: "",
    )


def align(
    model: str,
    photo: list[str],
    *,
    out: Path,
    mode: str = "auto",
    box: tuple[float, ...] = (),
    landmarks: tuple[float, ...] = (),
    size: int = 0,
    max_pixels: int = images.MAX_PIXELS,
    output: Output,
    existing: Existing,
    common: Common,
) -> None:
    """Cut the faces of photographs out as a generator's own images are cut.

    Into the folder go NAME.png and NAME.json, which says where in the photograph it lies. "styleloom edit" does this by itself.

    Args:
        model: a name from "styleloom zoo", or a model file; its images say how faces lie.
        photo: photographs, folders or globs of them.
        out: folder to write to.
        mode: face finds the largest face, center takes the square in the middle, auto the first where it can.
        box: left, top, right, bottom of the square, in pixels, instead.
        landmarks: x,y of the eyes, nose and corners of the mouth, from the left of the photograph, instead.
        size: side in pixels; 0: the generator's.
        max_pixels: refuse photographs of more pixels.
    """
    report = Report(common)
    events = jobs.align(
        model,
        photo,
        out=existing.outputs(out, output),
        mode=mode,
        box=box,
        landmarks=landmarks,
        size=size,
        limits=common.limits(max_pixels),
    )
    report.follow(events, _told, _count)


def inpaint(
    model: str,
    photo: list[str],
    *,
    out: Path,
    mask: str | None = None,
    mode: str = "fill",
    other: str | None = None,
    shift: tuple[float, ...] = (),
    style_weight: float = 1.0,
    whole: bool = False,
    loading: LoadOptions,
    output: Output,
    existing: Existing,
    common: Common,
) -> None:
    """Make a part of photographs anew, as a generator would have it (Image2StyleGAN++).

    Args:
        model: a name from "styleloom zoo", or a model file.
        photo: photographs, folders or globs of them.
        out: image to write for one photograph, or a folder.
        mask: white where the photograph changes: an image, or box:left,top,right,bottom, ellipse:x,y,half-width,half-height or
            polygon:x,y,x,y,..., in pixels of the photograph, several joined with +.
        mode: fill makes what the mask covers anew; shift moves the image and paints what comes into view; crossover takes
            --other where the mask is; scribble follows what was drawn on --other, a copy of the photograph; copy moves what the
            mask covers; style gives it the style of --other.
        other: a second image.
        shift: right,down in pixels of the generator's image, of shift and copy.
        style_weight: weight of the style, in style.
        whole: write the generator's square, not the photograph.
    """
    report = Report(common)
    sources = photo[0] if len(photo) == 1 else photo
    events = jobs.inpaint(
        model,
        sources,
        out=existing.outputs(out, output),
        mask=mask,
        mode=mode,
        other=other,
        shift=shift,
        style_weight=style_weight,
        whole=whole,
        loading=loading,
        limits=common.limits(),
    )
    report.follow(events, _told, _count)


def _told(event: ItemDone) -> str:
    """A line about an image that is done."""
    values = event.values
    framed = f", {FRAMED[values['framed']]}" if values.get("framed") in FRAMED else ""
    met = f", PSNR {values['psnr']:.1f} dB before the edit" if "psnr" in values else ""
    return f"wrote {', '.join(event.out)}  ({values['size']}{framed}{met}, {event.seconds:.1f} s)"


def _count(finished: Finished) -> str:
    total = finished.done + finished.skipped
    return f"{total} images in {finished.seconds:.1f} s" if total > 1 else ""
