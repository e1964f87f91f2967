"""Ghiasi et al., "Exploring the structure of a real-time, arbitrary neural artistic stylization network", BMVC 2017.

Dumoulin's network has a scale and a shift of its features for each style that it was trained for. Here a second network
looks at the style *image* and predicts them, so a style that was never seen takes one pass as well. Between the two stands a
short vector, the embedding of a style: styles mix there, and a photograph's own embedding gives (nearly) the photograph back.

Differs from the paper:
    - the embedding is predicted from statistics of vgg19-lite's features, means, deviations and correlations at five layers,
      where the paper has the mean features of Inception-v3;
    - four of the residual blocks work at an eighth of the resolution, for larger strokes;
    - scales and shifts also depend on the weight of the style term, which differs from example to example in training
      (Babaeizadeh and Ghiasi, "Adjustable Real-time Style Transfer", ICLR 2020): ``style_weight`` is chosen at use;
    - the style term compares means, covariances and sliced distributions (Heitz et al., "A Sliced Wasserstein Loss for Neural
      Texture Synthesis", CVPR 2021), at two resolutions, and the content term features without their mean and deviation.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, final

import torch
import torch.nn.functional as F
from numpy.random import RandomState
from torch import Tensor, nn

from styleloom.core import checkpoint
from styleloom.core.errors import StyleLoomError
from styleloom.core.progress import Losses
from styleloom.core.random import own_random_state
from styleloom.core.run import Run
from styleloom.core.settings import Count, CountOrNone, Decay, LearningRate, OneOf, Range, Share, Weight, configured
from styleloom.data import color, images
from styleloom.data.checks import check_masks, check_styles, shares_of
from styleloom.data.datasets import ImageFiles, random_crop, recolored, stacked
from styleloom.loops.fit import fit
from styleloom.loops.one_pass import OnePass, Painter, check_batch, overlaid, paint, thumbnail
from styleloom.loops.optimizers import OPTIMIZERS
from styleloom.loops.task import Phase, Task, Training, TrainingStep, cosine, warmed
from styleloom.nn import transform_net
from styleloom.nn.layers import Moment, placed
from styleloom.nn.losses import covariance_loss, mean_loss, moments, sliced_wasserstein, total_variation
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import EMBEDDED, load_features, with_encoder

from . import johnson

KIND = "ghiasi"
SHOWN = 8  # examples on a sheet of the log
LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
STYLE_LAYERS = LAYERS
CONTENT_LAYERS = {"relu3_1": 0.25, "relu4_1": 0.75}  # and their shares
PROJECTED = 16  # channels of a layer that correlations are taken of
DIRECTIONS = 32  # that distributions are compared along
SMALLEST = 64  # side of squares, of which a half has to reach relu5_1
WEIGHTS = 4.0  # the style term's weight is trained from 1 / this to this


class StylePredictor(nn.Module):
    """A style image to its embedding.

    Args:
        encoder: frozen features, see :class:`~styleloom.Features`.
        size: numbers of the embedding.
        hidden: numbers of the layer before.
    """

    def __init__(self, encoder: Features, size: int, hidden: int) -> None:
        super().__init__()
        self.center: Tensor
        self.spread: Tensor
        encoder.check_layers(LAYERS)
        self.encoder = encoder.requires_grad_(False).eval()
        widths = [encoder.convs[layer[4:]].out_channels for layer in LAYERS]
        self.projections = nn.ParameterList([nn.init.orthogonal_(torch.empty(PROJECTED, width)) for width in widths])
        count = 3 + 6 + sum(2 * width for width in widths)
        self.register_buffer("center", torch.zeros(count))
        self.register_buffer("spread", torch.ones(count))
        pairs = PROJECTED * (PROJECTED + 1) // 2
        self.layers = nn.Sequential(nn.Linear(count + len(widths) * pairs, hidden), nn.SiLU(), nn.Linear(hidden, size))

    def forward(self, style: Tensor) -> Tensor:
        """[N, 3, H, W] in [0, 1] -> [N, size]."""
        plain, correlations = self._statistics(style)
        embedding: Tensor = self.layers(torch.cat([(plain - self.center) / self.spread, correlations], 1))
        return embedding

    @torch.no_grad()
    def standardize(self, styles: Sequence[Tensor]) -> None:
        """Take the mean and deviation of the statistics of these images, [1, 3, H, W] each, as 0 and 1."""
        plain = torch.cat([self._statistics(style)[0] for style in styles])
        self.center.copy_(plain.mean(0))
        self.spread.copy_(plain.std(0) + 1e-3)

    def _statistics(self, style: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of colors and features, and correlations of projected features: [N, count], [N, 5 pairs]."""
        outputs = self.encoder(style, LAYERS)
        with torch.autocast(style.device.type, enabled=False):  # squares of means are taken off squares
            return self._summary(style.float(), {layer: each.float() for layer, each in outputs.items()})

    def _summary(self, style: Tensor, outputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        colors = moments(style)
        rows, columns = torch.triu_indices(3, 3)
        plain, correlations = [colors.mean, colors.covariance[:, rows, columns]], []
        rows, columns = torch.triu_indices(PROJECTED, PROJECTED)
        for layer, projection in zip(LAYERS, self.projections, strict=True):
            layer_moments = moments(outputs[layer])
            deviation = layer_moments.covariance.diagonal(dim1=1, dim2=2).clamp_min(1e-8).sqrt()
            plain += [layer_moments.mean, deviation]
            projected = projection @ layer_moments.covariance @ projection.T
            scale = deviation.square().mean(1)[:, None]
            correlations.append(projected[:, rows, columns] / scale)
        return torch.cat(plain, 1), torch.cat(correlations, 1)


class AnyStyle(nn.Module):
    """Dumoulin's network and the two that predict its scales and shifts: style image -> embedding -> norms.

    Args:
        encoder: frozen features, see :class:`~styleloom.Features`.
        source: where the encoder came from, when it is not to be saved with the model.
        embedding, hidden: sizes of a style's embedding and of the layers before and after it.
        width, blocks, deep_blocks, deep_width: see :class:`~styleloom.nn.transform_net.TransformNet`.
    """

    def __init__(
        self,
        encoder: Features,
        *,
        source: str | None = None,
        embedding: int = 128,
        hidden: int = 192,
        width: int = 32,
        blocks: int = 3,
        deep_blocks: int = 4,
        deep_width: int = 128,
    ) -> None:
        super().__init__()
        self.source = source
        self.config = dict(
            embedding=embedding, hidden=hidden, width=width, blocks=blocks, deep_blocks=deep_blocks, deep_width=deep_width
        )
        self.predictor = StylePredictor(encoder, embedding, hidden)
        self.network = transform_net.TransformNet(
            width=width,
            blocks=blocks,
            output="sigmoid",
            own_norms=False,
            bias=False,
            deep_blocks=deep_blocks,
            deep_width=deep_width,
        )
        self.hidden = nn.Linear(embedding + 1, hidden)
        self.norms_of = nn.Linear(hidden, 2 * sum(self.network.channels))
        nn.init.normal_(self.norms_of.weight, std=0.01)
        nn.init.zeros_(self.norms_of.bias)

    def embed(self, style: Tensor) -> Tensor:
        """[N, 3, H, W] in [0, 1] -> embeddings [N, embedding]."""
        return self.predictor(style)

    def norms(self, embedding: Tensor, style_weight: float | Tensor = 1.0) -> list[tuple[Tensor, Tensor]]:
        """Scale and shift of every normalization: [N, embedding] -> pairs of [N, C].

        Args:
            embedding: of a style, or a mixture of several.
            style_weight: weight of the style term to paint for, 1/4 to 4; or [N], one each.
        """
        weight = torch.as_tensor(style_weight, dtype=embedding.dtype, device=embedding.device).expand(embedding.shape[0])
        inputs = torch.cat([embedding, weight.log()[:, None] / math.log(WEIGHTS)], 1)
        both = self.norms_of(F.silu(self.hidden(inputs)))
        scales, shifts = both.float().chunk(2, 1)
        channels = list(self.network.channels)
        return list(zip((1 + scales).split(channels, 1), shifts.split(channels, 1), strict=True))

    @torch.no_grad()
    def network_of(self, style: Tensor, style_weight: float = 1.0) -> transform_net.TransformNet:
        """Johnson's network for one style, as it is predicted: [1, 3, H, W] in [0, 1]; to be used, or trained on."""
        return self.network.with_norms(self.norms(self.embed(style), style_weight))

    def forward(self, content: Tensor, style: Tensor, style_weight: float | Tensor = 1.0) -> Tensor:
        """[N, 3, H, W] and [N, 3, h, w] in [0, 1] -> [N, 3, H, W] in [0, 1]."""
        return self.network(content, self.norms(self.embed(style), style_weight))

    def save(self, path: Path, license: str = "unknown") -> None:
        """Write a model file; with the encoder in it, unless that can be loaded from its source."""
        own = {name: value for name, value in self.state_dict().items() if not (self.source and name.startswith(ENCODER))}
        tensors = {name: value.half() for name, value in own.items()}
        config = dict(source=self.source, encoder=self.predictor.encoder.config, network=self.config)
        checkpoint.save_model(path, tensors, kind=KIND, config=config, license=license)


ENCODER = "predictor.encoder."


def load(name: str | Path = "anystyle") -> AnyStyle:
    """A model from a name in the zoo, a path or ``hf://owner/repo/file``, in fp32.

    Raises:
        StyleLoomError: no such model, one of another kind, or a damaged one.
    """

    def make(config: dict[str, Any]) -> AnyStyle:
        return AnyStyle(Features(**config["encoder"]), source=config["source"], **config["network"])

    return checkpoint.rebuilt(name, KIND, make, with_encoder(ENCODER))


@dataclass(frozen=True)
class GhiasiConfig(OnePass):
    """Settings for painting any style; ``alpha`` below 1 mixes in the photograph's own style.

    Args:
        model: by default anystyle (ghiasi), adain-lite (adain) or pastiche-16 (dumoulin), or a model file of the method.
        style_size: longer side at which style images are looked at: larger strokes where it is larger; 0: as they are.
        style_weight: how far the style displaces the photograph, 1/4 to 4.
    """

    style_is_image: ClassVar[bool] = True
    model: str = "anystyle"
    style_size: CountOrNone = 384
    style_weight: Annotated[float, Range(1 / WEIGHTS, WEIGHTS)] = 1.0


PRESETS = {"best": GhiasiConfig()}


def configure(preset: str = "best", **settings: Any) -> GhiasiConfig:
    """A preset with some settings changed.

    Raises:
        StyleLoomError: an unknown preset or setting, or a value that :class:`GhiasiConfig` refuses.
    """
    return configured(PRESETS, preset, settings)


class GhiasiPainter(Painter):
    """Networks with embedded styles, ready to paint; see :func:`painter`."""

    def __init__(
        self,
        network: AnyStyle,
        styles: Sequence[Tensor],
        config: GhiasiConfig,
        shares: Sequence[float],
        masks: Sequence[Tensor] | None,
    ) -> None:
        self.network, self.styles, self.shares, self.masks = network, styles, shares, masks
        self.config: GhiasiConfig = config
        # Styles that take the content's colors are embedded image by image.
        self.embeddings = None if config.keep_color != "none" else [self._embedded(style) for style in styles]

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] -> [N, 3, H', W']."""
        check_batch(images)
        regions = check_masks(self.masks, len(self.styles), images)
        shared = self.embeddings is not None and self.config.alpha == 1  # by all images
        results = []
        for image in images.split(len(images) if shared else 1):
            embeddings = self._embeddings_for(image)
            if regions is None:
                mixture = torch.stack([share * each for share, each in zip(self.shares, embeddings, strict=True)]).sum(0)
                results.append(self._painted(image, mixture))
            else:
                layers = [self._painted(image, each) for each in embeddings]
                results.append(overlaid(layers, regions, self.shares, image))
        return torch.cat(results)

    def _embeddings_for(self, image: Tensor) -> list[Tensor]:
        """The styles' embeddings for an image, of its colors and strength."""
        embeddings = self.embeddings
        if embeddings is not None and self.config.alpha == 1:
            return embeddings
        small, looks = color.prepare_colors(thumbnail(image), self.styles, self.config.keep_color)
        if embeddings is None:
            embeddings = [self._embedded(look) for look in looks]
        if self.config.alpha < 1:
            own = self._embedded(small)
            embeddings = [torch.lerp(own, each, self.config.alpha) for each in embeddings]
        return embeddings

    @torch.inference_mode()
    def _embedded(self, image: Tensor) -> Tensor:
        size = self.config.style_size
        return self.network.embed(images.resize_to_fit(image, size) if size else image)

    def _painted(self, image: Tensor, embedding: Tensor) -> Tensor:
        network = self.network.network
        norms = self.network.norms(embedding, self.config.style_weight)

        def prepared(small: Tensor) -> Callable[[Tensor], Tensor]:
            statistics: list[Moment] = network.statistics(small, norms)
            return lambda part: network(part, norms, statistics)

        whole = replace(self.config, alpha=1.0)
        return paint(image, whole, network.reach, lambda part: network(part, norms), prepared)


def painter(
    config: GhiasiConfig,
    styles: Sequence[Tensor],
    weights: Sequence[float] | None = None,
    masks: Sequence[Tensor] | None = None,
    *,
    model: AnyStyle | None = None,
    device: str | torch.device = "cpu",
) -> GhiasiPainter:
    """Make the networks ready for a device and embed the styles.

    Args:
        config: see :class:`GhiasiConfig`.
        styles: images [1, 3, h, w] in [0, 1], of any sizes.
        weights: share of each style, scaled to sum to 1; equal by default.
        masks: a mask [1, 1, H, W] in [0, 1] for each style, of the content's size. Each style is painted whole, and the
            results are laid over one another. One mask serves two styles.
        model: networks to use instead of ``config.model``.
        device: device of the networks and the images.

    Returns:
        What repaints images [N, 3, H, W] in [0, 1] or of 8-bit numbers.

    Raises:
        StyleLoomError: tensors that are no images, weights that do not fit, or no such model.
    """
    check_styles(styles)
    shares = shares_of(weights if weights is not None else [1.0] * len(styles), "weights", count=len(styles))
    network = config.ready(model if model is not None else load(config.model), torch.device(device))
    return GhiasiPainter(network, [style.to(device) for style in styles], config, shares, masks)


def stylize(
    content: Tensor,
    style: Tensor | Sequence[Tensor],
    config: GhiasiConfig = PRESETS["best"],
    *,
    weights: Sequence[float] | None = None,
    masks: Sequence[Tensor] | None = None,
    model: AnyStyle | None = None,
) -> Tensor:
    """Repaint images in one pass each, in the style of an image or a mixture of several.

    Args:
        content: [N, 3, H, W] in [0, 1], or of 8-bit numbers; each image is painted by itself.
        style: one style [1, 3, h, w] in [0, 1], or several.
        config, weights, masks, model: see :func:`painter`, also for errors.

    Returns:
        [N, 3, H', W'], as ``content``.
    """
    check_batch(content)
    styles = [style] if isinstance(style, Tensor) else list(style)
    return painter(config, styles, weights, masks, model=model, device=content.device)(content)


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
        share * F.mse_loss(_normalized(output[layer]), _normalized(content_target[layer]), reduction="none").mean((1, 2, 3))
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


def _normalized(x: Tensor) -> Tensor:
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
        if rng.uniform() < recipe.own_style:
            look = random_crop(photograph, recipe.size, rng)
        else:
            gallery = self.galleries[rng.randint(len(self.galleries))]
            painting = self.paintings.find(gallery[rng.randint(len(gallery))], rng, gallery)[1]
            look = random_crop(painting, recipe.size, rng, smallest=0.6, enlarge=True)
            look = recolored(look, rng) if rng.uniform() < recipe.recolor else look
        return cut, look, torch.tensor(WEIGHTS ** rng.uniform(-1, 1), dtype=torch.float32)


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
        predicting = [*model.predictor.layers.parameters(), *model.predictor.projections, *model.hidden.parameters()]
        predicting += model.norms_of.parameters()
        groups = [dict(params=list(model.network.parameters()), lr=recipe.lr), dict(params=predicting, lr=recipe.lr / 4)]
        self.networks = {"model": model}
        self.phases = {"model": Phase(OPTIMIZERS[recipe.optimizer](groups, recipe.lr), loss)}
        self.count = len(examples.photographs)
        self.damaged = [examples.photographs.damaged, examples.paintings.damaged]
        self.averages = {"model": warmed(recipe.ema_decay)} if recipe.ema_decay else {}
        self.settings = asdict(recipe) | dict(method=KIND)
        shown = stacked(self.item(index, RandomState([recipe.seed, index]))[:2] for index in range(SHOWN))
        self.shown = [part.to(next(model.parameters()).device) for part in shown]

    def item(self, index: int, rng: RandomState) -> tuple[Tensor, ...]:
        return self.examples(index, rng)

    def schedule(self, step: int) -> float:
        return min(1, (step + 1) / 100) * cosine(step, self.recipe.num_steps)

    def sheet(self, networks: Mapping[str, Any]) -> Tensor:
        painted = [networks["model"](*self.shown, weight) for weight in (1 / WEIGHTS, 1.0, WEIGHTS)]
        return images.grid([*self.shown, *painted])

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
        recipe: of Johnson's network; its weights are those of this loss.
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
