"""``styleloom train``: train networks on your own images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from styleloom import papers
from styleloom.core.checkpoint import license_of, read_config
from styleloom.core.run import Hardware, Run
from styleloom.core.settings import configured
from styleloom.data.pairs import Domains, open_domains
from styleloom.jobs.inputs import find, open_image
from styleloom.loops.fit import MODEL
from styleloom.loops.task import TrainingStep

from .options import Common
from .report import Report
from .status import first_process, note_command


@dataclass(frozen=True)
class Launch:
    """Options that start a run.

    Args:
        resume: go on from where the run in that folder stopped.
        processes: processes or GPUs on each machine.
        nodes: machines.
        precision: fp32, or bf16 for mixed precision.
        license: what the model may be used for, noted in it; that of the model that it is made from, or unknown by default.
    """

    resume: bool = False
    processes: int = 1
    nodes: int = 1
    precision: str = "fp32"
    license: str | None = None

    def run(self, out: Path, common: Common, base: str | None = None) -> Run:
        """The run in a folder; ``base`` is the model that this one is made from, whose license it inherits."""
        hardware = Hardware(str(common.torch_device()), self.processes, self.nodes, self.precision)
        return Run(out, license_from(self.license, base), hardware, self.resume)


def license_from(asked: str | None, base: str | None) -> str:
    """License to store: the requested one, else the base model's, else "unknown"."""
    return asked or (license_of(base) if base else "unknown")


def johnson(
    content: list[str],
    *,
    style: str,
    out: Path,
    recipe: str | None = None,
    base: str | None = None,
    settings: Annotated[dict[str, Any], papers.johnson.JohnsonRecipe],
    launch: Launch,
    common: Common,
) -> None:
    """Train a network for one style (Johnson 2016).

    Args:
        content: folders or zips of photographs.
        style: the style image, or the name of a bundled one.
        out: folder of the run.
        recipe: default, paper, pytorch-examples or predicted: where the settings below start from; predicted where the base is of
            any style, else default.
        base: a trained network to start from, of whatever style; or one of any style, anystyle: it predicts this one, and the
            training goes on from there by its own loss.
    """
    image = open_image(style)
    run = launch.run(out, common, base)
    if base and read_config(base)[0] == papers.ghiasi.KIND:
        chosen = configured(papers.johnson.RECIPES, recipe or "predicted", settings, "recipe")
        loop = papers.ghiasi.train_for_style(content, image, papers.ghiasi.load(base), chosen, run=run)
    else:
        chosen = configured(papers.johnson.RECIPES, recipe or "default", settings, "recipe")
        loop = papers.johnson.train(content, image, chosen, run=run, base=papers.johnson.load(base) if base else None)
    follow(loop, out, common, "johnson")


def dumoulin(
    content: list[str],
    *,
    style: list[str],
    out: Path,
    recipe: str = "default",
    base: str | None = None,
    settings: Annotated[dict[str, Any], papers.dumoulin.DumoulinRecipe],
    launch: Launch,
    common: Common,
) -> None:
    """Train a network for several styles, or add styles to one (Dumoulin 2017).

    Args:
        content: folders or zips of photographs.
        style: a style image, the name of a bundled one, or a folder of them. Repeat the option.
        out: folder of the run.
        recipe: default or paper: where the settings below start from.
        base: a trained network to add the styles to, fitting only their own numbers; or to train further, with the very
            styles that it has.
    """
    chosen = configured(papers.dumoulin.RECIPES, recipe, settings, "recipe")
    images = {Path(path).stem: open_image(path) for item in style for path in find(item)}
    network = papers.dumoulin.load(base) if base else None
    loop = papers.dumoulin.train(content, images, chosen, run=launch.run(out, common, base), base=network)
    follow(loop, out, common, "dumoulin")


def ghiasi(
    content: list[str],
    *,
    style: list[str],
    out: Path,
    recipe: str = "default",
    base: str | None = None,
    settings: Annotated[dict[str, Any], papers.ghiasi.GhiasiRecipe],
    launch: Launch,
    common: Common,
) -> None:
    """Train networks for any style (Ghiasi 2017).

    Args:
        content: folders or zips of photographs.
        style: a folder or zip of style images; its sub-folders are as likely as one another. Repeat the option.
        out: folder of the run.
        recipe: default: where the settings below start from.
        base: a trained model to start from.
    """
    chosen = configured(papers.ghiasi.RECIPES, recipe, settings, "recipe")
    model = papers.ghiasi.load(base) if base else None
    loop = papers.ghiasi.train(content, style, chosen, run=launch.run(out, common, base), base=model)
    follow(loop, out, common, "ghiasi")


def adain(
    content: list[str],
    *,
    style: list[str],
    out: Path,
    recipe: str = "default",
    base: str | None = None,
    settings: Annotated[dict[str, Any], papers.adain.AdaINRecipe],
    launch: Launch,
    common: Common,
) -> None:
    """Train a decoder for any style (AdaIN, Huang and Belongie 2017).

    Args:
        content: folders or zips of photographs.
        style: a folder or zip of style images; each is as likely as another. Repeat the option.
        out: folder of the run.
        recipe: default or paper: where the settings below start from.
        base: a trained network to start from.
    """
    chosen = configured(papers.adain.RECIPES, recipe, settings, "recipe")
    network = papers.adain.load(base) if base else None
    loop = papers.adain.train(content, style, chosen, run=launch.run(out, common, base), base=network)
    follow(loop, out, common, "adain")


def upscaler(
    content: list[str],
    *,
    out: Path,
    recipe: str = "default",
    settings: Annotated[dict[str, Any], papers.super_resolution.UpscalerRecipe],
    launch: Launch,
    common: Common,
) -> None:
    """Train a network that enlarges images four times (Johnson 2016).

    Args:
        content: folders or zips of photographs.
        out: folder of the run.
        recipe: default, paper or mse: where the settings below start from.
    """
    chosen = configured(papers.super_resolution.RECIPES, recipe, settings, "recipe")
    loop = papers.super_resolution.train(content, chosen, run=launch.run(out, common))
    follow(loop, out, common, "upscaler")


def pix2pix(
    data: list[str],
    *,
    out: Path,
    other: list[str] | None = None,
    layout: str = "auto",
    derive: str = "",
    labels: Path | None = None,
    instances: Path | None = None,
    recipe: str = "paper",
    base: str | None = None,
    settings: Annotated[dict[str, Any], papers.pix2pix.RECIPES["paper"]],
    launch: Launch,
    common: Common,
) -> None:
    """Train a network that translates images, on pairs (pix2pix, Isola 2017).

    Args:
        data: folders or zips of pairs side by side, A left and B right; with --other the images of A; with --derive
            photographs; toonfaces:smile=-0.8:0.8 draws cartoon faces with another value of an attribute.
        out: folder of the run.
        other: folder or zip of the images of B, with the names of A.
        layout: aligned, folders, photos or auto.
        derive: make A of photographs: edges, xdog, gray, low or hole.
        labels: table of colors, lines of name,r,g,b: the label maps' side of the pairs.
        instances: folder of maps of instances, with the names of A.
        recipe: paper, 128-small, authors-resnet: where the settings below start from.
        base: a trained model to start from.
    """
    chosen = configured(papers.pix2pix.RECIPES, recipe, settings, "recipe")
    domains = open_domains(
        list(data), other or None, aligned=True, layout=layout, derive=derive, labels=labels, instances=instances
    )
    _translation(papers.pix2pix, domains, chosen, out, base, launch, common)


def pix2pixhd(
    data: list[str],
    *,
    out: Path,
    other: list[str] | None = None,
    layout: str = "auto",
    derive: str = "",
    labels: Path | None = None,
    instances: Path | None = None,
    recipe: str = "paper",
    base: str | None = None,
    settings: Annotated[dict[str, Any], papers.pix2pixhd.RECIPES["paper"]],
    launch: Launch,
    common: Common,
) -> None:
    """Train a network that translates images, on pairs (pix2pixHD, Wang 2018).

    Args:
        data: folders or zips of pairs side by side, A left and B right; with --other the images of A; with --derive
            photographs; toonfaces:smile=-0.8:0.8 draws cartoon faces with another value of an attribute.
        out: folder of the run.
        other: folder or zip of the images of B, with the names of A.
        layout: aligned, folders, photos or auto.
        derive: make A of photographs: edges, xdog, gray, low or hole.
        labels: table of colors, lines of name,r,g,b: the label maps' side of the pairs.
        instances: folder of maps of instances, with the names of A.
        recipe: paper, paper-enhancer, 128-small: where the settings below start from.
        base: a trained model to start from.
    """
    chosen = configured(papers.pix2pixhd.RECIPES, recipe, settings, "recipe")
    domains = open_domains(
        list(data), other or None, aligned=True, layout=layout, derive=derive, labels=labels, instances=instances
    )
    _translation(papers.pix2pixhd, domains, chosen, out, base, launch, common)


def cyclegan(
    data: list[str],
    *,
    out: Path,
    other: list[str] | None = None,
    recipe: str = "paper",
    base: str | None = None,
    settings: Annotated[dict[str, Any], papers.cyclegan.RECIPES["paper"]],
    launch: Launch,
    common: Common,
) -> None:
    """Train networks that translate images between two sets, there and back (CycleGAN, Zhu 2017).

    Args:
        data: folders or zips of images of A; or a folder that holds trainA and trainB, or A and B; or
            toonfaces:smile=-0.8:0.8, cartoon faces that differ in an attribute.
        out: folder of the run.
        other: folders or zips of images of B.
        recipe: paper or 128-small: where the settings below start from.
        base: a trained model to start from.
    """
    chosen = configured(papers.cyclegan.RECIPES, recipe, settings, "recipe")
    domains = open_domains(list(data), other or None, aligned=False)
    _translation(papers.cyclegan, domains, chosen, out, base, launch, common)


def _translation(
    module: ModuleType,
    domains: Domains,
    recipe: Any,
    out: Path,
    base: str | None,
    launch: Launch,
    common: Common,
) -> None:
    loop = module.train(domains, recipe, run=launch.run(out, common, base), base=module.load(base) if base else None)
    follow(loop, out, common, module.KIND)


def follow(loop: Iterator[TrainingStep], out: Path, common: Common, title: str) -> None:
    """Watch a run to its end, and say how it went; of several processes on a machine the first speaks for all."""
    report = Report(common if first_process() else replace(common, quiet=True, json=False))
    tick, named = None, 0
    for count, tick in enumerate(report.watch(loop, title=title)):
        if not count and first_process():
            note_command(out)
        for name in tick.damaged[named:]:
            report.say(f"passed over {name}: it cannot be read")
        named = len(tick.damaged)
    if tick is None:
        report.say(f"{out} is finished already")
        return
    if tick.skipped:
        report.say(f"{tick.skipped} updates were passed over: their loss or gradient was not finite")
    if tick.stopped:
        report.say(f"stopped at step {tick.index} of {tick.total}; --resume goes on")
    else:
        report.say(f"{tick.total} steps done, {tick.seconds:.0f} s in all ({tick.rate:.1f} images/s); wrote {out / MODEL}")
    report.outcome(
        out=str(out),
        steps=tick.index,
        seconds=round(tick.seconds, 1),
        rate=round(tick.rate, 2),
        losses=tick.losses,
        images=tick.images,
        skipped=tick.skipped,
        damaged=list(tick.damaged),
        stopped=tick.stopped,
    )
