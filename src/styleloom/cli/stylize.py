"""``styleloom stylize``: repaint photographs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from styleloom import api
from styleloom.blocks import images, video
from styleloom.blocks.errors import StyleLoomError
from styleloom.convert.vgg import load_features
from styleloom.papers import adain, dumoulin, gatys, ghiasi

from .inputs import find, open_mask, open_picture, targets_of
from .options import Common
from .report import Report


def stylize(
    content: str,
    style: list[str],
    *,
    out: Path,
    method: str = "gatys",
    preset: str = "best",
    weights: tuple[float, ...] = (),
    mask: list[str] | None = None,
    start: str | None = None,
    preview_every: int = 0,
    resume: bool = False,
    batch: int = 8,
    smooth: float = 0.6,
    max_pixels: int = images.MAX_PIXELS,
    settings: Annotated[dict[str, Any], gatys.Config, ghiasi.Config, adain.Config, dumoulin.Config],
    common: Common,
) -> None:
    """Repaint a photograph in the style of one or more pictures.

    Pictures are files, or names of bundled ones: astronaut, cat, coffee, rocket, and the styles that
    "styleloom data styles" draws. Stopped with Ctrl-C, the best picture so far is written.

    Args:
        content: photograph, or a folder or glob of them; or a film, for the methods of one pass.
        style: one or more style pictures; for dumoulin names of its styles, for johnson the name or file of a network.
        out: picture or film to write; for several photographs a folder.
        method: gatys (minutes a picture), or in one pass: ghiasi (any style), adain (any style), dumoulin, johnson.
        preset: best, draft, paper or authors: where the settings below start from.
        weights: share of each style.
        mask: a grey picture for each style, white where it is painted; one serves two styles. Repeat the option.
        start: picture to start from, instead of --init.
        preview_every: write the picture so far every so many steps.
        resume: go on from where an interrupted run stopped.
        batch: pictures of one size that are painted at once, in one pass.
        smooth: how much of each frame of a film is the one before it, moved along; 0: each by itself.
        max_pixels: refuse pictures of more pixels.
    """
    module = api.method_named(method)
    if preview_every < 0:
        raise StyleLoomError(f"--preview-every is {preview_every}; give a number of steps, or 0 for none")
    if method != "gatys" and (start or preview_every or resume):
        raise StyleLoomError(f"--start, --preview-every and --resume are for gatys; {method} paints in one pass")
    config = module.configure(preset, **settings)
    report, device = Report(common), common.torch_device()
    contents = find(content)
    film = video.is_film(content)
    if film and method == "gatys":
        raise StyleLoomError("gatys paints no films; use --method ghiasi, adain, dumoulin or johnson")
    targets = [video.check_film(out)] if film else targets_of(contents, content, out)
    named = method in api.NAMED
    styles: list[Any] = style if named else [open_picture(path, max_pixels).to(device) for item in style for path in find(item)]
    masks = [open_mask(path, max_pixels).to(device) for path in mask] if mask else None
    options: dict[str, Any] = dict(weights=weights or None, masks=masks)
    began = time.perf_counter()
    outcomes: list[dict[str, Any]] = []
    if method == "gatys":
        options["init"] = open_picture(start, max_pixels).to(device) if start else None
        options["features"] = load_features(config.features, pooling=config.pooling)
        for source, target in zip(contents, targets, strict=True):
            picture = open_picture(source, max_pixels).to(device)
            outcome = _paint(picture, styles, config, target, preview_every, resume, report, options)
            outcomes.append(outcome | {"content": source})
    else:
        paint = api.painter(method, styles, config, **options)
        if film:
            outcomes.append(_film(content, out, lambda frames: paint(frames.to(device)), smooth, report))
        else:
            outcomes = [*_passes(contents, targets, paint, batch, device, max_pixels, report)]
    report.outcome(method=method, device=str(device), seconds=round(time.perf_counter() - began, 2), pictures=outcomes)


def _passes(
    contents: list[str],
    targets: list[Path],
    paint: Callable[[Tensor], Tensor],
    batch: int,
    device: torch.device,
    max_pixels: int,
    report: Report,
) -> Iterator[dict[str, Any]]:
    """Paint and write pictures in one pass each, several of one size at once."""
    waiting: list[tuple[str, Path, Tensor]] = []

    def painted() -> Iterator[dict[str, Any]]:
        mark = time.perf_counter()
        results = paint(torch.cat([picture for _, _, picture in waiting]).to(device)).cpu()
        seconds = (time.perf_counter() - mark) / len(waiting)
        for (source, target, _), result in zip(waiting, results.split(1), strict=True):
            images.write(result, target)
            report.say(f"wrote {target}  ({result.shape[3]} x {result.shape[2]}, {seconds:.2f} s on {device})")
            yield dict(content=source, out=str(target), seconds=round(seconds, 3))
        waiting.clear()

    for source, target in zip(contents, targets, strict=True):
        picture = open_picture(source, max_pixels, as_bytes=True)
        if waiting and (len(waiting) == batch or picture.shape != waiting[0][2].shape or picture.dtype != waiting[0][2].dtype):
            yield from painted()
        waiting.append((source, target, picture))
    yield from painted()


def _film(source: str, out: Path, paint: Callable[[Tensor], Tensor], smooth: float, report: Report) -> dict[str, Any]:
    """Paint a film; say how it went."""
    step = None
    try:
        for step in report.watch(video.repaint(source, out, paint, smooth=smooth), title=out.name):  # noqa: B007
            pass
    except KeyboardInterrupt:
        if step is not None:
            report.say(f"stopped after {step.index} frames; {out} holds them")
        raise
    assert step is not None  # a film has at least one frame
    report.say(f"wrote {out}  ({step.index} frames in {step.seconds:.1f} s)")
    return dict(content=source, out=str(out), frames=step.index, seconds=round(step.seconds, 2))


def _paint(
    picture: Tensor,
    styles: list[Tensor],
    config: gatys.Config,
    target: Path,
    preview_every: int,
    resume: bool,
    report: Report,
    options: dict[str, Any],
) -> dict[str, Any]:
    """Paint and write one picture; say how it went."""
    state = target.with_name(f"{target.name}.state")
    if not resume:
        state.unlink(missing_ok=True)
    step = None
    try:
        for step in report.watch(gatys.steps(picture, styles, config, state=state, **options), title=target.name):
            if preview_every and step.index % preview_every == 0:
                images.write(step.image, target)
    except KeyboardInterrupt:
        if step is not None:
            images.write(step.image, target)
            report.say(f"stopped at step {step.index} of {step.total}; {target} is the best so far, --resume goes on")
        raise
    assert step is not None  # a loop has at least one step
    images.write(step.image, target)
    state.unlink(missing_ok=True)
    report.say(
        f"wrote {target}  ({step.size[1]} x {step.size[0]}, {step.index} steps in {step.seconds:.1f} s on {picture.device})"
    )
    return dict(out=str(target), steps=step.index, seconds=round(step.seconds, 2), losses=step.losses)
