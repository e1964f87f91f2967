"""``styleloom invert``: photographs into a generator's latent space."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from styleloom import inversion
from styleloom.blocks import images, video
from styleloom.blocks.errors import StyleLoomError, check_limits
from styleloom.blocks.files import check_folder, replacing
from styleloom.inversion import Inversion
from styleloom.papers import image2stylegan

from .generate import loaded
from .inputs import find, open_mask, open_picture
from .options import Common
from .report import Report


def invert(
    model: str,
    photo: list[str],
    *,
    out: Path,
    preset: str = "default",
    encoder: str | None = None,
    basis: str | None = None,
    learned: str | None = None,
    mask: str | None = None,
    film: bool = False,
    curves: bool = False,
    resume: bool = False,
    max_pixels: int = images.MAX_PIXELS,
    settings: Annotated[dict[str, Any], image2stylegan.Config],
    common: Common,
) -> None:
    """Find a generator's latents for photographs.

    Into the folder go, of each photograph, NAME.safetensors (its latents), NAME.png (their picture) and NAME-beside.png (the
    photograph and that picture), and metrics.json of all. The square in the middle of a photograph is taken; frame it as the
    generator's own pictures are framed.

    Args:
        model: a name from "styleloom zoo", or a model file.
        photo: photographs, folders or globs of them.
        out: folder to write to.
        preset: default, paper or seed: where the settings below start from.
        encoder: an encoder of this generator, instead of the bundled one.
        basis: an eigenbasis of this generator, instead of the bundled one.
        learned: a learned optimizer of this generator, instead of the bundled one.
        mask: a grey picture, white where photographs are to be met; everywhere unless told.
        film: write NAME.mp4 of each descent.
        curves: write curves.png, the losses by step; needs matplotlib.
        resume: go on from where an interrupted run stopped.
        max_pixels: refuse pictures of more pixels.
    """
    report = Report(common)
    config = image2stylegan.configure(preset, **{"optimizer": "auto", **settings})
    check_limits("--max-pixels", max_pixels, 1, math.inf)
    sources = [path for item in photo for path in find(item)]
    names = [Path(source).stem for source in sources]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise StyleLoomError(f"several photographs are called {', '.join(twice)} but for their suffix; rename them")
    if film:
        video.check_film(out.parent / "film.mp4")
    plot = _pyplot() if curves else None
    generator = loaded(model, common, config.precision)
    tools = inversion.tools_of(generator, encoder=encoder, basis=basis, learned=learned)
    chosen = inversion.optimizer_for(config, tools)
    # All of them now, so that a damaged one is told before the first is worked on.
    framed = [inversion.framed(open_picture(source, max_pixels), generator.resolution) for source in sources]
    shows = open_mask(mask, max_pixels).to(generator.device) if mask else None
    check_folder(out)
    parts: list[Inversion] = []
    for start in range(0, len(sources), config.batch):
        part = slice(start, start + config.batch)
        targets = torch.cat(framed[part]).to(generator.device)
        state = out / f".state-{start}"
        if not resume:
            state.unlink(missing_ok=True)
        loop = inversion.steps(generator, targets, config, tools, masks=shows, state=state)
        found, frames = [], []
        for step in report.watch(loop, title=f"{chosen}, {len(targets)} at once"):
            found.append(step)
            if film:
                frames.append(step.image)
        result = inversion.outcome(generator, targets, found, chosen)
        parts.append(result)
        for row, name in enumerate(names[part]):
            _write(out, name, generator, result, row)
            if film:
                for _ in video.write_film([_beside(result.target[row], frame[row]) for frame in frames], out / f"{name}.mp4"):
                    pass
            told = {key: float(value[row]) for key, value in result.metrics.items()}
            report.say(
                f"{name}: PSNR {told['psnr']:.2f} dB, SSIM {told['ssim']:.3f}, distance {told['distance']:.3f}; "
                f"{told['left']:.1%} of the mean picture's error is left"
            )
        state.unlink(missing_ok=True)
    whole = inversion.joined(parts)
    rows = [{key: round(float(value[row]), 6) for key, value in whole.metrics.items()} for row in range(len(names))]
    outcome = dict(
        optimizer=chosen,
        seconds=round(whole.seconds, 2),
        pictures=dict(zip(names, rows, strict=True)),
        losses={name: [round(float(loss), 6) for loss in whole.losses[:, row]] for row, name in enumerate(names)},
    )
    with replacing(out / "metrics.json") as path:
        path.write_text(json.dumps(outcome, indent=1) + "\n")
    if plot is not None:
        _draw(plot, whole.losses, names, out / "curves.png")
    report.say(f"wrote {out}  ({len(names)} photographs, {whole.seconds:.1f} s, {chosen})")
    report.outcome(out=str(out), **{key: value for key, value in outcome.items() if key != "losses"})


def _beside(target: Tensor, image: Tensor) -> Tensor:
    pair: Tensor = images.grid([torch.stack([target, image])], gap=0)
    return pair


def _write(out: Path, name: str, generator: Any, result: Inversion, row: int) -> None:
    inversion.save_latents(out / f"{name}.safetensors", result.ws[row : row + 1], generator)
    images.write(result.image[row : row + 1], out / f"{name}.png")
    images.write(_beside(result.target[row], result.image[row]), out / f"{name}-beside.png")


def _pyplot() -> Any:
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError as error:
        raise StyleLoomError("curves need matplotlib: pip install 'styleloom[plot]'") from error
    return pyplot


def _draw(plot: Any, losses: Tensor, names: list[str], path: Path) -> None:
    figure, axes = plot.subplots(figsize=(8, 5), layout="constrained")
    for row, name in enumerate(names[:20]):
        axes.semilogy(losses[:, row].cpu(), label=name)
    axes.set(xlabel="step", ylabel="loss")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    with replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=120)
    plot.close(figure)
