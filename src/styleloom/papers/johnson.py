"""Johnson, Alahi and Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", ECCV 2016.

Gatys descends on the pixels of every image anew. Descend on the weights of a network instead, over many photographs
and under the same loss, and from then on an image in that style is one pass of the network.

Differs from the paper:
    - instance instead of batch normalization, as the authors' own later models (Ulyanov et al. 2016);
    - reflection padding in every convolution and nearest-neighbor upsampling with a convolution, as pytorch/examples
      has it: no checkerboard, no border (``upsample="transpose"``, ``output="tanh"`` and ``padding="border"`` are the paper's);
    - layer terms are shares of their targets (``normalise``), so that one set of weights serves every feature network.

It is long because the paper reads from top to bottom: networks, use, training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import torch
import torch.nn.functional as F
from numpy.random import RandomState
from torch import Tensor, nn

from styleloom.core import checkpoint
from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.core.progress import Losses
from styleloom.core.random import own_random_state
from styleloom.core.settings import Count, CountOrNone, Decay, LearningRate, OneOf, Weight, configured
from styleloom.data import images
from styleloom.data.datasets import ImageFiles, random_crop
from styleloom.loops.fit import ONE_PROCESS, Hardware, Phase, Task, Tick, Training, cosine, fit, warmed
from styleloom.loops.one_pass import OnePass, paint
from styleloom.loops.optimizers import OPTIMIZERS
from styleloom.nn.layers import Conv, Moment, channel_moments, instance_norm
from styleloom.nn.losses import Moments, content_loss, gram_loss, moments, total_variation
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import EMBEDDED, load_features

KIND = "johnson"
STYLE_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
CONTENT_LAYER = "relu2_2"
BORDER = 40  # pixels that the paper pads an image by, and that its unpadded residual blocks cut off again
OUTPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    # differs from the paper: it scales tanh to [0, 255]; images here are in [0, 1].
    "tanh": lambda x: 0.5 + 0.5 * torch.tanh(x),
    "sigmoid": torch.sigmoid,
}
UPSAMPLES = ("nearest", "transpose")
PADDINGS = ("reflect", "border")
Norms = Sequence[tuple[Tensor, Tensor]]
"""Scale and shift of every normalization, [C] or [N, C] each, in the order of the layers."""


class TransformNet(nn.Module):
    """The image transformation network: two strided convolutions, five residual blocks, two upsampling convolutions.

    Every convolution but the last is followed by instance norm, whose scales and shifts are the network's own or the
    caller's.

    Args:
        width: channels of the first convolution; the next two have twice and four times as many.
        blocks: residual blocks.
        upsample: ``"nearest"`` and a convolution, or a ``"transpose"`` convolution.
        padding: ``"reflect"`` everywhere, or a ``"border"`` of 40 pixels once and none in the residual blocks.
        output: ``"linear"``, ``"tanh"`` or ``"sigmoid"``.
        own_norms: hold scales and shifts. Without them they come with each call, the last convolution's too.
        last_norm: normalize the last convolution as well, as networks of many styles do (see :meth:`with_norms`).
        bias: whether convolutions have one.
        deep_blocks, deep_width: residual blocks at an eighth of the resolution, and their channels: larger strokes for as much
            arithmetic. What they make is added to the features at a quarter, where the other residual blocks follow. 0: none,
            as in the paper.
    """

    def __init__(
        self,
        *,
        width: int = 32,
        blocks: int = 5,
        upsample: str = "nearest",
        padding: str = "reflect",
        output: str = "linear",
        own_norms: bool = True,
        last_norm: bool = False,
        bias: bool = True,
        deep_blocks: int = 0,
        deep_width: int = 160,
    ) -> None:
        super().__init__()
        check_choice("upsample", upsample, UPSAMPLES)
        check_choice("padding", padding, PADDINGS)
        check_choice("output", output, OUTPUTS)
        self.config = dict(
            width=width, blocks=blocks, upsample=upsample, padding=padding, output=output, own_norms=own_norms, bias=bias
        )
        if last_norm:
            self.config["last_norm"] = True
        if deep_blocks:
            self.config |= dict(deep_blocks=deep_blocks, deep_width=deep_width)
        self.border = padding == "border"
        self.output = output
        wide = 4 * width
        self.down = nn.ModuleList(
            [
                Conv(3, width, 9, bias=bias),
                Conv(width, 2 * width, 3, stride=2, bias=bias),
                Conv(2 * width, wide, 3, stride=2, bias=bias),
            ]
        )
        self.deep = nn.ModuleList()
        if deep_blocks:
            self.deep.append(Conv(wide, deep_width, 3, stride=2, bias=bias))
            self.deep.extend(Conv(deep_width, deep_width, 3, bias=bias) for _ in range(2 * deep_blocks))
            self.deep.append(Conv(deep_width, wide, 3, up=2, bias=bias))
        self.residual = nn.ModuleList([Conv(wide, wide, 3, bias=bias, padded=not self.border) for _ in range(2 * blocks)])
        self.up = nn.ModuleList()
        for inputs, outputs in ((wide, 2 * width), (2 * width, width)):
            self.up.append(
                Conv(inputs, outputs, 3, up=2, bias=bias)
                if upsample == "nearest"
                else nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1, bias=bias)
            )
        self.last = Conv(width, 3, 9, bias=bias)
        deep = [deep_width] * (len(self.deep) - 1) + [wide] * bool(self.deep)
        self.channels: tuple[int, ...] = (width, 2 * width, wide, *deep, *[wide] * (2 * blocks), 2 * width, width)
        self.channels += (3,) if last_norm or not own_norms else ()
        owned = self.channels if own_norms else ()
        self.scales = nn.ParameterList([torch.ones(count) for count in owned])
        self.shifts = nn.ParameterList([torch.zeros(count) for count in owned])

    def with_norms(self, norms: Norms) -> TransformNet:
        """A copy with scales and shifts of its own: one style of a network of many.

        Args:
            norms: scale and shift of every normalization, [C] or [1, C] each.
        """
        copy = TransformNet(**self.config | dict(own_norms=True, last_norm=True))  # type: ignore[arg-type]
        copy.load_state_dict(self.state_dict(), strict=False)
        for index, (scale, shift) in enumerate(norms):
            copy.scales[index].data.copy_(scale.reshape(-1))
            copy.shifts[index].data.copy_(shift.reshape(-1))
        return copy

    @property
    def reach(self) -> int:
        """How far a pixel of the result looks, in pixels, rounded up to a multiple of 8."""
        deep = 4 + 8 * (len(self.deep) - 1) if self.deep else 0
        # 4 of the first kernel, 3 of the strided ones, 4 of each residual convolution, 6 and 4 of those after.
        return max(64, -(-(4 + 3 + deep + 4 * len(self.residual) + 6 + 4) // 8) * 8)

    def forward(self, image: Tensor, norms: Norms | None = None, statistics: Sequence[Moment] | None = None) -> Tensor:
        """[N, 3, H, W] in [0, 1] -> [N, 3, H, W], nominally in [0, 1]; any size.

        Args:
            image: the images.
            norms: scale and shift of every normalization, instead of the network's own.
            statistics: mean and variance at every normalization, instead of the image's own (see :meth:`statistics`).
        """
        norms = norms if norms is not None else list(zip(self.scales, self.shifts, strict=True))

        def norm(x: Tensor, index: int) -> Tensor:
            return instance_norm(x, *norms[index], statistics[index] if statistics is not None else None)

        return self._run(image, norm)

    def statistics(self, image: Tensor, norms: Norms | None = None) -> list[Moment]:
        """Mean and variance that each normalization meets in an image: what a thumbnail tells the tiles of a large one."""
        norms = norms if norms is not None else list(zip(self.scales, self.shifts, strict=True))
        met: list[Moment] = []

        def norm(x: Tensor, index: int) -> Tensor:
            met.append(channel_moments(x))
            return instance_norm(x, *norms[index], met[-1])

        self._run(image, norm)
        return met

    def _run(self, image: Tensor, norm: Callable[[Tensor, int], Tensor]) -> Tensor:
        height, width = image.shape[-2:]
        # Two halvings, or three; and reflection needs two pixels where the resolution is lowest.
        multiple = 8 if self.deep else 4
        below, right = ((multiple - side % multiple) % multiple for side in (height, width))  # -side % 8 is no ONNX
        if height < 2 * multiple or width < 2 * multiple:
            below, right = (max(more, 2 * multiple - side) for more, side in ((below, height), (right, width)))
        x = F.pad(image, (0, right, 0, below), mode="replicate")
        if self.border:
            x = F.pad(x, (BORDER,) * 4, mode="reflect")
        x = x.contiguous(memory_format=torch.channels_last)
        index = 0
        for conv in self.down:
            x = F.relu(norm(conv(x), index), inplace=True)
            index += 1
        if self.deep:
            first, *blocks, last = self.deep
            deep = F.relu(norm(first(x), index), inplace=True)
            index += 1
            for first, second in zip(blocks[::2], blocks[1::2], strict=True):
                y = F.relu(norm(first(deep), index), inplace=True)
                deep = deep + norm(second(y), index + 1)
                index += 2
            x = x + norm(last(deep), index)
            index += 1
        for first, second in zip(self.residual[::2], self.residual[1::2], strict=True):
            y = F.relu(norm(first(x), index), inplace=True)
            y = norm(second(y), index + 1)
            x = (x[:, :, 2:-2, 2:-2] if self.border else x) + y
            index += 2
        for conv in self.up:
            x = F.relu(norm(conv(x), index), inplace=True)
            index += 1
        x = self.last(x)
        if index < len(self.channels):  # the last convolution is normalised too
            x = norm(x, index)
        return OUTPUTS[self.output](x.float())[:, :, :height, :width]


class Weights(Protocol):
    """What a recipe says of the loss."""

    @property
    def content_weight(self) -> float:
        """Of the content term."""

    @property
    def style_weight(self) -> float:
        """Of the style term."""

    @property
    def tv_weight(self) -> float:
        """Of the total variation."""

    @property
    def normalise(self) -> bool:
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
    style = [gram_loss(moments(output[layer]), target, normalise=recipe.normalise) for layer, target in targets.items()]
    return {
        "content": recipe.content_weight * content_loss(output[content_layer], content_target, normalise=recipe.normalise),
        "style": recipe.style_weight * torch.stack(style).mean(),
        "tv": recipe.tv_weight * total_variation(painted),
    }


@dataclass(frozen=True)
class Recipe(Training):
    """How a network is trained.

    Args:
        features: perceptual network: vgg19-lite, vgg16 (the paper's), vgg19 or a file of weights.
        size: side of the squares that it is trained on.
        style_size: longer side at which the style image is looked at: larger strokes where it is larger.
        content_weight: weight of the content term.
        style_weight: weight of the style term.
        tv_weight: weight of the total variation.
        optimizer: "muon" or "adam".
        lr: step size at the start; it falls by a cosine to 2%.
        normalise: measure each layer's term as a share of its target.
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
    normalise: bool = True
    width: Count = 32
    upsample: Annotated[str, OneOf(UPSAMPLES)] = "nearest"
    padding: Annotated[str, OneOf(PADDINGS)] = "reflect"
    output: Annotated[str, OneOf(OUTPUTS)] = "linear"
    ema_decay: Decay = 0.995


RECIPES = {
    "default": Recipe(),
    # Section 4.1 and the supplement: VGG-16, batches of 4 at 256 px, 40,000 updates at 1e-3.
    "paper": Recipe(
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
    "predicted": Recipe(
        num_steps=360, size=256, style_size=512, content_weight=0.67, style_weight=8.0, tv_weight=0.5, lr=1e-3, ema_decay=0.99
    ),
    "pytorch-examples": Recipe(
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
    recipe: Recipe = RECIPES["default"],
    *,
    out: str | Path,
    base: TransformNet | None = None,
    objective: Callable[[Tensor, Tensor], Losses] | None = None,
    licence: str = "unknown",
    hardware: Hardware = ONE_PROCESS,
    resume: bool = False,
) -> Iterator[Tick]:
    """Train a network for one style, a step at a time; the model is ``out/model.safetensors``.

    Args:
        content: folders or zips of photographs.
        style: [1, 3, H, W] in [0, 1].
        recipe: see :class:`Recipe`.
        out: folder of the run.
        base: start from this trained network, of whatever style, instead of from noise. Nearest to the end is what a network
            of any style predicts for this one (:meth:`styleloom.papers.ghiasi.AnyStyle.network_of`).
        objective: the loss of what was painted, [N, 3, H, W], and the photographs; instead of the recipe's.
        licence: what the model may be used for, noted in it.
        hardware: what it is computed on.
        resume: go on from the state in ``out``.

    Yields:
        :class:`~styleloom.loops.fit.Tick` after each step.

    Raises:
        StyleLoomError: folders without images, or what :func:`~styleloom.loops.fit.fit` refuses.
    """
    fabric = hardware.launch()
    torch.manual_seed(recipe.seed)
    terms = objective or _terms(style, recipe, fabric.device)
    network = TransformNet(width=recipe.width, upsample=recipe.upsample, padding=recipe.padding, output=recipe.output)
    if base is not None:
        check_shape(recipe, RECIPES["default"], base.config)
        network = TransformNet(**base.config)  # type: ignore[arg-type]
        network.load_state_dict(base.state_dict())
    network = network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    photographs = ImageFiles(content, shorter=round(1.2 * recipe.size))
    examples = torch.stack([random_crop(photographs[index], recipe.size, RandomState([index])) for index in range(6)])
    shown = examples.to(fabric.device)

    task = Task(
        networks={"network": network},
        phases={
            "network": Phase(
                OPTIMIZERS[recipe.optimizer](network.parameters(), recipe.lr), lambda content: terms(network(content), content)
            )
        },
        item=lambda index, rng: (random_crop(photographs.find(index, rng)[1], recipe.size, rng),),
        count=len(photographs),
        averages={"network": warmed(recipe.ema_decay)} if recipe.ema_decay else {},
        schedule=lambda step: cosine(step, recipe.num_steps),
        sample=lambda networks: images.grid([shown, networks["network"](shown)]),
        export=lambda networks, path: save(networks["network"], path, licence),  # type: ignore[arg-type]
        settings=asdict(recipe) | dict(method=KIND, style=checkpoint.fingerprint(None, [style])),
        damaged=[photographs.damaged],
    )
    yield from fit(task, recipe, out=Path(out), fabric=fabric, resume=resume)


def _terms(style: Tensor, recipe: Recipe, device: torch.device) -> Callable[[Tensor, Tensor], Losses]:
    """The recipe's loss of what was painted and the photographs."""
    features = load_features(recipe.features).prepare(device, torch.float32)
    with torch.no_grad():
        targets = style_targets(features, [style.to(device)], recipe.style_size)
    return lambda painted, content: perceptual_loss(features, painted, content, targets, recipe)


def save(network: TransformNet, path: Path, licence: str = "unknown") -> None:
    """Write a model file; ``licence``: what it may be used for, noted in it."""
    tensors = {name: value.half() for name, value in network.state_dict().items()}
    checkpoint.save_model(path, tensors, kind=KIND, config=network.config, licence=licence)


def load(name: str | Path) -> TransformNet:
    """A model from a name in the zoo, a path or ``hf://owner/repo/file``, in fp32.

    Raises:
        StyleLoomError: no such model, one of another kind, or a damaged one.
    """
    return checkpoint.rebuilt(name, KIND, lambda config: TransformNet(**config))


@dataclass(frozen=True)
class Config(OnePass):
    """How images are painted: see :class:`~styleloom.loops.one_pass.OnePass`."""


PRESETS = {"best": Config()}


def configure(preset: str = "best", **settings: Any) -> Config:
    """A preset with some settings changed.

    Raises:
        StyleLoomError: an unknown preset or setting, or a value that :class:`Config` refuses.
    """
    return configured(PRESETS, preset, settings)


def stylize(content: Tensor, style: str | Path | TransformNet, config: Config = PRESETS["best"]) -> Tensor:
    """Repaint images in one pass each.

    Args:
        content: [N, 3, H, W] in [0, 1], or of 8-bit numbers; each image is painted by itself.
        style: a network, or the name or file of one.
        config: see :class:`Config`.

    Returns:
        [N, 3, H', W'], as ``content``.

    Raises:
        StyleLoomError: no such model, one of another kind, or a damaged one.
    """
    network = config.ready(style if isinstance(style, TransformNet) else load(style), content.device)

    def prepared(image: Tensor) -> Callable[[Tensor], Tensor]:
        statistics = network.statistics(image)
        return lambda part: network(part, statistics=statistics)

    return paint(content, config, network.reach, network, prepared)
