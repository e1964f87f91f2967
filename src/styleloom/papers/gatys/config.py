"""Settings of Gatys, and their presets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.precision import PRECISIONS
from styleloom.core.settings import Checked, Count, CountOrNone, Decay, OneOf, Rate, Seed, Weight, configured
from styleloom.data.checks import shares_of
from styleloom.data.color import KEEP_COLOR
from styleloom.nn.losses import gram_loss, wasserstein_loss
from styleloom.nn.vgg import POOLINGS
from styleloom.nn.vgg_files import EMBEDDED

STYLE_LOSSES = {"gram": gram_loss, "wasserstein": wasserstein_loss}


ONE_PASS = "one-pass"
INITS = ("content", "noise", ONE_PASS)


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
        init: start from the "content" image, from "noise", or from what anystyle paints in "one-pass".
        margin: pixels around the image that are painted too and cut off in the end: its border, where features see beyond it,
            would become a frame.
        style_scale: longer side of the style images over that of the result: larger strokes above 1.
        keep_color: "none", "luminance" (paint brightness only) or "matching" (recolor the style first).
        features: perceptual network: vgg19-lite, vgg19, vgg16 or a file of weights.
        pooling: "max" or "average" pooling between its blocks.
        precision: "fp32" or "bf16" for the network; losses and pixels are fp32.
        compile: let torch.compile fuse the network; pays for itself after some hundred steps at one size.
        seed: seed of the noise.
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
    "draft": replace(GatysConfig(), size=384, first_steps=80, steps=35, content_weight=0.12, tv_weight=5.0),
    "quick": replace(GatysConfig(), first_size=362, first_steps=20, steps=12, content_weight=0.1, init=ONE_PASS),
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
