"""``styleloom invert``: photographs into a generator's latent space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from styleloom import jobs
from styleloom.data import images
from styleloom.jobs import Finished, ItemDone
from styleloom.tasks import inversion

from .options import Common, Existing
from .report import Report, asks


def invert(
    model: str,
    photo: list[str],
    *,
    out: Path,
    preset: str = "default",
    encoder: str | None = None,
    basis: str | None = None,
    learned: str | None = None,
    make_basis: bool = False,
    mask: str | None = None,
    align: str = "center",
    box: tuple[float, ...] = (),
    landmarks: tuple[float, ...] = (),
    video: bool = False,
    curves: bool = False,
    max_pixels: int = images.MAX_PIXELS,
    settings: Annotated[dict[str, Any], inversion.configure()],
    existing: Existing,
    common: Common,
) -> None:
    """Find a generator's latents for photographs.

    Into the folder go, of each photograph, NAME.safetensors (its latents, and noise maps), NAME.png (their image) and
    NAME-beside.png (the photograph and that image), and metrics.json of all.

    Args:
        model: a name from "styleloom zoo", or a model file.
        photo: photographs, folders or globs of them.
        out: folder to write to.
        preset: default, paper, in-domain or seed: where the settings below start from.
        encoder: an encoder of this generator, instead of the bundled one.
        basis: an eigenbasis of this generator, instead of the bundled one or the one that was made before.
        learned: a learned optimizer of this generator, instead of the bundled one.
        make_basis: make an eigenbasis of the generator first, where it has none, and keep it in the cache (STYLELOOM_CACHE).
            Later inversions and edits find it there, and take fewer steps.
        mask: a gray image, white where photographs are to be met; everywhere by default. Its middle square is taken, as that of
            photographs is.
        align: which square of a photograph is taken: center, in the middle; face, where the extra [faces] finds one; auto: face,
            or else center. "styleloom edit" puts what it makes of the latents back there.
        box: left, top, right, bottom of the square, in pixels, instead.
        landmarks: x,y of the eyes, nose and corners of the mouth, from the left of the photograph, instead.
        video: write NAME.mp4 of each descent.
        curves: write curves.png, the losses by step; needs matplotlib.
        max_pixels: refuse images of more pixels.
    """
    report = Report(common)

    def asked(told: str) -> bool:
        return report.ask(f"{told}. Make it now?")

    events = jobs.invert(
        model,
        photo,
        out=existing.outputs(out),
        preset=preset,
        encoder=encoder,
        basis=basis,
        learned=learned,
        make_basis=make_basis or (asked if asks(common) else False),
        mask=mask,
        align=align,
        box=box,
        landmarks=landmarks,
        video=video,
        curves=curves,
        limits=common.limits(max_pixels),
        **settings,
    )

    def outcome(finished: Finished) -> str:
        values = finished.values
        if not values:
            return ""
        return f"wrote {out}  ({len(values['images'])} photographs, {values['seconds']:.1f} s, {values['optimizer']})"

    report.follow(events, _told, outcome)


def _told(event: ItemDone) -> str:
    """A line on how near one photograph was met."""
    metrics, losses = event.values["metrics"], event.values["losses"]
    where = " where the mask is white" if event.values["masked"] else ""
    text = (
        f"{Path(event.item).stem}: PSNR {metrics['psnr']:.2f} dB, SSIM {metrics['ssim']:.3f}, "
        f"distance {metrics['distance']:.3f}; "
        f"{metrics['left']:.1%} of the mean image's error is left{where}"
    )
    if len(losses) > 1 and min(losses[1:]) >= losses[0]:
        text += "; nothing better was found than where it began: try a smaller --lr, or another --optimizer"
    if (begins := event.values.get("video_begins", 0)) > 1:
        text += f"; the video begins at step {begins}, where the run went on"
    return text
