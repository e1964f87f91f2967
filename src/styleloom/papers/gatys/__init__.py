"""Gatys, Ecker and Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016.

A network trained to recognize objects separates what is in an image from how it is painted: feature maps deep in it
hold the content, correlations between feature channels at all depths hold the style. So take an image, and descend
on its *pixels* until it has the content of one image and the style of another.

Differs from the paper (the preset ``"paper"`` undoes all but the first two):
    - images stay in [0, 1] by clipping after each step;
    - content and style images are brought to the same longer side;
    - ``normalize``: each layer's term is a share of its target, so that one set of weights serves every network;
    - the style distance is that between Gaussians, mean and covariance, instead of between Gram matrices;
    - the image is painted coarse to fine, carrying Adam's state from scale to scale (the pyramid is that of
      Gatys et al. 2017, arXiv:1611.07865; the settings are in the spirit of Crowson's style-transfer-pytorch, 2021);
    - masks, several styles and color preservation follow Gatys et al. 2017 and arXiv:1606.05897.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styleloom.core.checkpoint import fingerprint, read_run, save_state
from styleloom.core.errors import StyleLoomError
from styleloom.core.precision import precision_on
from styleloom.core.progress import Progress
from styleloom.data.checks import check_images, check_masks, shares_of
from styleloom.data.color import keep_light, keep_luminance, prepare_colors
from styleloom.data.images import fitted_size, resize
from styleloom.loops.descend import carry_over, descend
from styleloom.loops.one_pass import Painter
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import load_features

from .config import INITS as INITS
from .config import LARGEST as LARGEST
from .config import ONE_PASS as ONE_PASS
from .config import OPTIMIZERS as OPTIMIZERS
from .config import PRESETS as PRESETS
from .config import STYLE_LOSSES as STYLE_LOSSES
from .config import GatysConfig as GatysConfig
from .config import configure as configure
from .objective import KEPT as KEPT
from .objective import objective_of as objective_of
from .objective import with_margin as with_margin

Init = Tensor | Callable[[Tensor, tuple[int, int]], Tensor]
"""Image [1, 3, H, W] in [0, 1] to start from, or what makes it of the content and the size (H, W) of the coarsest scale."""
ContentMask = Tensor | Callable[[Tensor], Tensor | None]
"""Mask [1, 1, H, W] in [0, 1] of what stays recognizable, or what makes it of the content; None: nothing."""


@dataclass(frozen=True)
class GatysStep(Progress):
    """Progress of a painting.

    Attributes:
        size: (H, W) of the present scale.
        render: makes :attr:`image`.
    """

    size: tuple[int, int] = (0, 0)
    render: Callable[[], Tensor] = lambda: torch.zeros(1, 3, 0, 0)

    @property
    def image(self) -> Tensor:
        """The image so far, [1, 3, H, W] in [0, 1]: the running mean, or the one of lowest loss where there is none.

        Ask for it inside the loop; the next step paints over it.
        """
        return self.render()


class GatysPainter(Painter):
    """Gatys's method with the face of a one-pass method; see :func:`painter`."""

    def __init__(self, config: GatysConfig, styles: Sequence[Tensor], options: dict[str, Any]) -> None:
        self.styles, self.options = styles, options
        self.config: GatysConfig = config

    def __call__(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] -> [N, 3, H', W'], each image by a descent of its own."""
        painted = []
        for image in images.split(1):
            *_, last = self.steps(image)
            painted.append(last.image)
        return torch.cat(painted)

    def steps(self, image: Tensor, **options: Any) -> Iterator[GatysStep]:
        """Repaint one image [1, 3, H, W], a step at a time; ``options`` are those of :func:`steps` for a single image."""
        yield from steps(image, self.styles, self.config, **self.options | options)


def painter(
    config: GatysConfig,
    styles: Sequence[Tensor],
    weights: Sequence[float] | None = None,
    masks: Sequence[Tensor] | None = None,
    *,
    content_mask: ContentMask | None = None,
    init: Init | None = None,
    features: Features | None = None,
    device: str | torch.device = "cpu",
) -> GatysPainter:
    """Load the perceptual network once, for any number of images.

    Args:
        config: see :class:`GatysConfig`.
        styles: images [1, 3, h, w] in [0, 1], of any sizes.
        weights, masks, content_mask, init, features: see :func:`steps`.
        device: device of the images.

    Returns:
        What repaints images [N, 3, H, W] in [0, 1].

    Raises:
        StyleLoomError: no such network.
    """
    network = _network(features, config)
    options: dict[str, Any] = dict(weights=weights, masks=masks, content_mask=content_mask, init=init, features=network)
    return GatysPainter(config, [style.to(device) for style in styles], options)


def stylize(content: Tensor, style: Tensor | Sequence[Tensor], config: GatysConfig = PRESETS["best"], **options: Any) -> Tensor:
    """Repaint images in a style: the plain form of :func:`steps`.

    Args:
        content: [N, 3, H, W] in [0, 1]; each image is painted by itself, so a batch changes nothing.
        style: [1, 3, h, w] in [0, 1], or several of them of any sizes.
        config: see :class:`GatysConfig`.
        **options: ``weights``, ``masks``, ``content_mask``, ``init`` and ``features`` of :func:`steps`.

    Returns:
        [N, 3, H', W'] in [0, 1], longer side ``config.size``, or that of the content.

    Raises:
        StyleLoomError: as :func:`steps`.
    """
    painted = []
    for image in content.split(1):
        *_, last = steps(image, style, config, **options)
        painted.append(last.image)
    return torch.cat(painted)


def steps(
    content: Tensor,
    style: Tensor | Sequence[Tensor],
    config: GatysConfig = PRESETS["best"],
    *,
    weights: Sequence[float] | None = None,
    masks: Sequence[Tensor] | None = None,
    content_mask: ContentMask | None = None,
    init: Init | None = None,
    features: Features | None = None,
    state: Path | None = None,
    state_every: int = 25,
) -> Iterator[GatysStep]:
    """Repaint one image, a step at a time; break out of the loop to stop, ``step.image`` is the result so far.

    Args:
        content: [1, 3, H, W] in [0, 1]; its device is where everything is computed.
        style: [1, 3, h, w] in [0, 1], or several of them of any sizes.
        config: see :class:`GatysConfig` and ``PRESETS``.
        weights: share of each style, scaled to sum to 1; equal when not given.
        masks: one [1, 1, H, W] in [0, 1] a style, of the content's size: where that style is painted. One mask serves
            two styles: the second is painted where the first is not.
        content_mask: [1, 1, H, W] in [0, 1], of the content's size: where it is 1, as on faces, the content weighs nine times as
            much, and for the style it counts a tenth of other places, so that it stays recognizable. Or what makes such a mask of
            the content.
        init: [1, 3, H, W]: start from this image instead of ``config.init``, or from what this makes of the content and the
            coarsest scale's (H, W). A saved state does not know such a function.
        features: the perceptual network, instead of loading ``config.features``.
        state: a file to keep the state of the run in; when it is there, the run goes on from it exactly.
        state_every: steps between two savings of the state.

    Yields:
        :class:`GatysStep` after each step.

    Raises:
        StyleLoomError: tensors that are no images, images too small for the layers, layers that the network lacks,
            masks that do not fit, weights that are all zero, or a state of another run.
    """
    # Check the images, masks and weights.
    styles = [style] if isinstance(style, Tensor) else list(style)
    check_images(content, styles, init if isinstance(init, Tensor) else None)
    if init is None and config.init == ONE_PASS:
        raise StyleLoomError(
            'init "one-pass" and no network to paint it; use sl.stylize, or give init, as in: '
            "gatys.steps(content, style, config, init=ghiasi.stylize(content, style))"
        )
    regions = check_masks(masks, len(styles), content)
    shown = content_mask(content) if callable(content_mask) else content_mask
    kept = None if shown is None else check_masks([shown.to(content)], 1, content, name="content_mask")[0]  # type: ignore[index]
    shares = shares_of(weights if weights is not None else [1.0] * len(styles), "weights", count=len(styles))
    network = _network(features, config)
    network = network.prepare(content.device, precision_on(content.device, config.precision))
    # Prepare colors and scales.
    original = content
    if not config.size:
        config = replace(config, size=min(LARGEST, max(content.shape[-2:])))
    content, styles = prepare_colors(content, styles, config.keep_color)
    sizes = _scales(content, styles, config, network)
    ends = [config.first_steps + config.steps * index for index in range(len(sizes))]

    # Go on from a saved state, where there is one of the same run.
    inputs = [content, *styles, *(regions or []), *(each for each in (init, kept) if isinstance(each, Tensor))]
    job = fingerprint([asdict(config), shares, init is not None], inputs)
    saved = read_run(state, job) if state is not None and state.exists() else None
    done = saved["done"] if saved else 0
    current = next(index for index, end in enumerate(ends) if done <= end)  # the scale that the saved run was at
    image, optimizer = None, None

    def cut(canvas: Tensor) -> Tensor:
        inner = slice(config.margin, -config.margin or None)
        return canvas[..., inner, inner]

    start = time.perf_counter() - (saved["seconds"] if saved else 0)
    for index, (size, end) in list(enumerate(zip(sizes, ends, strict=True)))[current:]:
        first = ends[index - 1] if index else 0
        resumed = saved if index == current else None
        # Begin a scale from the image of the one before, or from the saved one.
        objective = objective_of(content, styles, regions, kept, shares, config, network, size)
        previous, previous_optimizer = image, optimizer
        if resumed:
            pixels, best, lowest = (resumed[name] for name in ("pixels", "best", "lowest"))
        else:
            before = resize(cut(previous), size) if previous is not None else _first_image(content, init, config, size)
            pixels = with_margin(before, config.margin)
            best, lowest = pixels.clone(), math.inf
        canvas = pixels.clone().contiguous().requires_grad_(True)  # L-BFGS flattens it, so it keeps the plain layout
        optimizer = OPTIMIZERS[config.optimizer]([canvas], config.lr)
        if resumed:
            optimizer.load_state_dict(resumed["optimizer"])
        elif previous_optimizer is not None and previous is not None:
            carry_over(previous_optimizer, optimizer, previous.shape[-2:], tuple(canvas.shape[-2:]))

        def render(best: Tensor = best, size: tuple[int, int] = size) -> Tensor:
            painted = cut(best).clamp(0, 1)
            content = resize(original, size)
            painted = keep_luminance(painted, content) if config.keep_color == "luminance" else painted.clone()
            return keep_light(painted, content, config.keep_color)

        # Descend at this scale.
        if done == ends[-1]:  # a finished run, asked for again
            yield GatysStep(done, done, {}, time.perf_counter() - start, size, render)
        for progress in descend(lambda canvas=canvas, objective=objective: objective(canvas), optimizer, end, first=done):  # type: ignore[misc]
            with torch.no_grad():
                if config.ema_decay:
                    canvas.clamp_(0, 1)
                    # A running mean without bias: the first image of a scale does not linger.
                    age = progress.index - first
                    best.lerp_(canvas, (1 - config.ema_decay) / (1 - config.ema_decay**age))
                elif progress.losses["total"] < lowest:
                    lowest = progress.losses["total"]
                    best.copy_(pixels)
                canvas.clamp_(0, 1)
                pixels.copy_(canvas)
            done = progress.index
            seconds = time.perf_counter() - start
            if state is not None and (done % state_every == 0 or done in (1, ends[-1])):
                run = dict(job=job, done=done, seconds=seconds, pixels=pixels, best=best, lowest=lowest)
                save_state(state, run | {"optimizer": optimizer.state_dict()})
            yield GatysStep(done, ends[-1], progress.losses, seconds, size, render)
        optimizer = optimizer if done == end else None  # a scale that diverged ends early, and its moments are not finite
        image, done = best, end


def _scales(content: Tensor, styles: list[Tensor], config: GatysConfig, network: Features) -> list[tuple[int, int]]:
    """(H, W) of each scale, coarse to fine; scales too small for the network are left out."""
    minimum = network.minimum_size([*config.content_layers, *config.style_layers])
    halvings = max(0, math.floor(2 * math.log2(config.size / config.first_size) + 1e-6))
    longest = [round(config.size / math.sqrt(2) ** index) for index in reversed(range(halvings + 1))]
    fits = [
        side
        for side in longest
        if min(fitted_size(content, side)) >= minimum
        and all(min(fitted_size(style, round(side * config.style_scale))) >= minimum for style in styles)
    ]
    if not fits:
        sides = {"the content": (content, 1.0)} | {
            f"style {index}": (each, config.style_scale) for index, each in enumerate(styles, 1)
        }
        needed = {name: _smallest(image, minimum, scale) for name, (image, scale) in sides.items()}
        worst = max(needed, key=lambda name: needed[name])
        raise StyleLoomError(
            f"{worst} would be smaller than {minimum} pixels, which the layers need, at size {config.size}; "
            f"give a size of {needed[worst]} or more, or shallower layers"
        )
    return [fitted_size(content, side) for side in fits]


def _network(features: Features | None, config: GatysConfig) -> Features:
    """The perceptual network that is given, or that of the settings."""
    if features is None:
        return load_features(config.features, pooling=config.pooling)
    if not isinstance(features, Features):
        kind = type(features).__name__
        raise StyleLoomError(f"features is a {kind}; give the name or file of a network, or what sl.load_features reads")
    return features


def _smallest(image: Tensor, minimum: int, scale: float) -> int:
    """Size of the result at which an image's shorter side is long enough."""
    height, width = image.shape[-2:]
    return math.ceil(minimum * max(height, width) / min(height, width) / scale)


def _first_image(content: Tensor, init: Init | None, config: GatysConfig, size: tuple[int, int]) -> Tensor:
    if init is not None:
        image = init if isinstance(init, Tensor) else init(content, size)
        check_images(content, [content], image)
        return resize(image.to(content), size).clone()
    if config.init == "content":
        return resize(content, size).clone()
    generator = torch.Generator().manual_seed(config.seed)
    return torch.rand((1, 3, *size), generator=generator).to(content)
