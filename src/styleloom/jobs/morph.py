"""The job of morphing from image to image."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.core.files import PathLike
from styleloom.core.settings import Range
from styleloom.data import images, video
from styleloom.nn.generators import Generator
from styleloom.tasks import editing

from .engine import Job, digest, run, watched
from .events import Event, Item, ItemDone, ItemFailed
from .generate import GIF
from .outputs import LIMITS, Limits, Outputs
from .sources import LOADING, LoadOptions, Source, check_untuned, names_of, open_session, rendered


def morph(
    model: PathLike | Generator,
    sources: PathLike | Sequence[PathLike],
    *,
    out: PathLike | Outputs,
    frames: int = 48,
    even: bool = True,
    easing: str = "none",
    loop: bool = False,
    rate: int = 24,
    columns: int = 8,
    loading: LoadOptions = LOADING,
    limits: Limits = LIMITS,
) -> Iterator[Event]:
    """Morph from image to image: a video, a GIF, or a strip.

    Args:
        model: a generator, or the name or file of one.
        sources: two or more photographs, files of latents, or seeds.
        out: .mp4, .webm or .gif, or an image's suffix for a strip.
        frames: number of frames from one to the next.
        even: keep an even pace in feature distance.
        easing: "smooth" slows down at each image; not with ``even``.
        loop: come back to the first.
        rate: frames a second.
        columns: columns of a strip.
        loading, limits: see :func:`edit`.

    Yields:
        :class:`~styleloom.jobs.events.Event`.

    Raises:
        StyleLoomError: no such model or image, or an output that cannot be.
    """
    # Check what is asked for.
    outputs = Outputs.of(out)
    check_choice("easing", easing, editing.EASINGS)
    moving = outputs.path.suffix.lower() == GIF or video.is_video(outputs.path)
    if moving and outputs.path.suffix.lower() != GIF:
        video.check_video(outputs.path)
    elif not moving:
        images.check_writable(outputs.path)
    Range(1).check("`columns`", columns, whole=True)
    Range(1).check("`frames`", frames, whole=True)
    Range(1, 100).check("`rate`", rate, whole=True)
    names = [str(each) for each in ([sources] if isinstance(sources, str | Path) else sources)]
    names = [one for each in names for one in names_of(each)]
    if len(names) < 2:
        raise StyleLoomError(f"{len(names)} image to morph; give two or more")
    # Open the images, and render those between them.
    check_untuned(loading)
    session = open_session(model, loading, limits)

    def work(items: Sequence[Item]) -> Iterator[Event]:
        began = time.perf_counter()
        stations: dict[str, Source] = {}
        for each in session.opener(list(dict.fromkeys(names))):
            if isinstance(each, Source):
                stations[each.name] = each
            elif isinstance(each, ItemFailed):
                yield ItemFailed(str(outputs.path), f"{each.item}: {each.reason}")
                return
            else:
                yield each
        # Render the way from each to the next.
        chosen = [stations[name] for name in names]
        noise = [each.noise for each in chosen]
        latents = editing.morph(
            session.generator, *(each.ws for each in chosen), frames=frames, even=even, easing=easing, loop=loop, noise=noise
        )
        drawn = (rendered(session.generator, ws, maps) for ws, maps in latents)
        if moving:
            last = yield from watched("frames", video.write_video(drawn, outputs.path, rate=rate))
            count = last.index
        else:
            strip = torch.cat(list(drawn))
            count = len(strip)
            images.write(images.grid(list(strip.split(columns))), outputs.path)
        values = dict(count=count, resolution=session.generator.resolution)
        yield ItemDone(str(outputs.path), (str(outputs.path),), round(time.perf_counter() - began, 3), values)

    # Run the job.
    read = [*(name for name in names if not name.isdigit()), *session.read]
    shown = (rate,) if moving else (columns,)
    job = Job(
        "morph",
        [Item(str(outputs.path), (outputs.path,))],
        work,
        settings=digest(names, frames, even, easing, loop, shown, session.digest, files=names),
        sources=read,
        summary=lambda done: done[0].values if done else {},
    )
    yield from run(job, outputs)
