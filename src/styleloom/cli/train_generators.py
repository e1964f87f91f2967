"""``styleloom train``: generators, and what inverts them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from styleloom import models, papers
from styleloom.core.checkpoint import check_model_path, read_config
from styleloom.core.errors import StyleLoomError
from styleloom.core.settings import configured
from styleloom.jobs.engine import check_apart
from styleloom.models import load_generator
from styleloom.papers.image2stylegan.objective import COMPARED_SIDE, Weights
from styleloom.papers.learned_optimizer import LoomAny, Source
from styleloom.papers.learned_optimizer.basis import MEMORY, prepare
from styleloom.tasks.inversion import tools_of

from .options import Common
from .report import Report
from .train import Launch, follow, license_from


def progan(
    data: list[str],
    *,
    out: Path,
    recipe: str = "64-small",
    base: str | None = None,
    settings: Annotated[dict[str, Any], papers.progan.RECIPES["64-small"]],
    launch: Launch,
    common: Common,
) -> None:
    """Train a generator of images and its discriminator (ProGAN, Karras 2018).

    Args:
        data: folders or zips of images, best prepared by "styleloom data prepare".
        out: folder of the run.
        recipe: 32, 64, 128, 256, 512, 1024, 32-small, 64-small: where the settings below start from.
        base: a trained model to start from; weights that fit are taken over.
    """
    chosen = configured(papers.progan.RECIPES, recipe, settings, "recipe")
    loop = papers.progan.train(data, chosen, run=launch.run(out, common, base), base=base)
    follow(loop, out, common, papers.progan.KIND)


def stylegan(
    data: list[str],
    *,
    out: Path,
    recipe: str = "64-small",
    base: str | None = None,
    settings: Annotated[dict[str, Any], papers.stylegan.RECIPES["64-small"]],
    launch: Launch,
    common: Common,
) -> None:
    """Train a generator of images and its discriminator (StyleGAN, Karras 2019).

    Args:
        data: folders or zips of images, best prepared by "styleloom data prepare".
        out: folder of the run.
        recipe: 32, 64, 128, 256, 512, 1024, 32-small, 64-small: where the settings below start from.
        base: a trained model to start from; weights that fit are taken over.
    """
    chosen = configured(papers.stylegan.RECIPES, recipe, settings, "recipe")
    loop = papers.stylegan.train(data, chosen, run=launch.run(out, common, base), base=base)
    follow(loop, out, common, papers.stylegan.KIND)


def stylegan2(
    data: list[str],
    *,
    out: Path,
    recipe: str = "64-small",
    base: str | None = None,
    settings: Annotated[dict[str, Any], papers.stylegan2.RECIPES["64-small"]],
    launch: Launch,
    common: Common,
) -> None:
    """Train a generator of images and its discriminator (StyleGAN2, Karras 2020).

    Args:
        data: folders or zips of images, best prepared by "styleloom data prepare".
        out: folder of the run.
        recipe: 32, 64, 128, 256, 512, 1024, paper256, paper1024, 32-small, 64-small: where the settings below start from.
        base: a trained model to start from; weights that fit are taken over.
    """
    chosen = configured(papers.stylegan2.RECIPES, recipe, settings, "recipe")
    loop = papers.stylegan2.train(data, chosen, run=launch.run(out, common, base), base=base)
    follow(loop, out, common, papers.stylegan2.KIND)


def encoder(
    data: list[str],
    *,
    generator: str,
    out: Path,
    recipe: str = "default",
    settings: Annotated[dict[str, Any], papers.indomain.EncoderRecipe],
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
    chosen = configured(papers.indomain.RECIPES, recipe, settings, "recipe")
    network = load_generator(generator, common.torch_device())
    discriminator = (
        models.GENERATORS[read_config(generator)[0]].load_discriminator(generator) if chosen.adversarial_weight else None
    )
    loop = papers.indomain.train(data, network, chosen, run=launch.run(out, common, generator), discriminator=discriminator)
    follow(loop, out, common, papers.indomain.KIND)


def eigenbasis(
    generator: str,
    *,
    out: Path,
    samples: int | None = None,
    keep: int = 0,
    compared_side: int = COMPARED_SIDE,
    memory: float = MEMORY,
    pixel_weight: float = 1.0,
    perceptual_weight: float = 0.07,
    seed: int = 0,
    license: str | None = None,
    common: Common,
) -> None:
    """Compute the directions of a generator's latent space that its images depend on most, and descent maps along them.

    With the file, named by "styleloom invert --basis", photographs are inverted in few steps. A command that was stopped goes on
    where it was. "styleloom invert --make-basis" does the same, and finds it again by itself.

    Args:
        generator: a name from "styleloom zoo", or a model file.
        out: model file to write.
        samples: backward passes, and directions at most; 1,000 by default, or 640 over 128 px.
        keep: how many of the leading directions; 0: all.
        compared_side: larger images are compared at this many pixels a side.
        memory: GiB to stay within, by taking fewer images at once.
        pixel_weight: weight of the mean squared difference of pixels.
        perceptual_weight: weight of the mean squared difference of features.
        seed: seed of the random images and residuals.
        license: what the model may be used for, noted in it; that of the generator by default.
    """
    report = Report(common)
    weights = Weights(pixel_weight=pixel_weight, perceptual_weight=perceptual_weight)
    check_apart([out], [generator])
    check_model_path(out)
    network = load_generator(generator, common.torch_device()).requires_grad_(False)
    options: dict[str, Any] = dict(
        samples=samples, keep=keep, weights=weights, seed=seed, compared_side=compared_side, memory=memory
    )
    loop = prepare(network, out, license=license_from(license, generator), **options)
    try:
        *_, last = report.watch(loop, title="eigenbasis")
    except KeyboardInterrupt:
        report.say("stopped; the same command goes on")
        raise
    assert last.basis is not None
    shares = (last.basis.values[: last.basis.vectors.shape[1]] / last.trace).cumsum(0)
    half = int((shares < 0.5).sum()) + 1  # more than there are, where all do not carry as much
    few = f", the first {half} half of it" if half <= len(shares) else ""
    report.say(f"wrote {out}: {len(shares)} directions that carry {shares[-1]:.1%} of all change{few}; and descent maps")
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
    settings: Annotated[dict[str, Any], papers.learned_optimizer.OptimizerRecipe],
    launch: Launch,
    common: Common,
) -> None:
    """Train an optimizer that inverts images in few steps.

    Args:
        data: folders or zips of images of the generator's kind, unless --synthetic is 1.
        generator: a name from "styleloom zoo", or a model file.
        out: folder of the run.
        recipe: default, any, lstm or landscape (through whole descents) or gate (one step at a time): where the settings below
            start from.
        basis: an eigenbasis of the generator, from "styleloom train eigenbasis", instead of the bundled one.
        encoder: an encoder of the generator, from "styleloom train encoder", instead of the bundled one.
        base: a trained optimizer to go on from, which keeps its sizes and its eigenbasis; or loom-any, which becomes one for
            this generator (recipe any).
    """
    trained = papers.learned_optimizer.load(base) if base else None
    if isinstance(trained, LoomAny) and recipe == "default":
        recipe = "any"
    chosen = configured(papers.learned_optimizer.RECIPES, recipe, settings, "recipe")
    network = load_generator(generator, common.torch_device())
    run = launch.run(out, common, base or generator)
    tools = tools_of(network, basis=basis, encoder=encoder)
    if chosen.network == "loom-any":
        if tools.basis is None:
            raise StyleLoomError(
                "there is no eigenbasis of this generator; make one by styleloom invert --make-basis, or name one by --basis"
            )
        loop = papers.learned_optimizer.train_any(
            [Source(network, tools.basis, tools.maps, data or None)], chosen, run=run, base=trained
        )
    else:
        own_basis = base is not None and basis is None  # the one that it was trained in
        loop = papers.learned_optimizer.train(
            network,
            chosen,
            run=run,
            data=data or None,
            basis=None if own_basis else tools.basis,
            encoder=tools.encoder.of(network) if tools.encoder is not None else None,
            base=trained,
        )
    follow(loop, out, common, papers.learned_optimizer.KIND)
