"""Training of a network for several styles."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import torch
import torch.nn.functional as F
from numpy.random import RandomState
from torch import Tensor, nn
from typing_extensions import override

from styleloom.core import checkpoint
from styleloom.core.progress import Losses
from styleloom.core.random import own_random_state
from styleloom.core.run import Run
from styleloom.core.settings import Count, CountOrNone, Decay, LearningRate, OneOf, Weight
from styleloom.data import images
from styleloom.loops.fit import MODEL, fit
from styleloom.loops.optimizers import OPTIMIZERS
from styleloom.loops.photographs import PhotographTask
from styleloom.loops.task import Training, TrainingStep
from styleloom.nn.losses import Moments
from styleloom.nn.vgg import POOLINGS
from styleloom.nn.vgg_files import EMBEDDED, load_features
from styleloom.papers import johnson

from .architecture import KIND, StyleNet, join, load, save

SHOWN = 4  # examples on a sheet of the log


JOINED = "joined.safetensors"


CONTENT_LAYER = "relu3_3"


@dataclass(frozen=True)
class DumoulinRecipe(Training):
    """Settings for training a network for several styles.

    Args:
        features: perceptual network: vgg19-lite, vgg16 (the paper's), vgg19 or a file of weights.
        pooling: "max" or "average" (the paper's) pooling in it.
        size: side of the squares that it is trained on.
        style_size: longer side at which style images are looked at: larger strokes where it is larger.
        content_weight: weight of the content term.
        style_weight: weight of the style term.
        tv_weight: weight of the total variation.
        optimizer: "muon" or "adam".
        lr: step size at the start; it falls by a cosine to 2%.
        normalize: measure each layer's term as a share of its target.
        width, blocks, deep_blocks, deep_width: see :class:`~styleloom.nn.transform_net.TransformNet`.
        ema_decay: decay of the moving average of the weights, which is what is kept; 0: none.
    """

    num_steps: Count = 6_000
    batch: Count = 8
    features: str = EMBEDDED
    pooling: Annotated[str, OneOf(POOLINGS)] = "max"
    size: Count = 192
    style_size: CountOrNone = 320
    content_weight: Weight = 1.0
    style_weight: Weight = 2.0
    tv_weight: Weight = 2.0
    optimizer: Annotated[str, OneOf(OPTIMIZERS)] = "muon"
    lr: LearningRate = 4e-3
    normalize: bool = True
    width: Count = 32
    blocks: CountOrNone = 5
    deep_blocks: CountOrNone = 0
    deep_width: Count = 128
    ema_decay: Decay = 0.995


RECIPES = {
    "default": DumoulinRecipe(),
    # Section 3 and the appendix: batches of 16, 40,000 updates at 1e-3, VGG-16 with average pooling.
    "paper": DumoulinRecipe(
        num_steps=40_000,
        batch=16,
        features="vgg16",
        pooling="average",
        size=256,
        tv_weight=0,
        optimizer="adam",
        lr=1e-3,
        ema_decay=0,
    ),
}


@own_random_state
def train(
    content: str | Path | Sequence[str | Path],
    styles: Mapping[str, Tensor],
    recipe: DumoulinRecipe = RECIPES["default"],
    *,
    run: Run,
    base: StyleNet | None = None,
    objective: Callable[[Tensor, Tensor, Tensor], Losses] | None = None,
) -> Iterator[TrainingStep]:
    """Train a network for several styles, a step at a time; the model is ``model.safetensors`` in the run's folder.

    Args:
        content: folders or zips of photographs.
        styles: name and image [1, 3, H, W] in [0, 1] of each.
        recipe: see :class:`DumoulinRecipe`.
        run: folder, license, hardware, and whether to resume.
        base: a trained network. Other styles than its own are added to it, of which only their own scales and shifts are
            fitted (Section 3.2), and ``joined.safetensors`` has the styles of both. With the very styles that it has,
            all of it is trained further.
        objective: the loss of what was painted, [N, 3, H, W], the photographs and the numbers of the styles, [N]; instead of the
            recipe's.

    Yields:
        :class:`~styleloom.loops.task.TrainingStep` after each step.

    Raises:
        StyleLoomError: folders without images, or what :func:`~styleloom.loops.fit.fit` refuses.
    """
    fabric = run.hardware.launch()
    torch.manual_seed(recipe.seed)
    terms = objective or _terms(list(styles.values()), recipe, fabric.device)
    network, learned = _begun(list(styles), recipe, base)
    network = network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    task = DumoulinTask(content, styles, recipe, network, learned, terms, run.license)
    yield from fit(task, recipe, run, fabric)
    added = base is not None and base.styles != tuple(styles)
    if base is not None and added and fabric.is_global_zero and (run.folder / MODEL).exists():
        stored = copy.deepcopy(base).half().float()  # as files hold the convolutions that both share
        save(join(stored, load(run.folder / MODEL)), run.folder / JOINED, run.license)


@final
class DumoulinTask(PhotographTask):
    """Training of a network for several styles: a photograph and the number of a style in, the loss of what it paints out.

    Args:
        content: folders or zips of photographs.
        styles: images [1, 3, H, W] in [0, 1], by name.
        recipe: see :class:`DumoulinRecipe`.
        network: the one to train.
        learned: parameters of the network that are trained.
        terms: the loss of what was painted, the photographs and the numbers of the styles.
        license: noted in the model file.
    """

    def __init__(
        self,
        content: str | Path | Sequence[str | Path],
        styles: Mapping[str, Tensor],
        recipe: DumoulinRecipe,
        network: StyleNet,
        learned: list[nn.Parameter],
        terms: Callable[[Tensor, Tensor, Tensor], Losses],
        license: str,
    ) -> None:
        def loss(content: Tensor, style: Tensor) -> Losses:
            return terms(network(content, F.one_hot(style, len(styles)).to(content)), content, style)

        self.num_styles = len(styles)
        identity = dict(method=KIND, styles=list(styles), images=checkpoint.fingerprint(None, list(styles.values())))
        super().__init__(content, recipe, network, loss, license, identity, margin=1.2, num_shown=SHOWN, parameters=learned)

    @override
    def item(self, index: int, rng: RandomState) -> tuple[Tensor, ...]:
        return self.square(index, rng), torch.tensor(rng.randint(self.num_styles))

    @override
    def sheet(self, networks: Mapping[str, Any]) -> Tensor:
        rows = torch.eye(self.num_styles, device=self.shown.device)
        return images.grid([self.shown, *(networks["network"](self.shown, row.expand(len(self.shown), -1)) for row in rows)])

    @override
    def export(self, networks: Mapping[str, Any], path: Path) -> None:
        save(networks["network"], path, self.license)


def _terms(styles: Sequence[Tensor], recipe: DumoulinRecipe, device: torch.device) -> Callable[[Tensor, Tensor, Tensor], Losses]:
    """The recipe's loss of what was painted, the photographs and the numbers of the styles."""
    features = load_features(recipe.features, pooling=recipe.pooling).prepare(device, torch.float32)
    with torch.no_grad():
        targets = johnson.style_targets(features, [style.to(device) for style in styles], recipe.style_size)

    def terms(painted: Tensor, content: Tensor, style: Tensor) -> Losses:
        target = {layer: Moments(each.mean[style], each.second[style]) for layer, each in targets.items()}
        return johnson.perceptual_loss(features, painted, content, target, recipe, CONTENT_LAYER)

    return terms


def _begun(styles: list[str], recipe: DumoulinRecipe, base: StyleNet | None) -> tuple[StyleNet, list[nn.Parameter]]:
    """A network to train, and what is trained of it."""
    if base is None:
        sizes: dict[str, int] = dict(blocks=recipe.blocks, deep_blocks=recipe.deep_blocks, deep_width=recipe.deep_width)
        network = StyleNet(styles, width=recipe.width, **sizes)
        return network, list(network.parameters())
    johnson.check_shape(recipe, RECIPES["default"], {"blocks": 5, "deep_blocks": 0} | base.sizes)
    network = StyleNet(styles, **base.sizes)
    if network.styles == base.styles:
        network.load_state_dict(base.state_dict())
        return network, list(network.parameters())
    network.network.load_state_dict(base.network.state_dict())
    network.network.requires_grad_(False)
    for own, theirs in zip([*network.gamma, *network.beta], [*base.gamma, *base.beta], strict=True):
        own.data.copy_(theirs.mean(0))  # the mean of the styles that it knows
    return network, [*network.gamma, *network.beta]
