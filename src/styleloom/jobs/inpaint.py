"""The job of local edits: parts of photographs made anew."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.core.files import PathLike
from styleloom.data.frames import Frame
from styleloom.data.masks import blend, check_mask, feathered
from styleloom.data.output import write as write_output
from styleloom.nn.generators import Generator
from styleloom.papers import local_edit
from styleloom.papers.local_edit import Target
from styleloom.tasks import inpainting
from styleloom.tasks.alignment import Aligned
from styleloom.tasks.inversion import center_square

from .engine import Job, digest, run, watched
from .events import Event, Item, ItemDone, ItemFailed, Noted
from .inputs import find_all, open_image, open_region
from .outputs import LIMITS, Limits, Outputs, software, targets_of
from .sources import LOADING, LoadOptions, check_untuned, open_session

MODES = ("fill", "shift", "crossover", "scribble", "copy", "style")
NEEDS_OTHER = ("crossover", "scribble", "style")
NEEDS_MASK = ("fill", "crossover", "copy", "style")
NEEDS_SHIFT = ("shift", "copy")


def inpaint(
    model: PathLike | Generator,
    photos: PathLike | Sequence[PathLike],
    *,
    out: PathLike | Outputs,
    mask: PathLike | None = None,
    mode: str = "fill",
    other: PathLike | None = None,
    shift: Sequence[float] = (),
    style_weight: float = 1.0,
    whole: bool = False,
    loading: LoadOptions = LOADING,
    limits: Limits = LIMITS,
) -> Iterator[Event]:
    """Make a part of photographs anew, as a generator would have it (Image2StyleGAN++).

    Args:
        model: a generator, or the name or file of one.
        photos: photographs, folders or globs of them.
        out: an image for one photograph, or a folder.
        mask: white where the photograph changes: an image, or a shape: box:left,top,right,bottom, ellipse:x,y,width,height
            (halves) or polygon:x,y,x,y,..., in pixels of the photograph, several joined with +.
        mode: "fill" makes what the mask covers anew; "shift" moves the image and paints what comes into view; "crossover" takes
            ``other`` where the mask is; "scribble" follows what was drawn on ``other``, a copy of the photograph; "copy" moves
            what the mask covers; "style" gives it the style of ``other``.
        other: a second image.
        shift: pixels of the generator's image to the right and down, of "shift" and "copy".
        style_weight: weight of the style, in "style".
        whole: write the generator's image, not the photograph.
        loading: see :class:`~styleloom.jobs.edit.LoadOptions`.
        limits: device, and the largest image, see :class:`~styleloom.jobs.outputs.Limits`.

    Yields:
        :class:`~styleloom.jobs.events.Event`.

    Raises:
        StyleLoomError: no such model, a mask or second image that is missing or does nothing, or outputs that cannot be.
    """
    outputs = Outputs.of(out)
    _check_given(mode, mask, other, shift)
    # Resolve inputs and outputs.
    sources = find_all(photos).files
    targets, folder = targets_of(sources, photos if isinstance(photos, str | Path) else list(photos), outputs)
    # Open the generator and what edits need.
    check_untuned(loading)
    session = open_session(model, loading, limits)
    generator = session.generator
    side = generator.resolution
    prior = {} if loading.prior_weight is None else dict(prior_weight=loading.prior_weight)
    config = inpainting.configure(num_steps=loading.num_steps, noise_steps=loading.noise_steps, **prior)
    max_pixels = session.loading.max_pixels
    region_of = open_region(mask, max_pixels) if mask is not None else None
    second = open_image(other, max_pixels) if other is not None else None
    across, down = (round(each) for each in shift) if shift else (0, 0)

    # The target of each mode.
    def target_of(photo: Tensor, aligned: Aligned) -> tuple[Target, Tensor | None]:
        """The target of an edit, and its mask in the photograph."""
        region = None
        if region_of is not None:
            region = region_of(photo)
            check_mask(region)
        crop = aligned.crop(photo, side)
        inside = (aligned.crop(region, side) >= 0.5).float() if region is not None else None
        beside = None
        if second is not None:
            beside = aligned.crop(second, side) if second.shape[-2:] == photo.shape[-2:] else center_square(second, side)
        if mode == "shift":
            return local_edit.outpainting(crop, across, down), None
        if mode == "scribble":
            assert beside is not None and second is not None
            if second.shape != photo.shape:
                raise StyleLoomError("what was drawn on is of another size than the photograph; draw on a copy of it")
            return local_edit.scribble(crop, beside), None
        # The other modes want a mask.
        assert inside is not None
        check_mask(inside, "the mask, within the square that is edited,")
        if mode == "fill":
            return local_edit.inpainting(crop, inside), region
        if mode == "copy":
            return local_edit.copy_paste(crop, crop, inside, across, down), None
        assert beside is not None
        if mode == "style":
            return local_edit.local_style(crop, beside, inside), region
        return local_edit.crossover(crop, beside, inside), None

    # Edit each photograph.
    def work(pending: Sequence[Item]) -> Iterator[Event]:
        for item in pending:
            mark = time.perf_counter()
            try:
                photo = open_image(item.name, max_pixels)
                aligned = session.opener.aligner(photo)
                if aligned.nobody_chose:
                    yield Noted(item.name, aligned.remark)
                target, region = target_of(photo, aligned)
                steps = inpainting.steps(generator, target, config, session.tools, style_weight=style_weight)
                last = yield from watched(item.name, steps)
                result = inpainting.outcome(target, last)
                image = (
                    result.image if whole or mode == "shift" else _put_back(photo, aligned.frame, target, result.image, region)
                )
                write_output(image, item.targets[0], outputs.format, source=item.name, software=software("inpaint"))
            except StyleLoomError as error:
                yield ItemFailed(item.name, str(error))
                continue
            values = dict(framed=aligned.how, size=f"{image.shape[3]} x {image.shape[2]}")
            yield ItemDone(item.name, (str(item.targets[0]),), round(time.perf_counter() - mark, 3), values)

    files = [each for each in (other, mask) if each is not None]
    settings = digest(mode, str(mask), list(shift), style_weight, whole, asdict(outputs.format), session.digest, files=files)
    read = [*sources, *files, *session.read]
    items = [Item(source, (path,)) for source, path in zip(sources, targets, strict=True)]
    # Run the job.
    job = Job("inpaint", items, work, settings=settings, folder=folder, sources=read)
    yield from run(job, outputs)


def _check_given(mode: str, mask: PathLike | None, other: PathLike | None, shift: Sequence[float]) -> None:
    """Raise StyleLoomError where a mode lacks what it needs, or is given what it does not use."""
    check_choice("mode", mode, MODES)
    shifted = bool(shift)
    uses = (
        ("`mask`", mask is not None, NEEDS_MASK),
        ("`other`", other is not None, NEEDS_OTHER),
        ("`shift`", shifted, NEEDS_SHIFT),
    )
    for flag, given, modes in uses:
        if given and mode not in modes:
            raise StyleLoomError(f"mode {mode} does not use {flag}; leave it out")
        if mode in modes and not given:
            raise StyleLoomError(f"mode {mode} needs {flag}; give it, or choose another of {', '.join(MODES)}")
    if shift and len(shift) != 2:
        raise StyleLoomError(f"the shift has {len(shift)} numbers; write it as right,down, in pixels")


def _put_back(photo: Tensor, frame: Frame, target: Target, image: Tensor, region: Tensor | None) -> Tensor:
    """A photograph with the result in its place; outside of the mask equal to the bit."""
    pasted = frame.paste(photo, image)
    if region is None:
        # No mask in the photograph's own pixels: what the target changes, enlarged.
        nothing = torch.zeros_like(photo)
        region = frame.paste(nothing, target.changed.expand(-1, 3, -1, -1), feather=0.001)[:, :1]
        return blend(photo, pasted, region)
    return blend(photo, pasted, feathered((region >= 0.5).float(), local_edit.FEATHER * frame.side))
