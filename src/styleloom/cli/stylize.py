"""``styleloom stylize``: repaint photographs."""

from __future__ import annotations

import time
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from torch import Tensor

from styleloom import api
from styleloom.blocks import images
from styleloom.blocks.errors import StyleLoomError
from styleloom.convert.vgg import load_features
from styleloom.papers import adain, dumoulin, gatys, johnson

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
    max_pixels: int = images.MAX_PIXELS,
    settings: Annotated[dict[str, Any], gatys.Config, adain.Config, dumoulin.Config],
    common: Common,
) -> None:
    """Repaint a photograph in the style of one or more pictures.

    Pictures are files, or names of bundled ones: astronaut, cat, coffee, rocket, and the styles that
    "styleloom data styles" draws. Stopped with Ctrl-C, the best picture so far is written.

    Args:
        content: photograph, or a folder or glob of them.
        style: one or more style pictures; for dumoulin names of its styles, for johnson the name or file of a network.
        out: picture to write; for several photographs a folder.
        method: gatys (minutes a picture), or in one pass: adain (any style), dumoulin, johnson.
        preset: best, draft, paper or authors: where the settings below start from.
        weights: share of each style.
        mask: a grey picture for each style, white where it is painted; one serves two styles. Repeat the option.
        start: picture to start from, instead of --init.
        preview_every: write the picture so far every so many steps.
        resume: go on from where an interrupted run stopped.
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
    targets = targets_of(contents, content, out)
    named = method in api.NAMED
    styles: list[Any] = style if named else [open_picture(path, max_pixels).to(device) for item in style for path in find(item)]
    masks = [open_mask(path, max_pixels).to(device) for path in mask] if mask else None
    options: dict[str, Any] = dict(weights=weights or None, masks=masks)
    began, outcomes = time.perf_counter(), []
    if method == "gatys":
        options["init"] = open_picture(start, max_pixels).to(device) if start else None
        options["features"] = load_features(config.features, pooling=config.pooling)
    elif method == "johnson":
        api.check_styles(method, styles, mixed=bool(weights or masks))
        options, styles = {}, johnson.load(styles[0])  # type: ignore[assignment]
    else:
        options["model"] = module.load(config.model)
    for source, target in zip(contents, targets, strict=True):
        if method == "gatys":
            picture = open_picture(source, max_pixels).to(device)
            outcome = _paint(picture, styles, config, target, preview_every, resume, report, options)
        else:
            picture = open_picture(source, max_pixels, as_bytes=True).to(device)
            outcome = _pass(picture, styles, config, target, module, report, options)
        outcomes.append(outcome | {"content": source})
    report.outcome(method=method, device=str(device), seconds=round(time.perf_counter() - began, 2), pictures=outcomes)


def _pass(
    picture: Tensor, styles: Any, config: Any, target: Path, module: ModuleType, report: Report, options: dict[str, Any]
) -> dict[str, Any]:
    """Paint one picture in one pass and write it."""
    began = time.perf_counter()
    painted = module.stylize(picture, styles, config, **options)
    seconds = time.perf_counter() - began
    images.write(painted, target)
    report.say(f"wrote {target}  ({painted.shape[3]} x {painted.shape[2]}, {seconds:.2f} s on {picture.device})")
    return dict(out=str(target), seconds=round(seconds, 3))


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
