"""Johnson, Alahi and Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", ECCV 2016.

Gatys descends on the pixels of every image anew. Descend on the weights of a network instead, over many photographs
and under the same loss, and from then on an image in that style is one pass of the network.

Differs from the paper:
    - instance instead of batch normalization, as the authors' own later models (Ulyanov et al. 2016);
    - reflection padding in every convolution and nearest-neighbor upsampling with a convolution, as pytorch/examples
      has it: no checkerboard, no border (``upsample="transpose"``, ``output="tanh"`` and ``padding="border"`` are the paper's);
    - layer terms are shares of their targets (``normalize``), so that one set of weights serves every feature network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol, final

import torch
from torch import Tensor
from typing_extensions import override

from styleloom.core import checkpoint
from styleloom.core.errors import StyleLoomError
from styleloom.core.progress import Losses
from styleloom.core.random import own_random_state
from styleloom.core.run import Run
from styleloom.core.settings import Count, CountOrNone, Decay, LearningRate, OneOf, Weight, configured
from styleloom.data import images
from styleloom.loops.fit import fit
from styleloom.loops.one_pass import OnePass, Painter, check_batch, paint
from styleloom.loops.optimizers import OPTIMIZERS
from styleloom.loops.photographs import PhotographTask
from styleloom.loops.task import Training, TrainingStep
from styleloom.nn.losses import Moments, content_loss, gram_loss, moments, total_variation
from styleloom.nn.transform_net import OUTPUTS, PADDINGS, UPSAMPLES, TransformNet
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import EMBEDDED, load_features

KIND = "johnson"
SHOWN = 6  # examples on a sheet of the log
STYLE_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
CONTENT_LAYER = "relu2_2"


class Weights(Protocol):
    """Weights of the loss, as recipes hold them."""

    @property
    def content_weight(self) -> float:
        """Weight of the content term."""

    @property
    def style_weight(self) -> float:
        """Weight of the style term."""

    @property
    def tv_weight(self) -> float:
        """Weight of the total variation."""

    @property
    def normalize(self) -> bool:
        """Measure each layer's term as a share of its target."""


def perceptual_loss(
    features: Features,
    painted: Tensor,
    content: Tensor,
    targets: Mapping[str, Moments],
    recipe: Weights,
    content_layer: str = CONTENT_LAYER,
) -> Losses:
    """Section 3.1: content at one layer, Gram matrices at four, smoothness; targets of [N or 1, C, C] second moments."""
    layers = tuple(dict.fromkeys([content_layer, *targets]))
    with torch.no_grad():
        content_target = features(content, (content_layer,))[content_layer]
    output = features(painted, layers)
    style = [gram_loss(moments(output[layer]), target, normalize=recipe.normalize) for layer, target in targets.items()]
    return {
        "content": recipe.content_weight * content_loss(output[content_layer], content_target, normalize=recipe.normalize),
        "style": recipe.style_weight * torch.stack(style).mean(),
        "tv": recipe.tv_weight * total_variation(painted),
    }


@dataclass(frozen=True)
class JohnsonRecipe(Training):
    """Settings for training a network for one style.

    Args:
        features: perceptual network: vgg19-lite, vgg16 (the paper's), vgg19 or a file of weights.
        size: side of the squares that it is trained on.
        style_size: longer side at which the style image is looked at: larger strokes where it is larger.
        content_weight: weight of the content term.
        style_weight: weight of the style term.
        tv_weight: weight of the total variation.
        optimizer: "muon" or "adam".
        lr: step size at the start; it falls by a cosine to 2%.
        normalize: measure each layer's term as a share of its target.
        width: channels of the first convolution.
        upsample: "nearest" or "transpose".
        padding: "reflect" or "border".
        output: "linear", "tanh" or "sigmoid".
        ema_decay: decay of the moving average of the weights, which is what is kept; 0: none.
    """

    num_steps: Count = 4_000
    features: str = EMBEDDED
    size: Count = 224
    style_size: CountOrNone = 320
    content_weight: Weight = 1.0
    style_weight: Weight = 2.0
    tv_weight: Weight = 2.0
    optimizer: Annotated[str, OneOf(OPTIMIZERS)] = "muon"
    lr: LearningRate = 4e-3
    normalize: bool = True
    width: Count = 32
    upsample: Annotated[str, OneOf(UPSAMPLES)] = "nearest"
    padding: Annotated[str, OneOf(PADDINGS)] = "reflect"
    output: Annotated[str, OneOf(OUTPUTS)] = "linear"
    ema_decay: Decay = 0.995


RECIPES = {
    "default": JohnsonRecipe(),
    # Section 4.1 and the supplement: VGG-16, batches of 4 at 256 px, 40,000 updates at 1e-3.
    "paper": JohnsonRecipe(
        num_steps=40_000,
        features="vgg16",
        size=256,
        style_size=256,
        upsample="transpose",
        padding="border",
        output="tanh",
        optimizer="adam",
        lr=1e-3,
        ema_decay=0,
    ),
    # Of a network whose style was predicted, by the loss of ghiasi: styleloom.papers.ghiasi.train_for_style.
    "predicted": JohnsonRecipe(
        num_steps=360, size=256, style_size=512, content_weight=0.67, style_weight=8.0, tv_weight=0.5, lr=1e-3, ema_decay=0.99
    ),
    "pytorch-examples": JohnsonRecipe(
        num_steps=40_000, features="vgg16", size=256, style_size=0, tv_weight=0, optimizer="adam", lr=1e-3, ema_decay=0
    ),
}


def style_targets(features: Features, styles: Sequence[Tensor], style_size: int) -> dict[str, Moments]:
    """The moments of style images at the style layers, stacked: [styles, C, C]."""
    outputs = [features(images.resize_to_fit(style, style_size) if style_size else style, STYLE_LAYERS) for style in styles]
    parts = {layer: [moments(each[layer]) for each in outputs] for layer in STYLE_LAYERS}
    return {
        layer: Moments(torch.cat([part.mean for part in each]), torch.cat([part.second for part in each]))
        for layer, each in parts.items()
    }


def check_shape(recipe: Any, default: Any, config: Mapping[str, Any]) -> None:
    """Raise StyleLoomError where a recipe asks for another network than the one that is trained further."""
    for name, own in config.items():
        asked = getattr(recipe, name, own)
        if asked not in (own, getattr(default, name, own)):
            raise StyleLoomError(
                f"{name} is {asked}, and the network to start from has {own}; leave it out, or start without a base"
            )


@own_random_state
def train(
    content: str | Path | Sequence[str | Path],
    style: Tensor,
    recipe: JohnsonRecipe = RECIPES["default"],
    *,
    run: Run,
    base: TransformNet | None = None,
    objective: Callable[[Tensor, Tensor], Losses] | None = None,
) -> Iterator[TrainingStep]:
    """Train a network for one style, a step at a time; the model is ``model.safetensors`` in the run's folder.

    Args:
        content: folders or zips of photographs.
        style: [1, 3, H, W] in [0, 1].
        recipe: see :class:`JohnsonRecipe`.
        run: folder, license, hardware, and whether to resume.
        base: start from this trained network, of whatever style, instead of from noise. Nearest to the end is what a network
            of any style predicts for this one (:meth:`styleloom.papers.ghiasi.AnyStyle.network_of`).
        objective: the loss of what was painted, [N, 3, H, W], and the photographs; instead of the recipe's.

    Yields:
        :class:`~styleloom.loops.task.TrainingStep` after each step.

    Raises:
        StyleLoomError: folders without images, or what :func:`~styleloom.loops.fit.fit` refuses.
    """
    fabric = run.hardware.launch()
    torch.manual_seed(recipe.seed)
    terms = objective or _terms(style, recipe, fabric.device)
    network = _begun(recipe, base).to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    task = JohnsonTask(content, style, recipe, network, terms, run.license)
    yield from fit(task, recipe, run, fabric)


@final
class JohnsonTask(PhotographTask):
    """Training of a network for one style: photographs in, the loss of what it paints out.

    Args:
        content: folders or zips of photographs.
        style: [1, 3, H, W] in [0, 1].
        recipe: see :class:`JohnsonRecipe`.
        network: the one to train.
        terms: the loss of what was painted and the photographs.
        license: noted in the model file.
    """

    def __init__(
        self,
        content: str | Path | Sequence[str | Path],
        style: Tensor,
        recipe: JohnsonRecipe,
        network: TransformNet,
        terms: Callable[[Tensor, Tensor], Losses],
        license: str,
    ) -> None:
        identity = dict(method=KIND, style=checkpoint.fingerprint(None, [style]))

        def loss(content: Tensor) -> Losses:
            return terms(network(content), content)

        super().__init__(content, recipe, network, loss, license, identity, margin=1.2, num_shown=SHOWN)

    @override
    def sheet(self, networks: Mapping[str, Any]) -> Tensor:
        return images.grid([self.shown, networks["network"](self.shown)])

    @override
    def export(self, networks: Mapping[str, Any], path: Path) -> None:
        save(networks["network"], path, self.license)


def _begun(recipe: JohnsonRecipe, base: TransformNet | None) -> TransformNet:
    """A network of the recipe's sizes, or a copy of the base."""
    network = TransformNet(width=recipe.width, upsample=recipe.upsample, padding=recipe.padding, output=recipe.output)
    if base is not None:
        check_shape(recipe, RECIPES["default"], base.config)
        network = TransformNet(**base.config)  # type: ignore[arg-type]
        network.load_state_dict(base.state_dict())
    return network


def _terms(style: Tensor, recipe: JohnsonRecipe, device: torch.device) -> Callable[[Tensor, Tensor], Losses]:
    """The recipe's loss of what was painted and the photographs."""
    features = load_features(recipe.features).prepare(device, torch.float32)
    with torch.no_grad():
        targets = style_targets(features, [style.to(device)], recipe.style_size)
    return lambda painted, content: perceptual_loss(features, painted, content, targets, recipe)


def save(network: TransformNet, path: Path, license: str = "unknown") -> None:
    """Write a model file; ``license``: what it may be used for, noted in it."""
    tensors = {name: value.half() for name, value in network.state_dict().items()}
    checkpoint.save_model(path, tensors, kind=KIND, config=network.config, license=license)


def load(name: str | Path) -> TransformNet:
    """A model from a name in the zoo, a path or ``hf://owner/repo/file``, in fp32.

    Raises:
        StyleLoomError: no such model, one of another kind, or a damaged one.
    """
    return checkpoint.rebuilt(name, KIND, lambda config: TransformNet(**config))


@dataclass(frozen=True)
class JohnsonConfig(OnePass):
    """Settings for painting with a network of one style, see :class:`~styleloom.loops.one_pass.OnePass`."""


PRESETS = {"best": JohnsonConfig()}


def configure(preset: str = "best", **settings: Any) -> JohnsonConfig:
    """A preset with some settings changed.

    Raises:
        StyleLoomError: an unknown preset or setting, or a value that :class:`JohnsonConfig` refuses.
    """
    return configured(PRESETS, preset, settings)


class JohnsonPainter(Painter):
    """A network ready to paint; see :func:`painter`."""

    def __init__(self, network: TransformNet, config: JohnsonConfig) -> None:
        self.network = network
        self.config: JohnsonConfig = config

    def __call__(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] -> [N, 3, H', W']."""
        check_batch(images)

        def prepared(image: Tensor) -> Callable[[Tensor], Tensor]:
            statistics = self.network.statistics(image)
            return lambda part: self.network(part, statistics=statistics)

        return paint(images, self.config, self.network.reach, self.network, prepared)


def painter(
    config: JohnsonConfig,
    styles: Sequence[str | Path | TransformNet],
    weights: Sequence[float] | None = None,
    masks: Sequence[Tensor] | None = None,
    *,
    model: TransformNet | None = None,
    device: str | torch.device = "cpu",
) -> JohnsonPainter:
    """Make the network of a style ready for a device.

    Args:
        config: see :class:`JohnsonConfig`.
        styles: one network, or the name or file of one.
        weights, masks: refused, since a network of one style mixes none.
        model: network to use instead of loading the style.
        device: device of the network and the images.

    Returns:
        What repaints images [N, 3, H, W] in [0, 1] or of 8-bit numbers.

    Raises:
        StyleLoomError: several styles, weights or masks, or no such model.
    """
    if len(styles) != 1:
        raise StyleLoomError(f"{len(styles)} styles, but johnson paints one at a time; use dumoulin, ghiasi, adain or gatys")
    if weights is not None or masks is not None:
        raise StyleLoomError("johnson has a network for each style and mixes none; use dumoulin, ghiasi, adain or gatys")
    style = styles[0] if model is None else model
    return JohnsonPainter(config.ready(style if isinstance(style, TransformNet) else load(style), torch.device(device)), config)


def stylize(content: Tensor, style: str | Path | TransformNet, config: JohnsonConfig = PRESETS["best"]) -> Tensor:
    """Repaint images in one pass each.

    Args:
        content: [N, 3, H, W] in [0, 1], or of 8-bit numbers; each image is painted by itself.
        style: a network, or the name or file of one.
        config: see :class:`JohnsonConfig`.

    Returns:
        [N, 3, H', W'], as ``content``.

    Raises:
        StyleLoomError: no such model, one of another kind, or a damaged one.
    """
    check_batch(content)
    return painter(config, [style], device=content.device)(content)
