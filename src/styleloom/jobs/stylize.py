"""Jobs that make images of images: stylize, upscale."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.files import PathLike
from styleloom.core.progress import Progress
from styleloom.core.threads import mapped
from styleloom.data import images, video
from styleloom.data.output import Output
from styleloom.data.output import write as write_output
from styleloom.nn.layers import placed
from styleloom.papers import gatys, super_resolution
from styleloom.tasks import painting

from .engine import Job, digest, one_by_one, run, video_by_frames, watched
from .events import Event, Item, ItemDone, ItemFailed, Noted
from .inputs import Found, find, find_all, open_image, open_mask, open_region, open_style
from .outputs import LIMITS, Limits, Outputs, images_summary, software, targets_of, written

UPSCALE_LIMITS = Limits(max_pixels=images.MAX_PIXELS // 4)
Paint = Callable[[Tensor], Tensor]


def stylize(
    content: PathLike | Sequence[PathLike],
    style: Tensor | PathLike | Sequence[Tensor | PathLike],
    *,
    out: PathLike | Outputs,
    method: str = "gatys",
    preset: str = "best",
    weights: Sequence[float] | None = None,
    mask: Sequence[PathLike] | None = None,
    content_mask: PathLike | None = None,
    start: PathLike | None = None,
    preview_every: int = 0,
    batch: int = 8,
    smooth: float = 0.7,
    recursive: bool = False,
    limits: Limits = LIMITS,
    **settings: Any,
) -> Iterator[Event]:
    """Repaint photographs, folders of them, or a video.

    Args:
        content: photographs, folders or globs of them; or a video, for the methods of one pass.
        style: one or several images [1, 3, H, W] in [0, 1], or names of image files or bundled ones; for dumoulin names of
            its styles, for johnson the name or file of a network.
        out: image or video to write; for several photographs a folder.
        method: gatys, johnson, dumoulin, ghiasi or adain.
        preset: where the settings start from.
        weights: share of each style.
        mask: a gray image for each style, white where it is painted; one serves two styles.
        content_mask: where the photograph is to stay recognizable, for gatys: "faces" (found by the extra [faces]), a gray image,
            white there, or a shape: box:left,top,right,bottom, ellipse:x,y,half width,half height.
        start: image to start from, for gatys.
        preview_every: write the image so far every so many steps, for gatys.
        batch: images of one size that are painted at once, in one pass, on a GPU; on a CPU each has a thread of its own.
        smooth: how much of each frame of a video is the one before it, moved along; 0: each by itself.
        recursive: paint the images of the folders in a folder too.
        limits: device, and the largest image, see :class:`~styleloom.jobs.outputs.Limits`.
        settings: settings of the method's ``Config``.

    Yields:
        :class:`~styleloom.jobs.events.Event`; a gatys image that is stopped goes on when the job is run again.

    Raises:
        StyleLoomError: unknown names and settings, options that the method does not have, or outputs that cannot be.
    """
    outputs = Outputs.of(out)
    device = torch.device(limits.device)
    if preview_every < 0:
        raise StyleLoomError(f"`preview_every` is {preview_every}; give a number of steps, or 0 for none")
    config = painting.configured(method, preset, **settings)
    alone = [name for name, given in dict(start=start, preview_every=preview_every, content_mask=content_mask).items() if given]
    if method != "gatys" and alone:
        raise StyleLoomError(f"`{alone[0]}` is for gatys; {method} paints in one pass, so leave it out")
    # Resolve inputs and outputs.
    is_video = isinstance(content, str | Path) and video.is_video(content)
    if is_video and method == "gatys":
        raise StyleLoomError("gatys paints no videos; use `method` ghiasi, adain, dumoulin or johnson")
    found = Found([str(content)]) if is_video else find_all(content, recursive=recursive)
    contents = found.files
    targets, folder = ([video.check_video(outputs.path)], None) if is_video else targets_of(contents, content, outputs)
    # Open styles, masks and the first image.
    several: list[Tensor | PathLike] = painting.listed(style)
    named = not config.style_is_image
    styles: list[Any] = [str(each) for each in several] if named else []
    for each in [] if named else several:
        styles += open_style(each, limits.max_pixels, device)
    masks = [open_mask(path, limits.max_pixels).to(device) for path in mask] if mask else None
    init = open_image(start, limits.max_pixels).to(device) if start else None
    options: dict[str, Any] = dict(weights=weights or None, masks=masks, device=device)
    read: list[PathLike] = [
        *contents,
        *(path for each in several if isinstance(each, str | Path) for path in _files(each, named)),
    ]
    read += [*(mask or ()), *(each for each in (start, content_mask) if each and Path(each).is_file())]
    # Paint: gatys by a descent for each image, all others in one pass.
    if method == "gatys":
        descent = painting.descent(config, styles, init=init, content_mask=_keeper(content_mask, limits.max_pixels), **options)

        def work(items: Sequence[Item]) -> Iterator[Event]:
            for item in items:
                yield from one_by_one(
                    item,
                    lambda item: _descend(item, descent, preview_every, limits.max_pixels, device, outputs.format),
                )

    else:
        paint = painting.painter(method, styles, config, **options)

        def work(items: Sequence[Item]) -> Iterator[Event]:
            if is_video:
                frames_at_once = device.type == "cpu"
                yield from one_by_one(
                    items[0],
                    lambda item: video_by_frames(
                        item, lambda frames: paint(frames.to(device)), smooth, parallel=frames_at_once, spread=outputs.spread
                    ),
                )
            else:
                yield from _passes(items, paint, batch, device, limits.max_pixels, outputs.format)

    # The files whose contents the results depend on.
    contents_of = [content_mask] if content_mask else []
    contents_of += [file for each in several if named for file in _files(str(each), named)]
    contents_of += [getattr(config, name) for name in ("model", "features") if hasattr(config, name)]
    # Run the job.
    job = Job(
        "stylize",
        [Item(source, (target,)) for source, target in zip(contents, targets, strict=True)],
        work,
        settings=digest(
            method,
            asdict(config),
            asdict(outputs.format),
            weights,
            str(content_mask),
            smooth if is_video else 0,
            [each for each in styles if isinstance(each, str)],
            tensors=[
                *(each for each in styles if isinstance(each, Tensor)),
                *(masks or []),
                *([init] if init is not None else []),
            ],
            files=contents_of,
        ),
        folder=folder,
        sources=read,
        passed_over=found.passed_over,
        state=state_of if method == "gatys" else None,
        summary=lambda done: dict(method=method) | images_summary(done, device),
        spreads_itself=is_video,
    )
    yield from run(job, outputs)


def _files(style: PathLike, named: bool) -> list[str]:
    """The files that a style is read from."""
    if named:
        return [str(style)] if Path(style).is_file() else []
    return find(style)


def _keeper(content_mask: PathLike | None, max_pixels: int) -> gatys.ContentMask | None:
    """A content mask as Gatys takes it, of the text of an option."""
    if not content_mask:
        return None
    if content_mask == painting.FACES:
        return painting.keeper(painting.FACES)
    if ":" not in str(content_mask) and not Path(content_mask).exists():
        raise StyleLoomError(
            f'no such content mask: {content_mask}; give "faces", a gray image, or a shape such as ellipse:230,110,60,80'
        )
    return open_region(content_mask, max_pixels)


def state_of(target: Path) -> Path:
    """The file that an unfinished descent is kept in."""
    return target.with_name(f"{target.name}.state")


def _descend(
    item: Item,
    descent: gatys.GatysPainter,
    preview_every: int,
    max_pixels: int,
    device: torch.device,
    output: Output,
) -> Iterator[Event]:
    """Paint one image by descent; stopped, the best so far is written and the state is kept."""
    (target,) = item.targets
    photo = open_image(item.name, max_pixels).to(device)
    state = state_of(target)
    step: gatys.GatysStep | None = None
    masks = descent.options["masks"]
    alone = masks is not None and len(descent.styles) == len(masks) == 1
    keep = descent.options["content_mask"]
    if callable(keep):
        keep = keep(photo)
        if keep is None:
            yield Noted(item.name, "no face was found, so none is kept")

    def write(image: Tensor) -> None:
        image = painting.kept_outside(image, photo, masks[0]) if alone else image
        write_output(image, target, output, source=item.name, software=software("stylize"))

    def steps() -> Iterator[Progress]:
        nonlocal step
        for step in descent.steps(photo, state=state, content_mask=keep):
            if preview_every and step.index % preview_every == 0:
                write(step.image)
            yield step

    try:
        yield from watched(target.name, steps())
    except (KeyboardInterrupt, GeneratorExit):
        if step is not None and state.exists():
            write(step.image)
        raise
    assert step is not None  # a loop has at least one step
    write(step.image)
    state.unlink(missing_ok=True)
    size = f"{step.size[1]} x {step.size[0]}"
    yield ItemDone(item.name, (str(target),), round(step.seconds, 2), dict(size=size, steps=step.index, losses=step.losses))


def _passes(
    items: Sequence[Item], paint: Paint, batch: int, device: torch.device, max_pixels: int, output: Output
) -> Iterator[Event]:
    """Paint and write images in one pass each, several of one size at once."""
    if device.type == "cpu" and len(items) > 1:
        yield from _each_in_a_thread(items, paint, max_pixels, output)
        return
    waiting: list[tuple[Item, Tensor]] = []

    def painted() -> Iterator[Event]:
        if not waiting:
            return
        mark = time.perf_counter()
        try:
            results = paint(torch.cat([image for _, image in waiting]).to(device)).cpu()
        except StyleLoomError as error:
            yield from (ItemFailed(item.name, str(error)) for item, _ in waiting)
        else:
            seconds = (time.perf_counter() - mark) / len(waiting)
            for (item, _), result in zip(waiting, results.split(1), strict=True):
                yield from one_by_one(item, lambda item, result=result: written(item, result, seconds, "stylize", output))  # type: ignore[misc]
        waiting.clear()

    for item in items:
        try:
            image = open_image(item.name, max_pixels, as_bytes=output.depth == 8)
        except StyleLoomError as error:
            yield ItemFailed(item.name, str(error))
            continue
        if waiting and (len(waiting) == batch or image.shape != waiting[0][1].shape or image.dtype != waiting[0][1].dtype):
            yield from painted()
        waiting.append((item, image))
    yield from painted()


def _each_in_a_thread(items: Sequence[Item], paint: Paint, max_pixels: int, output: Output) -> Iterator[Event]:
    """Read, paint and write images, each in a thread of its own: on a CPU faster than several in one pass.

    An image comes out the same to the bit whatever lies beside it, and however many threads there are.
    """

    def one(item: Item) -> list[Event]:
        try:
            image = open_image(item.name, max_pixels, as_bytes=output.depth == 8)
            mark = time.perf_counter()
            result = paint(image)
            return list(written(item, result, time.perf_counter() - mark, "stylize", output))
        except StyleLoomError as error:
            return [ItemFailed(item.name, str(error))]

    for events in mapped(one, items):
        yield from events


def upscale(
    content: PathLike | Sequence[PathLike],
    *,
    out: PathLike | Outputs,
    model: PathLike = "upscale-x4",
    tile: int = 256,
    limits: Limits = UPSCALE_LIMITS,
) -> Iterator[Event]:
    """Enlarge images four times.

    Args:
        content: images, folders or globs of them.
        out: image to write; for several a folder.
        model: upscale-x4 or a model file.
        tile: images are enlarged in squares of so many pixels; 0: whole.
        limits: device, and the largest image, see :class:`~styleloom.jobs.outputs.Limits`.

    Yields:
        :class:`~styleloom.jobs.events.Event`.

    Raises:
        StyleLoomError: no such model, or outputs that cannot be.
    """
    outputs = Outputs.of(out)
    contents = find_all(content).files
    targets, folder = targets_of(contents, content, outputs)
    network = placed(super_resolution.load(model), torch.device(limits.device))

    def enlarge(item: Item) -> Iterator[Event]:
        image = open_image(item.name, limits.max_pixels, as_bytes=outputs.format.depth == 8).to(limits.device)
        mark = time.perf_counter()
        large = super_resolution.upscale(image, network, tile=tile)
        yield from written(item, large, time.perf_counter() - mark, "upscale", outputs.format)

    def work(items: Sequence[Item]) -> Iterator[Event]:
        for item in items:
            yield from one_by_one(item, enlarge)

    job = Job(
        "upscale",
        [Item(source, (target,)) for source, target in zip(contents, targets, strict=True)],
        work,
        settings=digest(asdict(outputs.format), tensors=network.state_dict().values()),
        folder=folder,
        sources=[*contents, model],
        summary=lambda done: images_summary(done, limits.device),
    )
    yield from run(job, outputs)
