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
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core.checkpoint import fingerprint, read_run, save_state
from styleloom.core.errors import StyleLoomError
from styleloom.core.precision import precision_on
from styleloom.core.progress import Losses, Progress
from styleloom.loops.descend import descend
from styleloom.loops.eigenbasis import Eigenbasis
from styleloom.nn.generators import Generator, check_classless, generator_id, latents
from styleloom.nn.layers import placed
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import EMBEDDED, load_features

from .config import INITS as INITS
from .config import PRESETS as PRESETS
from .config import SPACES as SPACES
from .config import InversionConfig as InversionConfig
from .config import configure as configure
from .descent import NOISE_REGULARIZER, Descent
from .objective import LAYERS as LAYERS
from .objective import Encoder as Encoder
from .objective import Objective as Objective
from .objective import Term as Term
from .objective import noise_regularizer, render
from .optimizers import OPTIMIZERS as OPTIMIZERS
from .optimizers import Factory as Factory
from .optimizers import Optimizer as Optimizer
from .optimizers import optimizer_named as optimizer_named


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
        generator: a generator of any paper, without classes.
        targets: [N, 3, R, R] in [0, 1], R being the generator's side.
        config: see :class:`InversionConfig` and ``PRESETS``.
        features: perceptual network, instead of the bundled one.
        optimizer: instead of ``config.optimizer``.
        basis: eigenbasis of the generator, for the optimizer "adam-eigenbasis".
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
    # The course so far.
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
        options: dict[str, Any] = dict(masks=masks, encoder=encoder, extra_terms=extra_terms(), side=config.compared_side)
        return Objective(generator, targets, network, config, **options)

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
        # Evaluate what the last step found.
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

    # Latents first, then noise maps.
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
