"""``styleloom train``: train networks on images of your own.

It is long because each method has its own arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import torch

from styleloom import models
from styleloom.core.checkpoint import check_model_path, license_of, read_config
from styleloom.core.errors import check_seeds
from styleloom.core.settings import Range, configured
from styleloom.data.pairs import Domains, open_domains
from styleloom.jobs.engine import check_apart
from styleloom.jobs.inputs import find, open_image
from styleloom.loops import eigenbasis as eigenbasis_
from styleloom.loops.fit import MODEL, Hardware, TrainingStep
from styleloom.models import load_generator
from styleloom.nn.vgg_files import load_features
from styleloom.papers import adain as adain_
from styleloom.papers import cyclegan as cyclegan_
from styleloom.papers import dumoulin as dumoulin_
from styleloom.papers import ghiasi as ghiasi_
from styleloom.papers import indomain as indomain_
from styleloom.papers import johnson as johnson_
from styleloom.papers import learned_optimizer as learned_optimizer_
from styleloom.papers import pix2pix as pix2pix_
from styleloom.papers import pix2pixhd as pix2pixhd_
from styleloom.papers import progan as progan_
from styleloom.papers import stylegan as stylegan_
from styleloom.papers import stylegan2 as stylegan2_
from styleloom.papers import super_resolution
from styleloom.papers.image2stylegan.objective import LAYERS, Weights
from styleloom.tasks.inversion import tools_of

from .options import Common
from .report import Report
from .status import first_process, note_command


@dataclass(frozen=True)
class Launch:
    """How a run is started.

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

    def options(self, common: Common, base: str | None = None) -> dict[str, Any]:
        """What the loop is told of it; ``base``: a name or file of the model that this one is made from."""
        hardware = Hardware(str(common.torch_device()), self.processes, self.nodes, self.precision)
        return dict(license=license_from(self.license, base), hardware=hardware, resume=self.resume)


def license_from(asked: str | None, base: str | None) -> str:
    """What is noted in a model: what was asked for, else what is noted in the one that it is made from, else "unknown"."""
    return asked or (license_of(base) if base else "unknown")


def johnson(
    content: list[str],
    *,
    style: str,
    out: Path,
    recipe: str | None = None,
    base: str | None = None,
    settings: Annotated[dict[str, Any], johnson_.JohnsonRecipe],
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
    options = launch.options(common, base)
    if base and read_config(base)[0] == ghiasi_.KIND:
        chosen = configured(johnson_.RECIPES, recipe or "predicted", settings)
        loop = ghiasi_.train_for_style(content, image, ghiasi_.load(base), chosen, out=out, **options)
    else:
        chosen = configured(johnson_.RECIPES, recipe or "default", settings)
        loop = johnson_.train(content, image, chosen, out=out, base=johnson_.load(base) if base else None, **options)
    _follow(loop, out, common, "johnson")


def dumoulin(
    content: list[str],
    *,
    style: list[str],
    out: Path,
    recipe: str = "default",
    base: str | None = None,
    settings: Annotated[dict[str, Any], dumoulin_.DumoulinRecipe],
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
    chosen = configured(dumoulin_.RECIPES, recipe, settings)
    images = {Path(path).stem: open_image(path) for item in style for path in find(item)}
    network = dumoulin_.load(base) if base else None
    loop = dumoulin_.train(content, images, chosen, out=out, base=network, **launch.options(common, base))
    _follow(loop, out, common, "dumoulin")
    if network is not None and (out / MODEL).exists() and network.styles != tuple(images):
        joined = dumoulin_.join(network, dumoulin_.load(out / MODEL))
        dumoulin_.save(joined, out / "joined.safetensors", license_from(launch.license, base))


def ghiasi(
    content: list[str],
    *,
    style: list[str],
    out: Path,
    recipe: str = "default",
    base: str | None = None,
    settings: Annotated[dict[str, Any], ghiasi_.GhiasiRecipe],
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
    chosen = configured(ghiasi_.RECIPES, recipe, settings)
    model = ghiasi_.load(base) if base else None
    loop = ghiasi_.train(content, style, chosen, out=out, base=model, **launch.options(common, base))
    _follow(loop, out, common, "ghiasi")


def adain(
    content: list[str],
    *,
    style: list[str],
    out: Path,
    recipe: str = "default",
    base: str | None = None,
    settings: Annotated[dict[str, Any], adain_.AdaINRecipe],
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
    chosen = configured(adain_.RECIPES, recipe, settings)
    network = adain_.load(base) if base else None
    loop = adain_.train(content, style, chosen, out=out, base=network, **launch.options(common, base))
    _follow(loop, out, common, "adain")


def upscaler(
    content: list[str],
    *,
    out: Path,
    recipe: str = "default",
    settings: Annotated[dict[str, Any], super_resolution.UpscalerRecipe],
    launch: Launch,
    common: Common,
) -> None:
    """Train a network that enlarges images four times (Johnson 2016).

    Args:
        content: folders or zips of photographs.
        out: folder of the run.
        recipe: default, paper or mse: where the settings below start from.
    """
    chosen = configured(super_resolution.RECIPES, recipe, settings)
    loop = super_resolution.train(content, chosen, out=out, **launch.options(common))
    _follow(loop, out, common, "upscaler")


def _of_generators(module: ModuleType, title: str) -> Callable[..., None]:
    """The verb of a paper's generators; they differ in their recipes only."""

    def train(
        data: list[str],
        *,
        out: Path,
        recipe: str = "64-small",
        base: str | None = None,
        settings: dict[str, Any],
        launch: Launch,
        common: Common,
    ) -> None:
        chosen = configured(module.PRESETS, recipe, settings)
        loop = module.train(data, chosen, out=out, base=base, **launch.options(common, base))
        _follow(loop, out, common, module.KIND)

    train.__name__ = module.KIND
    train.__annotations__["settings"] = Annotated[dict[str, Any], module.PRESETS["64-small"]]
    train.__doc__ = f"""Train a generator of images and its discriminator ({title}).

    Args:
        data: folders or zips of images, best prepared by "styleloom data prepare".
        out: folder of the run.
        recipe: {", ".join(module.PRESETS)}: where the settings below start from.
        base: a trained model to start from: what fits of its weights is taken over.
    """
    return train


def _of_pairs(module: ModuleType, title: str) -> Callable[..., None]:
    """The verb of a paper that learns from aligned pairs; they differ in their recipes only."""

    def train(
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
        settings: dict[str, Any],
        launch: Launch,
        common: Common,
    ) -> None:
        chosen = configured(module.RECIPES, recipe, settings)
        domains = open_domains(
            list(data), other or None, aligned=True, layout=layout, derive=derive, labels=labels, instances=instances
        )
        _translation(module, domains, chosen, out, base, launch, common)

    train.__name__ = module.KIND
    train.__annotations__["settings"] = Annotated[dict[str, Any], module.RECIPES["paper"]]
    train.__doc__ = f"""Train a network that translates images, on pairs ({title}).

    Args:
        data: folders or zips of pairs side by side, A left and B right; with --other the images of A; with --derive photographs;
            toonfaces:smile=-0.8:0.8 draws cartoon faces with another value of an attribute.
        out: folder of the run.
        other: folder or zip of the images of B, with the names of A.
        layout: aligned, folders, photos or auto.
        derive: make A of photographs: edges, xdog, gray, low or hole.
        labels: table of colors, lines of name,r,g,b: A is a label map.
        instances: folder of maps of instances, with the names of A.
        recipe: {", ".join(module.RECIPES)}: where the settings below start from.
        base: a trained model to start from.
    """
    return train


pix2pix = _of_pairs(pix2pix_, "pix2pix, Isola 2017")
pix2pixhd = _of_pairs(pix2pixhd_, "pix2pixHD, Wang 2018")


def cyclegan(
    data: list[str],
    *,
    out: Path,
    other: list[str] | None = None,
    recipe: str = "paper",
    base: str | None = None,
    settings: Annotated[dict[str, Any], cyclegan_.RECIPES["paper"]],
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
    chosen = configured(cyclegan_.RECIPES, recipe, settings)
    domains = open_domains(list(data), other or None, aligned=False)
    _translation(cyclegan_, domains, chosen, out, base, launch, common)


def _translation(
    module: ModuleType,
    domains: Domains,
    recipe: Any,
    out: Path,
    base: str | None,
    launch: Launch,
    common: Common,
) -> None:
    loop = module.train(domains, recipe, out=out, base=module.load(base) if base else None, **launch.options(common, base))
    _follow(loop, out, common, module.KIND)


progan = _of_generators(progan_, "ProGAN, Karras 2018")
stylegan = _of_generators(stylegan_, "StyleGAN, Karras 2019")
stylegan2 = _of_generators(stylegan2_, "StyleGAN2, Karras 2020")


def encoder(
    data: list[str],
    *,
    generator: str,
    out: Path,
    recipe: str = "default",
    settings: Annotated[dict[str, Any], indomain_.EncoderRecipe],
    launch: Launch,
    common: Common,
) -> None:
    """Train a network that reads a generator's latents off images (In-domain inversion, Zhu 2020).

    Args:
        data: folders or zips of images of the generator's kind, best prepared by "styleloom data prepare".
        generator: a name from "styleloom zoo", or a model file.
        out: folder of the run.
        recipe: default, paper or restyle: where the settings below start from.
    """
    chosen = configured(indomain_.RECIPES, recipe, settings)
    network = load_generator(generator, common.torch_device())
    discriminator = (
        models.GENERATORS[read_config(generator)[0]].load_discriminator(generator) if chosen.adversarial_weight else None
    )
    loop = indomain_.train(data, network, chosen, out=out, discriminator=discriminator, **launch.options(common, generator))
    _follow(loop, out, common, indomain_.KIND)


def eigenbasis(
    generator: str,
    *,
    out: Path,
    samples: int = 2_000,
    keep: int = 0,
    pixel_weight: float = 1.0,
    perceptual_weight: float = 0.07,
    seed: int = 0,
    license: str | None = None,
    common: Common,
) -> None:
    """Compute the directions of a generator's latent space that its images depend on most.

    Args:
        generator: a name from "styleloom zoo", or a model file.
        out: model file to write.
        samples: backward passes; about as many as w has numbers, or more.
        keep: how many of the leading directions; 0: all.
        pixel_weight: of the mean squared difference of pixels.
        perceptual_weight: of that of features.
        seed: of residuals.
        license: what the model may be used for, noted in it; that of the generator by default.
    """
    report = Report(common)
    weights = Weights(pixel_weight=pixel_weight, perceptual_weight=perceptual_weight)
    check_seeds([seed])
    Range(2, 10**7).check("--samples", samples)
    Range(0, 10**6).check("--keep", keep)
    check_apart([out], [generator])
    check_model_path(out)
    network = load_generator(generator, common.torch_device()).requires_grad_(False)
    features = load_features().prepare(network.device, torch.float32)
    outputs = eigenbasis_.residuals(features, list(LAYERS), weights.pixel_weight, weights.perceptual_weight / len(LAYERS))
    loop = eigenbasis_.eigenbasis(network, outputs, samples=samples, keep=keep or None, seed=seed)
    *_, last = report.watch(loop, title="eigenbasis")
    assert last.basis is not None
    last.basis.save(out, license_from(license, generator))
    shares = (last.basis.values / last.trace).cumsum(0)
    half = int((shares < 0.5).sum()) + 1  # more than there are, where all do not carry as much
    few = f", the first {half} half of it" if half <= len(shares) else ""
    report.say(f"wrote {out}: {len(shares)} directions that carry {shares[-1]:.1%} of all change{few}")
    if samples < (size := network.num_ws * network.w_dim):
        report.say(f"fewer samples than w has numbers, {size}: the last of the directions are chance")
    report.outcome(out=str(out), directions=len(shares), half=half, share=float(shares[-1]), seconds=round(last.seconds, 1))


def learned_optimizer(
    data: list[str] | None = None,
    *,
    generator: str,
    out: Path,
    recipe: str = "default",
    basis: str | None = None,
    encoder: str | None = None,
    base: str | None = None,
    settings: Annotated[dict[str, Any], learned_optimizer_.OptimizerRecipe],
    launch: Launch,
    common: Common,
) -> None:
    """Train an optimizer that inverts images in few steps.

    Args:
        data: folders or zips of images of the generator's kind, unless --synthetic is 1.
        generator: a name from "styleloom zoo", or a model file.
        out: folder of the run.
        recipe: default or lstm (through whole descents) or seed (one step at a time): where the settings below start from.
        basis: an eigenbasis of the generator, from "styleloom train eigenbasis", instead of the bundled one.
        encoder: an encoder of the generator, from "styleloom train encoder", instead of the bundled one.
        base: a trained optimizer to start from, of the sizes and with the basis that it has.
    """
    chosen = configured(learned_optimizer_.RECIPES, recipe, settings)
    network = load_generator(generator, common.torch_device())
    tools = tools_of(network, basis=basis, encoder=encoder)
    own_basis = base is not None and basis is None  # the one that it was trained in
    loop = learned_optimizer_.train(
        network,
        chosen,
        out=out,
        data=data or None,
        basis=None if own_basis else tools.basis,
        encoder=tools.encoder.of(network) if tools.encoder is not None else None,
        base=learned_optimizer_.load(base) if base else None,
        **launch.options(common, base or generator),
    )
    _follow(loop, out, common, learned_optimizer_.KIND)


def _follow(loop: Iterator[TrainingStep], out: Path, common: Common, title: str) -> None:
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
        report.say(f"{tick.total} steps done, the last in {tick.seconds:.0f} s ({tick.rate:.1f} images/s); wrote {out / MODEL}")
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
