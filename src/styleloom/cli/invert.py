"""``styleloom invert``: photographs into a generator's latent space."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from styleloom import inversion
from styleloom.blocks import images, video
from styleloom.blocks.errors import StyleLoomError, check_limits
from styleloom.blocks.files import check_folder, replacing
from styleloom.inversion import Inversion

from .generate import loaded
from .inputs import check_apart, find, open_mask, open_picture
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
    settings: Annotated[dict[str, Any], inversion.configure()],
    common: Common,
) -> None:
    """Find a generator's latents for photographs.

    Into the folder go, of each photograph, NAME.safetensors (its latents, and noise maps), NAME.png (their picture) and
    NAME-beside.png (the photograph and that picture), and metrics.json of all. The square in the middle of a photograph is
    taken; frame it as the generator's own pictures are framed.

    Args:
        model: a name from "styleloom zoo", or a model file.
        photo: photographs, folders or globs of them.
        out: folder to write to.
        preset: default, paper, in-domain or seed: where the settings below start from.
        encoder: an encoder of this generator, instead of the bundled one.
        basis: an eigenbasis of this generator, instead of the bundled one.
        learned: a learned optimizer of this generator, instead of the bundled one.
        mask: a grey picture, white where photographs are to be met; everywhere unless told. Its middle square is taken too.
        film: write NAME.mp4 of each descent.
        curves: write curves.png, the losses by step; needs matplotlib.
        resume: go on from where an interrupted run stopped.
        max_pixels: refuse pictures of more pixels.
    """
    report = Report(common)
    config = inversion.configure(preset, **settings)
    check_limits("--max-pixels", max_pixels, 1, math.inf)
    sources = [path for item in photo for path in find(item)]
    names = [Path(source).stem for source in sources]
    ends = (".safetensors", ".png", "-beside.png", *([".mp4"] if film else []))
    written = [out / "metrics.json", *(out / f"{name}{end}" for name in names for end in ends)]
    written += [out / "curves.png"] if curves else []
    check_apart(written, [*sources, model, *(each for each in (encoder, basis, learned, mask) if each)])
    if film:
        video.pyav()
    plot = _pyplot() if curves else None
    generator = loaded(model, common, config.precision)
    tools = inversion.tools_of(generator, encoder=encoder, basis=basis, learned=learned)
    chosen = inversion.optimizer_for(config, tools)
    # All of them now, so that a damaged one is told before the first is worked on.
    framed = [inversion.framed(open_picture(source, max_pixels), generator.resolution) for source in sources]
    shows = open_mask(mask, max_pixels).to(generator.device) if mask else None
    looked = config.init == "encoder" or config.in_domain > 0
    uses = dict(learned=chosen == "learned", basis=chosen == "adam-eigenbasis", encoder=looked)
    for name, given in dict(learned=learned, basis=basis, encoder=encoder).items():
        if given and not uses[name]:
            report.say(f"--{name} is not used: the optimizer is {chosen}, from the start {config.init}")
    parts: list[Inversion] = []
    with _resumable(out, inversion.job_of(generator, framed, config, tools, shows), resume, report):
        for start in range(0, len(sources), config.batch):
            part = slice(start, start + config.batch)
            targets = torch.cat(framed[part]).to(generator.device)
            state = out / f".state-{start}"
            loop = inversion.steps(generator, targets, config, tools, first=start, masks=shows, state=state)
            begun, frames = 0, list[Tensor]()
            for step in report.watch(loop, title=f"{chosen}, {len(targets)} at once"):
                begun = begun or step.index
                if film:
                    frames.append((step.image * 255).round().byte().cpu())
            result = inversion.outcome(generator, targets, step, chosen, shows)
            parts.append(result)
            for row, name in enumerate(names[part]):
                _write(out, name, generator, result, row)
                done_before = resume and len(frames) == 1 and (out / f"{name}.mp4").exists()
                if film and not done_before:
                    target = result.target[row].cpu()
                    beside = (_beside(target, frame[row] / 255) for frame in frames)
                    for _ in video.write_film(beside, out / f"{name}.mp4"):
                        pass
                    if begun > 1:
                        report.say(f"{name}.mp4 begins at step {begun}, where the run went on")
                report.say(f"{name}: {_told(result, row, masked=shows is not None)}")
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


@contextmanager
def _resumable(out: Path, job: str, resume: bool, report: Report) -> Iterator[None]:
    """Keep the states of one job in a folder while it is worked on; where there are some, it goes on with them, or is refused."""
    mark, fresh = out / ".job", not out.exists()
    if any(out.glob(".state-*")):
        if not resume:
            raise StyleLoomError(f"{out} has the beginning of a run; go on with --resume, or choose another folder")
        if not mark.exists() or mark.read_text() != job:
            raise StyleLoomError(
                f"{out} has the beginning of a run of other photographs or settings; use the same ones, or another folder"
            )
    check_folder(out)
    mark.write_text(job)
    try:
        yield
    except (StyleLoomError, KeyboardInterrupt) as stop:
        begun = any(out.glob(".state-*"))
        if not begun:
            _forget(out)
        if fresh and not any(out.iterdir()):
            out.rmdir()
        if isinstance(stop, KeyboardInterrupt):
            report.say("stopped; --resume goes on" if begun else "stopped, before there was anything to go on with")
        raise
    _forget(out)


def _forget(out: Path) -> None:
    for path in (out / ".job", *out.glob(".state-*")):
        path.unlink(missing_ok=True)


def _told(result: Inversion, row: int, masked: bool) -> str:
    told = {key: float(value[row]) for key, value in result.metrics.items()}
    where = " where the mask is white" if masked else ""
    text = (
        f"PSNR {told['psnr']:.2f} dB, SSIM {told['ssim']:.3f}, distance {told['distance']:.3f}; "
        f"{told['left']:.1%} of the mean picture's error is left{where}"
    )
    curve = result.losses[:, row]
    if len(curve) > 1 and not bool((curve[1:] < curve[0]).any()):
        text += "; nothing better was found than where it began: try a smaller --lr, or another --optimizer"
    return text


def _beside(target: Tensor, image: Tensor) -> Tensor:
    pair: Tensor = images.grid([torch.stack([target, image])], gap=0)
    return pair


def _write(out: Path, name: str, generator: Any, result: Inversion, row: int) -> None:
    noise = [each[row : row + 1] for each in result.noise]
    inversion.save_latents(out / f"{name}.safetensors", result.ws[row : row + 1], generator, noise)
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
