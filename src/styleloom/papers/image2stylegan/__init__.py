"""Abdal, Qin and Wonka, "Image2StyleGAN: How to Embed Images Into the StyleGAN Latent Space?", ICCV 2019.

Gatys descends on pixels until an image has the features that are wanted. Descend on a generator's latents instead: the result
is an image of the kind that the generator makes, and its latents can be changed afterwards. With a w of its own for each layer,
"W+", almost any image can be had, and the best place to begin is the mean w.

Differs from the paper:
    - features are those of vgg19-lite, and their weight makes both terms equal at the mean w; optimizers have tuned rates
      (the preset ``"paper"`` has the paper's);
    - many images at once: each is a parameter of its own, and leaves the batch when it is done;
    - noise maps may follow, once w has settled (Abdal et al. 2020, "Image2StyleGAN++"), if wanted with the regularizer of
      Karras et al. 2020 (StyleGAN2, Appendix D), though they are not brought back to unit variance after each step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core.checkpoint import fingerprint, read_run, save_state
from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.core.precision import PRECISIONS, precision_on
from styleloom.core.progress import Losses, Progress
from styleloom.core.settings import Count, CountOrNone, OneOf, Rate, Seed, Share, Weight, configured
from styleloom.loops.descend import descend
from styleloom.loops.eigenbasis import EigenAdam, Eigenbasis
from styleloom.nn.generators import Generator, check_classless, generator_id, latents
from styleloom.nn.layers import placed
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import EMBEDDED, load_features

from .descent import NOISE_REGULARIZER, Descent
from .objective import LAYERS as LAYERS
from .objective import Encoder as Encoder
from .objective import Objective as Objective
from .objective import Term as Term
from .objective import Weights, noise_regularizer, render

SPACES = ("w_plus", "w", "z")
INITS = ("mean", "random", "encoder")


@dataclass(frozen=True)
class Optimizer:
    """An optimizer by name.

    Attributes:
        make: parameters and settings to an optimizer.
        fixed: settings of the papers that used it, or, of ``adam-eigenbasis``, those that it was first tried with.
        tuned: settings found best on validation images (``benchmarks/inversion.py``).
        alone: it mixes its parameters, so that images must not share one.
    """

    make: Callable[..., torch.optim.Optimizer]
    fixed: Mapping[str, Any]
    tuned: Mapping[str, Any]
    alone: bool = False


OPTIMIZERS = {
    "sgd": Optimizer(torch.optim.SGD, dict(lr=0.01), dict(lr=790.0)),
    "nag": Optimizer(torch.optim.SGD, dict(lr=0.01, momentum=0.9, nesterov=True), dict(lr=70.0, momentum=0.9, nesterov=True)),
    "adagrad": Optimizer(torch.optim.Adagrad, dict(lr=0.01), dict(lr=0.42)),
    "rmsprop": Optimizer(torch.optim.RMSprop, dict(lr=0.01), dict(lr=0.041)),
    "adam": Optimizer(torch.optim.Adam, dict(lr=0.01), dict(lr=0.2, betas=(0.9, 0.9))),
    "adam-eigenbasis": Optimizer(EigenAdam, dict(lr=0.3), dict(lr=0.61, betas=(0.9, 0.9))),
    "lbfgs": Optimizer(torch.optim.LBFGS, dict(lr=1.0, max_iter=1), dict(lr=1.3, max_iter=1), alone=True),
}
"""Optimizers of torch; :func:`steps` takes any other that is made of parameters."""


@dataclass(frozen=True)
class InversionConfig(Weights):
    """Settings for inverting images.

    Args:
        space: "w_plus" (a w for each layer), "w" (one for all of them) or "z".
        init: start from the "mean" w, from the w of "random" seeds, or from what an "encoder" says.
        optimizer: "sgd", "nag", "adagrad", "rmsprop", "adam", "adam-eigenbasis" or "lbfgs"; "styleloom invert" also takes
            "learned", and "auto", the best that there is for a generator, which is its default.
        lr: step size, instead of the tuned one.
        tuned: settings found best, or else those of the papers.
        num_steps: at most.
        noise_steps: steps on the noise maps, after those on w.
        noise_lr: Adam's rate for them.
        noise_weight: weight of what keeps them noise; it is no part of an image's own loss. 0: they take up what w cannot.
        patience: an image is done when its loss fell by less than ``tolerance`` of it in so many steps; 0: never.
        tolerance: that share.
        batch: images at a time.
        precision: "fp32" or "bf16" for the perceptual network; from the command line for a StyleGAN2's highest resolutions too.
        seed: of random starts.
    """

    space: Annotated[str, OneOf(SPACES)] = "w_plus"
    init: Annotated[str, OneOf(INITS)] = "mean"
    optimizer: str = "adam"
    lr: Rate | None = None
    tuned: bool = True
    num_steps: CountOrNone = 100
    noise_steps: CountOrNone = 0
    noise_lr: Rate = 0.5
    noise_weight: Weight = 0.0
    patience: CountOrNone = 0
    tolerance: Share = 0.01
    batch: Count = 16
    precision: Annotated[str, OneOf(PRECISIONS)] = "fp32"
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.space == "z" and self.init != "random":
            raise StyleLoomError(f"init is {self.init}, which the space z has none of; use init random, or space w or w_plus")


PRESETS = {
    "default": InversionConfig(),
    # Section 4: equal weights, Adam at 0.01, 5,000 steps from the mean w.
    "paper": InversionConfig(tuned=False, num_steps=5000, perceptual_weight=4.0),
    # Zhu et al. 2020, Section 3.3 and the authors' code: 100 steps from the encoder, near to what it says of the result.
    "in-domain": InversionConfig(tuned=False, init="encoder", in_domain_weight=2.0),
    # The framework of the learned optimizer's gate: the same without that term.
    "seed": InversionConfig(tuned=False, init="encoder"),
}


def configure(preset: str = "default", **settings: Any) -> InversionConfig:
    """A preset with some settings changed.

    Raises:
        StyleLoomError: an unknown preset or setting, or a value that :class:`InversionConfig` refuses.
    """
    return configured(PRESETS, preset, settings)


@dataclass(frozen=True)
class InversionStep(Progress):
    """Progress of an inversion.

    Attributes:
        each: [N] loss of each image at the start of the step; that of its best latents where it is done.
        active: indices of the images that are not done.
        ws: [N, num_ws, w_dim], the best latents so far.
        noise: the best noise maps so far, [N, 1, H, W] each, once they are descended on.
        history: [steps so far, N], ``each`` of these, also of those before a run was interrupted.
        render: makes :attr:`image`.
    """

    each: Tensor = field(default_factory=lambda: torch.empty(0))
    active: tuple[int, ...] = ()
    ws: Tensor = field(default_factory=lambda: torch.empty(0))
    noise: tuple[Tensor, ...] = ()
    history: Tensor = field(default_factory=lambda: torch.empty(0))
    render: Callable[[Tensor, Sequence[Tensor]], Tensor] = lambda ws, noise: torch.empty(0)

    @property
    def image(self) -> Tensor:
        """The images of the best latents: [N, 3, H, W] in [0, 1]."""
        return self.render(self.ws, self.noise)


Factory = Callable[[list[Tensor], Descent], torch.optim.Optimizer]
"""Latents, one an image, and the descent that they are part of, to an optimizer of them."""


def optimizer_named(config: InversionConfig, count: int = 1, basis: Eigenbasis | None = None) -> Factory:
    """The optimizer that a config asks for, for so many images.

    Raises:
        StyleLoomError: there is none of that name, it wants an eigenbasis, or fewer images.
    """
    check_choice("optimizer", config.optimizer, OPTIMIZERS)
    choice = OPTIMIZERS[config.optimizer]
    if choice.alone and count > 1:
        raise StyleLoomError(f"{config.optimizer} inverts one image at a time, and {count} were given; use batch 1")
    settings = dict(choice.tuned if config.tuned else choice.fixed) | ({"lr": config.lr} if config.lr is not None else {})
    if choice.make is EigenAdam:
        if basis is None:
            raise StyleLoomError(
                f"{config.optimizer} wants the generator's eigenbasis, and there is none; compute it with: "
                "styleloom train eigenbasis"
            )
        settings["basis"] = basis
    return lambda params, descent: choice.make(params, **settings)


def first_latents(generator: Generator, targets: Tensor, config: InversionConfig, encoder: Encoder | None = None) -> Tensor:
    """First latents of a descent: [N, num_ws, w_dim], or [N, w_dim] or [N, z_dim] in a space of one for all layers.

    Raises:
        StyleLoomError: an encoder is asked for, and there is none.
    """
    seeds = range(config.seed, config.seed + len(targets))
    if config.space == "z":
        return latents(seeds, generator.z_dim).to(generator.device)
    if config.init == "encoder":
        if encoder is None:
            raise StyleLoomError("init is encoder, but this generator has none; train one, or start from the mean")
        with torch.no_grad():
            ws = encoder(targets)
    elif config.init == "random":
        ws = generator.map(seeds)
    else:
        ws = generator.w_avg.expand(len(targets), generator.num_ws, -1)
    return ws.mean(1) if config.space == "w" else ws.clone()


def latent_shape(generator: Generator, space: str) -> tuple[int, ...]:
    """Shape of the latents of one image."""
    return {"w_plus": (generator.num_ws, generator.w_dim), "w": (generator.w_dim,), "z": (generator.z_dim,)}[space]


def steps(
    generator: Generator,
    targets: Tensor,
    config: InversionConfig = PRESETS["default"],
    *,
    features: Features | None = None,
    optimizer: Factory | None = None,
    basis: Eigenbasis | None = None,
    encoder: Encoder | None = None,
    masks: Tensor | None = None,
    init: Tensor | None = None,
    extra_terms: Callable[[], Sequence[Term]] = tuple,
    state: Path | None = None,
    state_every: int = 25,
) -> Iterator[InversionStep]:
    """Invert images, a step at a time; break out of the loop to stop, ``step.ws`` are the best latents so far.

    Args:
        generator: of any paper, without classes.
        targets: [N, 3, R, R] in [0, 1], R being the generator's side.
        config: see :class:`InversionConfig` and ``PRESETS``.
        features: perceptual network, instead of the bundled one.
        optimizer: instead of ``config.optimizer``.
        basis: of the generator, for the optimizer "adam-eigenbasis".
        encoder: images in [0, 1] to ws, for starts and the in-domain term.
        masks: [N or 1, 1, H, W] in [0, 1]: where images are compared; everywhere by default.
        init: latents to start from, instead of ``config.init``: [N, num_ws, w_dim], or [N, w_dim] or [N, z_dim] in the spaces w
            and z.
        extra_terms: makes terms of the loss beside those that ``config`` has weights for.
        state: a file to keep the state of the run in; when it is there, the run goes on from it exactly.
        state_every: steps between two savings of the state.

    Yields:
        :class:`InversionStep` after each step, and once more with the losses of the end.

    Raises:
        StyleLoomError: tensors that are no images, an empty mask, an encoder that is missing, an optimizer for one image
            at a time given several, a loss that is not finite at the start, or a state of another run.
    """
    check_images(generator, targets)
    device, side = generator.device, generator.resolution
    if tuple(targets.shape[-2:]) != (side, side):
        height, width = targets.shape[-2:]
        raise StyleLoomError(f"targets are {width} x {height} px; this generator's images are {side} x {side}: frame them first")
    # Check the targets, and prepare the networks that compare them.
    targets = targets.detach().to(device, torch.float32)
    if config.noise_steps and not generator.noise_sides:
        raise StyleLoomError("this generator has no noise maps to descend on; use noise_steps 0")
    basis = basis.to(device) if basis is not None else None
    if config.in_domain_weight and encoder is None:
        raise StyleLoomError("in_domain_weight is not 0, and this generator has no encoder; train one, or use 0")
    factory = optimizer or optimizer_named(config, len(targets), basis)
    generator = placed(generator, device, frozen=True)
    network = (features or load_features(EMBEDDED)).prepare(device, precision_on(device, config.precision))
    masks = _checked(masks, targets)
    # Choose the first latents.
    first = first_latents(generator, targets, config, encoder) if init is None else init.detach().to(device, torch.float32)
    shape = latent_shape(generator, config.space)
    if first.shape != (len(targets), *shape):
        raise StyleLoomError(f"init has shape {list(first.shape)}; wanted {[len(targets), *shape]} in the space {config.space}")
    # Go on from a saved state, where there is one of the same run.
    job = ""
    if state is not None:
        given = [each for each in (targets, first, masks, basis.values if basis is not None else None) if each is not None]
        given += [each for term in extra_terms() for each in term.tensors]
        given += [] if features is None else [value.float() for value in features.state_dict().values()]
        if config.in_domain_weight and encoder is not None:
            with torch.no_grad():
                given.append(encoder(targets))
        job = fingerprint(asdict(config) | dict(generator=generator_id(generator)), given)
    saved = read_run(state, job) if state is not None and state.exists() else None
    start = time.perf_counter() - (saved["seconds"] if saved else 0)
    total = config.num_steps + config.noise_steps
    history: list[Tensor] = list(saved["history"].to(device)) if saved else []
    stopping: dict[str, Any] = dict(patience=config.patience, tolerance=config.tolerance)

    # Maps between the optimized latents, ws and images.
    def ws_of(latent: Tensor) -> Tensor:
        if config.space == "z":
            mapped: Tensor = generator.mapping(latent)
            return mapped
        return latent[:, None].expand(-1, generator.num_ws, -1) if config.space == "w" else latent

    def objective() -> Objective:
        return Objective(generator, targets, network, config, masks=masks, encoder=encoder, extra_terms=extra_terms())

    def images_of(ws: Tensor, noise: Sequence[Tensor]) -> Tensor:
        with torch.no_grad():
            return render(generator, ws, noise or None).clamp(0, 1)

    def check_finite(descent: Descent) -> None:
        if not descent.losses.isfinite().all():
            raise StyleLoomError("the loss of an image is not finite at the first step; check the images and the weights")

    # One loop for both descents: on latents, then on noise maps.
    def run(
        descent: Descent, make: Callable[[], torch.optim.Optimizer], before: int, steps: int, ws: Tensor | None
    ) -> Iterator[InversionStep]:
        """One of the two descents, of ``steps`` after ``before``, on noise where ``ws`` is given."""

        def progress_at(index: int, losses: Mapping[str, float]) -> InversionStep:
            best = [part.clone() for part in descent.best]
            with torch.no_grad():
                best_ws, noise = (ws_of(best[0]), ()) if ws is None else (ws, tuple(best))
            seconds, active = time.perf_counter() - start, tuple(descent.active)
            past = torch.stack(history)
            return InversionStep(
                before + index, total, dict(losses), seconds, history[-1], active, best_ws, noise, past, images_of
            )

        # Restore the descent that the state was saved in.
        here = saved if saved and (saved["ws"] is not None) == (ws is not None) else None
        if here:
            descent.restore(here)
        inner = make()
        if here:
            inner.load_state_dict(here["optimizer"])
        done, losses = (here["done"] if here else 0), {}
        # Descend; images that are finished are dropped.
        for progress in descend(descent, inner, steps, first=done):
            descent.keep_best()
            done, losses = progress.index, progress.losses
            if done == 1:
                check_finite(descent)
            finished = descent.finished()
            if any(finished):
                descent.drop(finished, inner)
            history.append(descent.losses.clone())
            if state is not None and descent.active and (done % state_every == 0 or done == steps):
                kept = dict(job=job, done=done, seconds=time.perf_counter() - start, history=torch.stack(history), ws=ws)
                save_state(state, kept | dict(optimizer=inner.state_dict()) | descent.state())
            yield progress_at(done, losses)
            if not descent.active:
                break
        if descent.active:
            with torch.no_grad():
                losses = {name: float(term) for name, term in descent().items()}
            losses["total"] = sum(losses.values())
            descent.keep_best()
            if not done:
                check_finite(descent)
            descent.losses = torch.where(descent.losses.isfinite(), descent.losses, descent.lowest)
        history.append(descent.losses.clone())
        yield progress_at(done, losses)

    ws = saved["ws"] if saved else None
    if ws is not None:
        ws = ws.to(device)
    else:
        latent_objective = objective()
        descent = Descent(latent_objective, [first], lambda parts: latent_objective(ws_of(parts[0])), **stopping)
        for step in run(descent, lambda: factory(descent.params, descent), 0, config.num_steps, None):
            yield step
        ws = step.ws
    if config.noise_steps:
        history += history[-1:] * (config.num_steps + 1 - len(history))  # where all were done
        noise = _noise_descent(objective(), ws, config, stopping)
        adam = torch.optim.Adam
        yield from run(noise, lambda: adam(noise.params, config.noise_lr), config.num_steps, config.noise_steps, ws)


def _noise_descent(objective: Objective, ws: Tensor, config: InversionConfig, stopping: Mapping[str, Any]) -> Descent:
    """A descent of the noise maps, with w held fixed."""
    first = [each.expand(len(ws), 1, -1, -1) for each in objective.generator.noise_maps]

    def evaluate(parts: Sequence[Tensor]) -> tuple[Tensor, Losses]:
        image, terms = objective(ws[descent.active], list(parts))
        if config.noise_weight:
            terms[NOISE_REGULARIZER] = config.noise_weight * noise_regularizer(parts)
        return image, terms

    descent = Descent(objective, first, evaluate, **stopping)
    return descent


def check_images(generator: Generator, images: Tensor) -> None:
    """Raise StyleLoomError unless there are images, [N, 3, H, W] in [0, 1], and a generator without classes to invert them."""
    if not isinstance(generator, Generator):
        raise StyleLoomError(f"the generator is a {type(generator).__name__}; load one with styleloom.load")
    check_classless(generator)
    if not isinstance(images, Tensor):
        raise StyleLoomError(f"the images are a {type(images).__name__}; read them with styleloom.read")
    if images.ndim != 4 or images.shape[1] != 3 or not images.numel() or not images.is_floating_point():
        raise StyleLoomError(f"images are {images.dtype} of shape {list(images.shape)}; wanted floats [N, 3, H, W] in [0, 1]")
    least, most = (float(value) for value in images.detach().aminmax())
    if not (least > -0.9 and most < 4):  # a generator's own may lie somewhat outside of [0, 1]
        raise StyleLoomError(f"images have values from {least:.4g} to {most:.4g}; wanted 0 to 1")


def _checked(masks: Tensor | None, targets: Tensor) -> Tensor | None:
    if masks is None:
        return None
    if masks.ndim != 4 or masks.shape[1] != 1 or len(masks) not in (1, len(targets)):
        raise StyleLoomError(f"a mask of shape {list(masks.shape)}; wanted [1 or {len(targets)}, 1, H, W] in [0, 1]")
    sized = F.interpolate(masks.to(targets), targets.shape[-2:], mode="area").clamp(0, 1)
    if not bool(sized.isfinite().all()):
        raise StyleLoomError("the mask has values that are no numbers; wanted 0 to 1")
    if not bool((sized.mean((1, 2, 3)) > 0).all()):
        raise StyleLoomError("the mask is black everywhere, so nothing is asked for; paint what is to be kept white")
    return sized
