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
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core.checkpoint import fingerprint, read_run, save_state
from styleloom.core.errors import StyleLoomError
from styleloom.core.precision import PRECISIONS, precision_on
from styleloom.core.progress import Losses, Progress
from styleloom.core.settings import Checked, Count, CountOrNone, Decay, OneOf, Rate, Seed, Weight, configured
from styleloom.data.checks import check_images, check_masks, shares_of
from styleloom.data.color import KEEP_COLOR, keep_luminance, prepare_colors
from styleloom.data.images import fitted_size, resize
from styleloom.loops.descend import carry_over, descend
from styleloom.loops.one_pass import Painter
from styleloom.nn.losses import Moments, blend_moments, content_loss, gram_loss, moments, total_variation, wasserstein_loss
from styleloom.nn.vgg import POOLINGS, Features
from styleloom.nn.vgg_files import EMBEDDED, load_features

STYLE_LOSSES = {"gram": gram_loss, "wasserstein": wasserstein_loss}
INITS = ("content", "noise")
KEPT = 9.0  # times the content weighs where a content mask is 1
LARGEST = 1024  # longer side of a result whose size is not asked for
OPTIMIZERS: dict[str, Callable[[list[Tensor], float], torch.optim.Optimizer]] = {
    # One evaluation of the objective a step, no line search: as every public L-BFGS implementation of the paper.
    "lbfgs": lambda tensors, lr: torch.optim.LBFGS(
        tensors, lr=lr, max_iter=1, history_size=20, tolerance_grad=0, tolerance_change=0
    ),
    "adam": lambda tensors, lr: torch.optim.Adam(tensors, lr=lr, betas=(0.9, 0.99)),
}


@dataclass(frozen=True)
class GatysConfig(Checked):
    """Settings for painting by descent.

    Args:
        size: longer side of the result, in pixels; 0: that of the photograph, at most 1024.
        first_size: longer side of the coarsest scale; scales grow by sqrt 2 up to ``size``. As large as ``size``: one scale.
        first_steps: steps at the coarsest scale.
        steps: steps at each further scale.
        content_weight: weight of the content term.
        style_weight: weight of the style term.
        tv_weight: weight of the total variation: smoothness.
        content_layers: layers whose features are the content, of equal weight.
        style_layers: layers whose moments are the style.
        style_layer_weights: share of each style layer, scaled to sum to 1; none given: equal ones.
        style_loss: "gram" or "wasserstein".
        normalize: measure each layer's term as a share of its target.
        optimizer: "lbfgs" or "adam".
        lr: step size.
        ema_decay: decay of a running mean of the images, 0 for none: it smooths Adam's jitter.
        init: start from the "content" image or from "noise".
        margin: pixels around the image that are painted too and cut off in the end: its border, where features see beyond it,
            would become a frame.
        style_scale: longer side of the style images over that of the result: larger strokes above 1.
        keep_color: "none", "luminance" (paint brightness only) or "matching" (recolor the style first).
        features: perceptual network: vgg19-lite, vgg19, vgg16 or a file of weights.
        pooling: "max" or "average" pooling between its blocks.
        precision: "fp32" or "bf16" for the network; losses and pixels are fp32.
        compile: let torch.compile fuse the network; pays for itself after some hundred steps at one size.
        seed: of the noise.
    """

    style_is_image: ClassVar[bool] = True
    size: CountOrNone = 0
    first_size: Count = 128
    first_steps: Count = 150
    steps: Count = 75
    content_weight: Weight = 0.06
    style_weight: Weight = 1.0
    tv_weight: Weight = 2.0
    content_layers: tuple[str, ...] = ("relu4_2",)
    style_layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    style_layer_weights: tuple[Weight, ...] = (1.0, 2.0, 2.0, 1.5, 1.0)
    style_loss: Annotated[str, OneOf(STYLE_LOSSES)] = "wasserstein"
    normalize: bool = True
    optimizer: Annotated[str, OneOf(OPTIMIZERS)] = "adam"
    lr: Rate = 0.02
    ema_decay: Decay = 0.9
    init: Annotated[str, OneOf(INITS)] = "content"
    margin: CountOrNone = 12
    style_scale: Rate = 1.0
    keep_color: Annotated[str, OneOf(KEEP_COLOR)] = "none"
    features: str = EMBEDDED
    pooling: Annotated[str, OneOf(POOLINGS)] = "max"
    precision: Annotated[str, OneOf(PRECISIONS)] = "fp32"
    compile: bool = False
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.content_weight == 0 and self.style_weight == 0:
            raise StyleLoomError("content_weight and style_weight are both 0, so nothing is asked for; raise one of them")
        if len(self.style_layer_weights) not in (0, len(self.style_layers)):
            raise StyleLoomError(
                f"{len(self.style_layers)} style_layers but {len(self.style_layer_weights)} style_layer_weights; give one each"
            )
        if not self.style_layers or not self.content_layers:
            raise StyleLoomError(
                "no style_layers or no content_layers; name at least one of each (a weight of 0 turns a term off)"
            )
        self.layer_shares()

    def layer_shares(self) -> list[float]:
        """The weights of the style layers, scaled to sum to 1."""
        return shares_of(self.style_layer_weights or [1.0] * len(self.style_layers), "style_layer_weights")


_PAPER = GatysConfig(
    size=512,
    margin=0,
    # Section 2 and Eq. 7: VGG-19, average pooling, conv4_2, equal weights, white noise, L-BFGS, alpha / beta = 1e-3.
    first_size=512,
    first_steps=500,
    content_weight=1.0,
    style_weight=1e3,
    tv_weight=0.0,
    content_layers=("conv4_2",),
    style_layers=("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"),
    style_layer_weights=(1.0, 1.0, 1.0, 1.0, 1.0),
    style_loss="gram",
    normalize=False,
    optimizer="lbfgs",
    lr=1.0,
    ema_decay=0.0,
    init="noise",
    features="vgg19",
    pooling="average",
)
PRESETS = {
    "best": GatysConfig(),
    "draft": replace(GatysConfig(), size=384, first_steps=80, steps=35),
    "paper": _PAPER,
    # The authors' published code: after ReLU, max pooling, from the content, layers weighted 1 / C^2.
    "authors": replace(
        _PAPER,
        content_layers=("relu4_2",),
        style_layers=("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
        style_layer_weights=tuple(1 / channels**2 for channels in (64, 128, 256, 512, 512)),
        init="content",
        pooling="max",
    ),
}


def configure(preset: str = "best", **settings: Any) -> GatysConfig:
    """A preset with some settings changed; other style layers without their weights weigh the same.

    Raises:
        StyleLoomError: an unknown preset or setting, or a value that :class:`GatysConfig` refuses.
    """
    if "style_layers" in settings:
        settings.setdefault("style_layer_weights", ())
    return configured(PRESETS, preset, settings)


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
    init: Tensor | None = None,
    features: Features | None = None,
    device: str | torch.device = "cpu",
) -> GatysPainter:
    """Load the perceptual network once, for any number of images.

    Args:
        config: see :class:`GatysConfig`.
        styles: images [1, 3, h, w] in [0, 1], of any sizes.
        weights, masks, init, features: see :func:`steps`.
        device: device of the images.

    Returns:
        What repaints images [N, 3, H, W] in [0, 1].

    Raises:
        StyleLoomError: no such network.
    """
    network = features if features is not None else load_features(config.features, pooling=config.pooling)
    options: dict[str, Any] = dict(weights=weights, masks=masks, init=init, features=network)
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
    content_mask: Tensor | None = None,
    init: Tensor | None = None,
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
            much, so that it stays recognizable.
        init: [1, 3, H, W]: start from this image instead of ``config.init``.
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
    check_images(content, styles, init)
    regions = check_masks(masks, len(styles), content)
    kept = None if content_mask is None else check_masks([content_mask], 1, content)[0]  # type: ignore[index]
    shares = shares_of(weights if weights is not None else [1.0] * len(styles), "weights", count=len(styles))
    network = features if features is not None else load_features(config.features, pooling=config.pooling)
    network = network.prepare(content.device, precision_on(content.device, config.precision))
    # Prepare colors and scales.
    original = content
    if not config.size:
        config = replace(config, size=min(LARGEST, max(content.shape[-2:])))
    content, styles = prepare_colors(content, styles, config.keep_color)
    sizes = _scales(content, styles, config, network)
    ends = [config.first_steps + config.steps * index for index in range(len(sizes))]

    # Go on from a saved state, where there is one of the same run.
    inputs = [content, *styles, *(regions or []), *(each for each in (init, kept) if each is not None)]
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
        objective = _objective(content, styles, regions, kept, shares, config, network, size)
        previous, previous_optimizer = image, optimizer
        if resumed:
            pixels, best, lowest = (resumed[name] for name in ("pixels", "best", "lowest"))
        else:
            before = resize(cut(previous), size) if previous is not None else _first_image(content, init, config, size)
            pixels = _with_margin(before, config.margin)
            best, lowest = pixels.clone(), math.inf
        canvas = pixels.clone().contiguous().requires_grad_(True)  # L-BFGS flattens it, so it keeps the plain layout
        optimizer = OPTIMIZERS[config.optimizer]([canvas], config.lr)
        if resumed:
            optimizer.load_state_dict(resumed["optimizer"])
        elif previous_optimizer is not None and previous is not None:
            carry_over(previous_optimizer, optimizer, previous.shape[-2:], tuple(canvas.shape[-2:]))

        def render(best: Tensor = best, size: tuple[int, int] = size) -> Tensor:
            painted = cut(best).clamp(0, 1)
            return keep_luminance(painted, resize(original, size)) if config.keep_color == "luminance" else painted.clone()

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
        image, done = best, end  # a scale that diverged ends early


def _objective(
    content: Tensor,
    styles: list[Tensor],
    regions: list[Tensor] | None,
    kept: Tensor | None,
    shares: list[float],
    config: GatysConfig,
    network: Features,
    size: tuple[int, int],
) -> Callable[[Tensor], Losses]:
    """Eq. 7 at one scale, as a function of the image; its targets are computed here, once."""
    layers = tuple(dict.fromkeys([*config.content_layers, *config.style_layers]))
    layer_shares = config.layer_shares()
    style_loss = STYLE_LOSSES[config.style_loss]
    read = torch.compile(network) if config.compile else network
    with torch.no_grad():
        # Content targets, and how much each position counts.
        padded = _with_margin(resize(content, size), config.margin)
        outputs = network(padded, config.content_layers if regions is None else layers)
        contents = {layer: outputs[layer].float() for layer in config.content_layers}
        content_weights: dict[str, Tensor] = {}
        if kept is not None:
            shown_kept = _with_margin(resize(kept, size), config.margin).clamp(0, 1)
            for layer in config.content_layers:
                area = F.interpolate(shown_kept, outputs[layer].shape[-2:], mode="area")
                content_weights[layer] = 1 + (KEPT - 1) * area
        # What part of each position of a layer belongs to each region.
        shown = regions or []
        if config.margin:
            shown = [_with_margin(resize(region, size), config.margin).clamp(0, 1) for region in shown]
        parts: Sequence[Tensor | None] = shown or [None]
        areas = [
            {
                layer: None if region is None else F.interpolate(region, outputs[layer].shape[-2:], mode="area")
                for layer in config.style_layers
            }
            for region in parts
        ]
        # Style targets.
        targets: list[dict[str, Moments]] = []
        for style in styles:
            height, width = fitted_size(style, round(max(size) * config.style_scale))
            outputs = network(resize(style, (height, width)), config.style_layers)
            targets.append({layer: moments(outputs[layer].float()) for layer in config.style_layers})
        if regions is None:  # one target: the moments of the mixture
            targets = [{layer: blend_moments([target[layer] for target in targets], shares) for layer in config.style_layers}]
            strengths = [1.0]
        else:
            strengths = [share * len(shares) for share in shares]

    def measure(layer: str, features: Tensor) -> dict[str, Tensor]:
        """The terms that a layer has a part in."""
        features = features.float()
        terms = {}
        if layer in contents:
            terms["content"] = content_loss(
                features, contents[layer], normalize=config.normalize, weight=content_weights.get(layer)
            )
        if layer in config.style_layers:
            layer_share = layer_shares[config.style_layers.index(layer)]
            parts = [
                strength * style_loss(moments(features, area[layer]), target[layer], normalize=config.normalize)
                for target, area, strength in zip(targets, areas, strengths, strict=True)
            ]
            terms["style"] = layer_share * torch.stack(parts).sum()
        return terms

    # The objective itself.
    def objective(image: Tensor) -> Losses:
        if config.compile:
            outputs = {layer: measure(layer, features) for layer, features in read(image, layers).items()}
        else:
            outputs = network(image, layers, read=measure)
        content_term = torch.stack([terms["content"] for terms in outputs.values() if "content" in terms]).mean()
        style_terms = [terms["style"] for terms in outputs.values() if "style" in terms]
        losses = {
            "content": config.content_weight * content_term,
            "style": config.style_weight * torch.stack(style_terms).sum(),
        }
        if config.tv_weight:
            losses["tv"] = config.tv_weight * total_variation(image)
        return losses

    return objective


def _with_margin(image: Tensor, margin: int) -> Tensor:
    """An image continued beyond its border by its reflection, or where it is too small for that by its border."""
    mode = "reflect" if min(image.shape[-2:]) > margin else "replicate"
    return F.pad(image, (margin,) * 4, mode=mode) if margin else image


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
        raise StyleLoomError(
            f"at size {config.size} a side of the content or of a style is shorter than {minimum} pixels, "
            f"which the layers asked for need; raise size or use shallower layers"
        )
    return [fitted_size(content, side) for side in fits]


def _first_image(content: Tensor, init: Tensor | None, config: GatysConfig, size: tuple[int, int]) -> Tensor:
    if init is not None:
        return resize(init.to(content), size).clone()
    if config.init == "content":
        return resize(content, size).clone()
    generator = torch.Generator().manual_seed(config.seed)
    return torch.rand((1, 3, *size), generator=generator).to(content)
