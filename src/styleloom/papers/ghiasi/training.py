"""Training of the networks of any style, and of a network for one style that begins with what they predict."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, final

import torch
import torch.nn.functional as F
from numpy.random import RandomState
from torch import Tensor, nn
from typing_extensions import override

from styleloom.core.errors import StyleLoomError
from styleloom.core.progress import Losses
from styleloom.core.random import own_random_state
from styleloom.core.run import Run
from styleloom.core.settings import Count, CountOrNone, Decay, LearningRate, OneOf, Range, Share, Weight
from styleloom.data import images
from styleloom.data.datasets import ImageFiles, random_crop, recolored, stacked
from styleloom.loops.fit import fit
from styleloom.loops.optimizers import OPTIMIZERS
from styleloom.loops.task import Phase, Task, Training, TrainingStep, cosine, warmed
from styleloom.nn.layers import placed
from styleloom.nn.losses import covariance_loss, mean_loss, moments, sliced_wasserstein, total_variation
from styleloom.nn.vgg_files import EMBEDDED, load_features
from styleloom.papers import johnson

from .architecture import KIND, LAYERS, WEIGHTS, AnyStyle

SHOWN = 8  # examples on a sheet of the log


STYLE_LAYERS = LAYERS


CONTENT_LAYERS = {"relu3_1": 0.25, "relu4_1": 0.75}  # and their shares


DIRECTIONS = 32  # that distributions are compared along


SMALLEST = 64  # side of squares, of which a half has to reach relu5_1


@dataclass(frozen=True)
class GhiasiRecipe(Training):
    """Settings for training the networks of any style.

    Args:
        encoder: features that the embedding is predicted from: vgg19-lite, vgg19 or a file of weights.
        features: perceptual network of the loss: likewise.
        size: side of the squares that they are trained on.
        content_weight: weight of the content term.
        style_weight: weight of the style term, in the middle of its range.
        tv_weight: weight of the total variation.
        own_style: share of the examples whose style is the photograph itself.
        recolor: share of the style images whose colors are changed at random.
        optimizer: "muon" or "adam".
        lr: step size at the start, a quarter of it for the networks of the style; it falls by a cosine to 2%.
        embedding, hidden: see :class:`AnyStyle`.
        width, blocks, deep_blocks, deep_width: see :class:`~styleloom.nn.transform_net.TransformNet`.
        ema_decay: decay of the moving average of the weights, which is what is kept; 0: none.
    """

    num_steps: Count = 10_000
    batch: Count = 8
    clip: Weight = 5.0
    encoder: str = EMBEDDED
    features: str = EMBEDDED
    size: Annotated[int, Range(SMALLEST)] = 256
    content_weight: Weight = 1.0
    style_weight: Weight = 3.0
    tv_weight: Weight = 0.5
    own_style: Share = 0.1
    recolor: Share = 0.2
    optimizer: Annotated[str, OneOf(OPTIMIZERS)] = "muon"
    lr: LearningRate = 3e-3
    embedding: Count = 128
    hidden: Count = 192
    width: Count = 32
    blocks: CountOrNone = 3
    deep_blocks: CountOrNone = 4
    deep_width: Count = 128
    ema_decay: Decay = 0.999


RECIPES = {"default": GhiasiRecipe()}


def style_loss(output: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
    """Distance of features to a style's, as distributions: [N, C, H, W] at each layer -> [N]."""
    terms = []
    for layer in output:
        x, y = output[layer].float(), target[layer].float()
        with torch.autocast(x.device.type, enabled=False):  # squares of means are taken off squares
            of_x, of_y = moments(x), moments(y)
            terms += [mean_loss(of_x, of_y), covariance_loss(of_x, of_y)]
            if x.shape[2] * x.shape[3] <= 4096:
                terms.append(sliced_wasserstein(x, y, DIRECTIONS))
    return torch.stack(terms).log1p().mean(0)  # no one image, far from its style, outweighs the others


def objective(
    features: Any, painted: Tensor, content: Tensor, style: Tensor, weight: Tensor, recipe: GhiasiRecipe | johnson.JohnsonRecipe
) -> Losses:
    """Content at two layers, style at five and two resolutions, colors, and smoothness.

    Args:
        features: a network such as :class:`~styleloom.Features`.
        painted, content, style: [N, 3, H, W] in [0, 1].
        weight: [N], of the style term of each.
        recipe: with the weights of the terms.
    """
    with torch.no_grad():
        content_target = features(content, tuple(CONTENT_LAYERS))
        target = features(style, STYLE_LAYERS)
        target_half = features(F.avg_pool2d(style, 2), STYLE_LAYERS)
    output = features(painted, STYLE_LAYERS)
    content_terms = [
        share * F.mse_loss(normalized(output[layer]), normalized(content_target[layer]), reduction="none").mean((1, 2, 3))
        for layer, share in CONTENT_LAYERS.items()
    ]
    half = F.avg_pool2d(painted, 2)
    of_style = style_loss(output, target) + style_loss(features(half, STYLE_LAYERS), target_half)
    with torch.autocast(half.device.type, enabled=False):
        of_colors = sliced_wasserstein(F.avg_pool2d(half, 2), F.avg_pool2d(style, 4), DIRECTIONS).log1p()
    # Both terms share what there is, so that a heavy style does not take larger steps.
    of_all = 2 * weight / (1 + weight)
    return {
        "content": (recipe.content_weight * (2 - of_all) * torch.stack(content_terms).sum(0)).mean(),
        "style": (recipe.style_weight * of_all * of_style).mean(),
        "color": (recipe.style_weight * of_all * of_colors).mean(),
        "tv": recipe.tv_weight * total_variation(painted),
    }


def normalized(x: Tensor) -> Tensor:
    """Features without their mean and deviation over positions, which belong to the style."""
    x = x.float()
    variance, mean = torch.var_mean(x, (2, 3), keepdim=True, correction=0)
    return (x - mean) * (variance + 1e-2 * variance.mean(1, keepdim=True) + 1e-8).rsqrt()


@own_random_state
def train(
    content: str | Path | Sequence[str | Path],
    style: str | Path | Sequence[str | Path],
    recipe: GhiasiRecipe = RECIPES["default"],
    *,
    run: Run,
    base: AnyStyle | None = None,
    features: nn.Module | None = None,
) -> Iterator[TrainingStep]:
    """Train the networks, a step at a time; the model is ``model.safetensors`` in the run's folder.

    Args:
        content: folders or zips of photographs.
        style: folders or zips of style images. Their sub-folders are as likely as one another: one an artist, say.
        recipe: see :class:`GhiasiRecipe`.
        run: folder, license, hardware, and whether to resume.
        base: start from this trained model instead of from noise.
        features: perceptual network of the loss, instead of the recipe's; called as :class:`~styleloom.Features` is.

    Yields:
        :class:`~styleloom.loops.task.TrainingStep` after each step.

    Raises:
        StyleLoomError: folders without images, or what :func:`~styleloom.loops.fit.fit` refuses.
    """
    fabric = run.hardware.launch()
    torch.manual_seed(recipe.seed)
    examples = Examples(content, style, recipe)
    # Make the networks, or copy those of the base.
    if base is None:
        model = AnyStyle(
            load_features(recipe.encoder),
            source=recipe.encoder if recipe.encoder == EMBEDDED else None,
            **{name: getattr(recipe, name) for name in ("embedding", "hidden", "width", "blocks", "deep_blocks", "deep_width")},
        )
        model.predictor.standardize([examples(0, RandomState([recipe.seed, place]))[1][None] for place in range(200)])
    else:
        model = AnyStyle(copy.deepcopy(base.predictor.encoder), source=base.source, **base.config)
        model.load_state_dict(base.state_dict())
        model.requires_grad_(True)
        model.predictor.encoder.requires_grad_(False)
    model = model.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    # Train them.
    perceptual = placed(features if features is not None else load_features(recipe.features), fabric.device)
    yield from fit(GhiasiTask(examples, recipe, model, perceptual, run.license), recipe, run, fabric)


class Examples:
    """Photographs and style images, from which training examples are cut.

    Args:
        content: folders or zips of photographs.
        style: folders or zips of style images; their sub-folders are as likely as one another.
        recipe: see :class:`GhiasiRecipe`.
    """

    def __init__(
        self, content: str | Path | Sequence[str | Path], style: str | Path | Sequence[str | Path], recipe: GhiasiRecipe
    ) -> None:
        self.recipe = recipe
        self.photographs = ImageFiles(content, shorter=recipe.size + 32)
        self.paintings = ImageFiles(style, shorter=recipe.size + 32)
        folders: dict[tuple[Path, Path], list[int]] = {}
        for index, (source, name) in enumerate(self.paintings.locations):
            folders.setdefault((source, Path(name).parent), []).append(index)
        self.galleries = list(folders.values())

    def __call__(self, index: int, rng: RandomState) -> tuple[Tensor, Tensor, Tensor]:
        """A photograph [3, S, S], a style [3, S, S], and the weight of the style term []."""
        recipe = self.recipe
        photograph = self.photographs.find(index, rng)[1]
        cut = random_crop(photograph, recipe.size, rng)
        look = random_crop(photograph, recipe.size, rng) if rng.uniform() < recipe.own_style else self.look(rng, recipe.recolor)
        return cut, look, torch.tensor(WEIGHTS ** rng.uniform(-1, 1), dtype=torch.float32)

    def look(self, rng: RandomState, recolor: float) -> Tensor:
        """A square of a style image [3, S, S], recolored with that probability."""
        gallery = self.galleries[rng.randint(len(self.galleries))]
        painting = self.paintings.find(gallery[rng.randint(len(gallery))], rng, gallery)[1]
        look = random_crop(painting, self.recipe.size, rng, smallest=0.6, enlarge=True)
        return recolored(look, rng) if rng.uniform() < recolor else look


def parameter_groups(model: AnyStyle, lr: float) -> list[dict[str, Any]]:
    """Parameters and step sizes: the painting network at ``lr``, all that predicts its norms at a quarter of it."""
    predicting = [*model.predictor.layers.parameters(), *model.predictor.projections, *model.hidden.parameters()]
    predicting += model.norms_of.parameters()
    return [dict(params=list(model.network.parameters()), lr=lr), dict(params=predicting, lr=lr / 4)]


@final
class GhiasiTask(Task):
    """Training of predictor and painting network: a photograph, a style and a weight in, the loss of what is painted out.

    Args:
        examples: photographs and style images.
        recipe: see :class:`GhiasiRecipe`.
        model: the networks to train.
        perceptual: network of the loss.
        license: noted in the model file.
    """

    def __init__(self, examples: Examples, recipe: GhiasiRecipe, model: AnyStyle, perceptual: nn.Module, license: str) -> None:
        def loss(content: Tensor, style: Tensor, weight: Tensor) -> Losses:
            return objective(perceptual, model(content, style, weight), content, style, weight, recipe)

        self.recipe, self.license, self.examples = recipe, license, examples
        groups = parameter_groups(model, recipe.lr)
        self.networks = {"model": model}
        self.phases = {"model": Phase(OPTIMIZERS[recipe.optimizer](groups, recipe.lr), loss)}
        self.count = len(examples.photographs)
        self.damaged = [examples.photographs.damaged, examples.paintings.damaged]
        self.averages = {"model": warmed(recipe.ema_decay)} if recipe.ema_decay else {}
        self.settings = asdict(recipe) | dict(method=KIND)
        shown = stacked(self.item(index, RandomState([recipe.seed, index]))[:2] for index in range(SHOWN))
        self.shown = [part.to(next(model.parameters()).device) for part in shown]

    @override
    def item(self, index: int, rng: RandomState) -> tuple[Tensor, ...]:
        return self.examples(index, rng)

    @override
    def schedule(self, step: int) -> float:
        return min(1, (step + 1) / 100) * cosine(step, self.recipe.num_steps)

    @override
    def sheet(self, networks: Mapping[str, Any]) -> Tensor:
        painted = [networks["model"](*self.shown, weight) for weight in (1 / WEIGHTS, 1.0, WEIGHTS)]
        return images.grid([*self.shown, *painted])

    @override
    def export(self, networks: Mapping[str, Any], path: Path) -> None:
        networks["model"].save(path, self.license)


def train_for_style(
    content: str | Path | Sequence[str | Path],
    style: Tensor,
    model: AnyStyle,
    recipe: johnson.JohnsonRecipe = johnson.RECIPES["predicted"],
    *,
    run: Run,
    features: nn.Module | None = None,
) -> Iterator[TrainingStep]:
    """Train Johnson's network for one style, from what a model predicts on, by this paper's loss.

    Nearer to the style than the prediction is, after a few hundred steps.

    Args:
        content: folders or zips of photographs.
        style: [1, 3, H, W] in [0, 1]; squares of it are compared with.
        model: any style's.
        recipe: recipe of Johnson's network; its weights are those of this loss.
        run: folder, license, hardware, and whether to resume.
        features: perceptual network of the loss, instead of the recipe's; called as :class:`~styleloom.Features` is.

    Yields:
        :class:`~styleloom.loops.task.TrainingStep` after each step.

    Raises:
        StyleLoomError: squares that are too small, or what :func:`styleloom.papers.johnson.train` refuses.
    """
    if recipe.size < SMALLEST:
        raise StyleLoomError(f"size is {recipe.size}; the loss looks at halves of squares of {SMALLEST} px or more")
    perceptual = features if features is not None else load_features(recipe.features)
    look = images.resize_to_fit(style, recipe.style_size) if recipe.style_size else style
    if small := max(0.0, recipe.size / min(look.shape[2:]) - 1):  # a long one, of which no square could be cut
        look = images.resize(look, [math.ceil(side * (1 + small)) for side in look.shape[2:]])

    def loss(painted: Tensor, content: Tensor) -> Losses:
        nonlocal perceptual
        perceptual = placed(perceptual, painted.device)
        top, left = (int(torch.randint(side - recipe.size + 1, ())) for side in look.shape[2:])
        square = look[..., top : top + recipe.size, left : left + recipe.size].to(painted)
        weight = torch.ones(len(painted), device=painted.device)
        return objective(perceptual, painted, content, square.expand_as(painted), weight, recipe)

    base = model.network_of(look, 2.0)
    yield from johnson.train(content, style, recipe, run=run, base=base, objective=loss)
