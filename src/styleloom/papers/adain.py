"""Huang and Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization", ICCV 2017.

Johnson trains a network for each style and Dumoulin a scale and a shift of the features for each. Here the style
*image* sets them: give the content's feature maps the mean and the standard deviation of the style's, and let one
decoder, trained once, turn any such features back into an image. So any style takes one pass.

Differs from the paper:
    - the encoder is any network of ``features`` (the shipped model's is vgg19-lite), its decoder the mirror of it;
    - layer terms are shares of their targets (``normalize``), so that one set of weights serves every encoder;
    - the decoder also learns to give back, pixel by pixel, what was encoded (``identity_weight``; 0 is the paper): it finds
      colors and edges many times sooner.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, final

import torch
import torch.nn.functional as F
from numpy.random import RandomState
from torch import Tensor, nn

from styleloom.core import checkpoint
from styleloom.core.progress import Losses
from styleloom.core.random import own_random_state
from styleloom.core.run import Run
from styleloom.core.settings import Count, CountOrNone, Decay, LearningRate, OneOf, Share, Weight, configured
from styleloom.data import color, images
from styleloom.data.checks import check_masks, check_styles, shares_of
from styleloom.data.datasets import ImageFiles, random_crop, recolored, stacked
from styleloom.data.images import floats
from styleloom.data.tiles import Window, by_tiles, windows
from styleloom.loops.fit import fit
from styleloom.loops.one_pass import OnePass, Painter, at_stroke_size, check_batch, finished, groups, thumbnail
from styleloom.loops.optimizers import OPTIMIZERS
from styleloom.loops.task import Phase, Task, Training, TrainingStep, cosine, warmed
from styleloom.nn.layers import Conv, Moment, channel_moments, instance_norm
from styleloom.nn.losses import content_loss
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import EMBEDDED, load_features, with_encoder

KIND = "adain"
SHOWN = 6  # examples on a sheet of the log
CONTENT_LAYER = "relu4_1"
REACH = 72  # pixels: 37 of the encoder and 30 of the decoder, rounded up
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")


def adain(x: Tensor, style: Moment, content: Moment | None = None) -> Tensor:
    """AdaIN(x, y) = sigma(y) (x - mu(x)) / sigma(x) + mu(y) (Eq. 8).

    Args:
        x: features of the content, [N, C, H, W].
        style: mean and variance of the style's features, [N, C] each.
        content: mean and variance to use as those of ``x``.
    """
    mean, variance = style
    return instance_norm(x, (variance + _EPSILON).sqrt(), mean, content or unbiased_moments(x), eps=_EPSILON)


def unbiased_moments(x: Tensor) -> Moment:
    """Mean and unbiased variance over positions, as the authors' code has it: [N, C, H, W] -> [N, C] each."""
    mean, variance = channel_moments(x)
    positions = x.shape[2] * x.shape[3]
    return mean, variance * positions / max(1, positions - 1)


class AdaIN(nn.Module):
    """An encoder up to relu4_1, frozen, and the decoder that mirrors it.

    Args:
        encoder: see :class:`~styleloom.Features`.
        source: where the encoder came from, when it is not to be saved with the model.
    """

    def __init__(self, encoder: Features, *, source: str | None = None) -> None:
        super().__init__()
        encoder.check_layers(STYLE_LAYERS)
        self.encoder = encoder.requires_grad_(False).eval()
        self.source = source
        layers: list[nn.Module] = []
        block = CONTENT_LAYER[4]
        for name, conv in reversed(list(encoder.convs.items())):
            if name > CONTENT_LAYER[4:]:
                continue
            layers.append(Conv(conv.out_channels, conv.in_channels, 3, up=1 if name[0] == block else 2))
            block = name[0]
        self.decoder = nn.ModuleList(layers)

    def encode(self, image: Tensor) -> Tensor:
        """[N, 3, H, W] in [0, 1] -> features at relu4_1, [N, C, H / 8, W / 8]."""
        return self.encoder(image, (CONTENT_LAYER,))[CONTENT_LAYER]

    def decode(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> images [N, 3, 8 H, 8 W], not clipped."""
        *hidden, last = self.decoder
        for layer in hidden:
            x = F.relu(layer(x))
        out: Tensor = last(x)
        return out.float()

    def forward(self, content: Tensor, style: Tensor, alpha: float = 1.0) -> Tensor:
        """Eq. 14 with one style an image: [N, 3, H, W], [N, 3, h, w] in [0, 1] -> [N, 3, H, W] in [0, 1].

        ``alpha`` is the strength: 0 gives the content back, 1 is the style in full.
        """
        x = self.restyle(self.encode(_padded(content)), [self.style(style)], [1.0], alpha=alpha)
        return self.decode(x)[..., : content.shape[-2], : content.shape[-1]].clamp(0, 1)

    def style(self, image: Tensor) -> Moment:
        """All that a style image is to this network: mean and variance of its features, [N, C] each."""
        return unbiased_moments(self.encode(image))

    def restyle(
        self,
        x: Tensor,
        styles: Sequence[Moment],
        shares: Sequence[float],
        *,
        alpha: float = 1.0,
        masks: Sequence[Tensor] | None = None,
        content: Moment | None = None,
    ) -> Tensor:
        """The content's features in a mixture of styles, or in one a region: a weighted sum of AdaIN outputs (Eq. 15)."""
        content = content or unbiased_moments(x)
        parts = [adain(x, style, content) for style in styles]
        if masks is None:
            mixed = torch.stack([share * part for share, part in zip(shares, parts, strict=True)]).sum(0)
        else:
            areas = [share * F.interpolate(mask, x.shape[-2:], mode="area") for share, mask in zip(shares, masks, strict=True)]
            whole = torch.stack(areas).sum(0)
            mixed = torch.stack([area * part for area, part in zip(areas, parts, strict=True)]).sum(0) / whole.clamp_min(1e-6)
            mixed = torch.where(whole > 1e-6, mixed, x)  # where no style is asked for, the content stays
        return torch.lerp(x, mixed, alpha)

    def save(self, path: Path, license: str = "unknown") -> None:
        """Write a model file; with the encoder in it, unless that can be loaded from its source."""
        tensors = {f"decoder.{name}": value.half() for name, value in self.decoder.state_dict().items()}
        if self.source is None:
            tensors |= {f"encoder.{name}": value.half() for name, value in self.encoder.state_dict().items()}
        config = dict(source=self.source, encoder=self.encoder.config)
        checkpoint.save_model(path, tensors, kind=KIND, config=config, license=license)


def load(name: str | Path = "adain-lite") -> AdaIN:
    """A model from a name in the zoo, a path or ``hf://owner/repo/file``, in fp32.

    Raises:
        StyleLoomError: no such model, one of another kind, or a damaged one.
    """

    def make(config: dict[str, Any]) -> AdaIN:
        return AdaIN(Features(**config["encoder"]), source=config["source"])

    return checkpoint.rebuilt(name, KIND, make, with_encoder("encoder."))


@dataclass(frozen=True)
class AdaINConfig(OnePass):
    """Settings for painting with AdaIN.

    Args:
        model: adain-lite or a model file.
        style_size: longer side at which style images are looked at: larger strokes where it is larger; 0: as they are.
    """

    style_is_image: ClassVar[bool] = True
    model: str = "adain-lite"
    style_size: CountOrNone = 512


PRESETS = {"best": AdaINConfig()}


def configure(preset: str = "best", **settings: Any) -> AdaINConfig:
    """A preset with some settings changed.

    Raises:
        StyleLoomError: an unknown preset or setting, or a value that :class:`AdaINConfig` refuses.
    """
    return configured(PRESETS, preset, settings)


class AdaINPainter(Painter):
    """A network with the statistics of the styles, ready to paint; see :func:`painter`."""

    def __init__(
        self,
        network: AdaIN,
        styles: Sequence[Tensor],
        config: AdaINConfig,
        shares: Sequence[float],
        masks: Sequence[Tensor] | None,
    ) -> None:
        self.network, self.styles, self.shares, self.masks = network, styles, shares, masks
        self.config: AdaINConfig = config
        # Styles that take the content's colors are encoded image by image.
        self.statistics = None if config.keep_color != "none" else [self._style(style) for style in styles]

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] -> [N, 3, H', W']; large images in two passes over their tiles, the first for their statistics."""
        check_batch(images)
        return self._painted(images, self.config, check_masks(self.masks, len(self.styles), images))

    @torch.inference_mode()
    def _style(self, image: Tensor) -> Moment:
        size = self.config.style_size
        return self.network.style(images.resize_to_fit(image, size) if size else image)

    def _painted(self, content: Tensor, config: AdaINConfig, masks: Sequence[Tensor] | None) -> Tensor:
        painted = []
        for image in groups(content, config):
            if config.stroke_size and max(image.shape[-2:]) > config.stroke_size:
                small = replace(config, size=0, stroke_size=0)

                def reduced(each: Tensor, small: AdaINConfig = small) -> Tensor:
                    areas = masks and [images.resize(mask, each.shape[-2:]) for mask in masks]
                    return self._painted(each, small, areas)

                painted.append(at_stroke_size(image, config, reduced))
                continue
            regions = masks and [images.resize(mask, image.shape[-2:]) for mask in masks]
            painted.append(self._at_own_size(image, config, regions))
        return torch.cat(painted)

    def _at_own_size(self, image: Tensor, config: AdaINConfig, regions: Sequence[Tensor] | None) -> Tensor:
        """Images [N, 3, H, W] painted as a whole, or tile by tile with the statistics of all tiles."""
        styles = self.statistics
        if styles is None:
            _, looks = color.prepare_colors(thumbnail(image), self.styles, config.keep_color)
            styles = [self._style(look) for look in looks]

        def encoded(window: Window) -> Tensor:
            return self.network.encode(_padded(color.content_colors(floats(window.cut(image)), config.keep_color)))

        tile, statistics = 0, None  # one window, with statistics of its own
        if not config.fits(image):
            tile = config.tile
            statistics = _moments_of_all(window.inner(encoded(window), 8) for window in windows(image, tile, REACH))

        def part(window: Window) -> Tensor:
            source = floats(window.cut(image))
            areas = regions and [_padded(window.cut(region)) for region in regions]
            x = self.network.restyle(encoded(window), styles, self.shares, alpha=config.alpha, masks=areas, content=statistics)
            return finished(self.network.decode(x)[..., : source.shape[-2], : source.shape[-1]], source, config.keep_color)

        return by_tiles(part, image, tile, REACH)


def painter(
    config: AdaINConfig,
    styles: Sequence[Tensor],
    weights: Sequence[float] | None = None,
    masks: Sequence[Tensor] | None = None,
    *,
    model: AdaIN | None = None,
    device: str | torch.device = "cpu",
) -> AdaINPainter:
    """Make the network ready for a device and encode the styles.

    Args:
        config: see :class:`AdaINConfig`.
        styles: images [1, 3, h, w] in [0, 1], of any sizes.
        weights: share of each style, scaled to sum to 1; equal by default.
        masks: a mask [1, 1, H, W] in [0, 1] for each style, of the content's size. One mask serves two styles.
        model: network to use instead of ``config.model``.
        device: device of the network and the images.

    Returns:
        What repaints images [N, 3, H, W] in [0, 1] or of 8-bit numbers.

    Raises:
        StyleLoomError: tensors that are no images, weights that do not fit, or no such model.
    """
    check_styles(styles)
    shares = shares_of(weights if weights is not None else [1.0] * len(styles), "weights", count=len(styles))
    network = config.ready(model if model is not None else load(config.model), torch.device(device))
    return AdaINPainter(network, [style.to(device) for style in styles], config, shares, masks)


def stylize(
    content: Tensor,
    style: Tensor | Sequence[Tensor],
    config: AdaINConfig = PRESETS["best"],
    *,
    weights: Sequence[float] | None = None,
    masks: Sequence[Tensor] | None = None,
    model: AdaIN | None = None,
) -> Tensor:
    """Repaint images in one pass each.

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


def _moments_of_all(parts: Iterable[Tensor]) -> Moment:
    """Mean and unbiased variance over the positions of all parts together, [1, C, h, w] each."""
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for part in parts:
        flat = part.double().flatten(2)
        count += flat.shape[2]
        total = total + flat.sum(2)
        squares = squares + flat.square().sum(2)
    mean = total / count
    return mean.float(), ((squares - count * mean.square()) / max(1, count - 1)).clamp_min(0).float()


def _padded(image: Tensor) -> Tensor:
    """Sides that the encoder can halve three times."""
    height, width = image.shape[-2:]
    return F.pad(image, (0, -width % 8, 0, -height % 8), mode="replicate")


DECAYS = {
    "cosine": lambda step, steps: min(1, (step + 1) / 100) * cosine(step, steps),
    "paper": lambda step, steps: 1 / (1 + 5e-5 * step),
}


@dataclass(frozen=True)
class AdaINRecipe(Training):
    """Settings for training a decoder.

    Args:
        encoder: perceptual network: vgg19-lite, vgg19 or a file of weights.
        size: side of the squares that it is trained on.
        style_weight: weight of the style term (Eq. 11); the content's is 1.
        identity_weight: weight of the squared difference between images and what is decoded from their own features.
        optimizer: "muon" or "adam".
        lr: step size at the start.
        decay: how it falls: "cosine" to 2% after 100 steps of warming up, or "paper": lr / (1 + 5e-5 step).
        normalize: measure each layer's term as a share of its target.
        recolor: share of the style images whose colors are changed at random.
        ema_decay: decay of the moving average of the weights, which is what is kept.
    """

    num_steps: Count = 1_400
    batch: Count = 8
    encoder: str = EMBEDDED
    size: Count = 128
    style_weight: Weight = 4.0
    identity_weight: Weight = 100.0
    optimizer: Annotated[str, OneOf(OPTIMIZERS)] = "muon"
    lr: LearningRate = 2e-3
    decay: Annotated[str, OneOf(DECAYS)] = "cosine"
    normalize: bool = True
    recolor: Share = 0.5
    ema_decay: Decay = 0.99


RECIPES = {
    "default": AdaINRecipe(),
    # Section 6 and the authors' code: 512 px, of which 256 are cut.
    "paper": AdaINRecipe(
        num_steps=160_000,
        encoder="vgg_normalised.pth",
        size=256,
        style_weight=10,
        lr=1e-4,
        decay="paper",
        normalize=False,
        identity_weight=0,
        recolor=0,
        optimizer="adam",
        ema_decay=0,
    ),
}


def loss(model: AdaIN, content: Tensor, style: Tensor, recipe: AdaINRecipe) -> Losses:
    """Eq. 11 to 13: the AdaIN output is the content target, its statistics at four layers are the style's."""
    normalize = recipe.normalize
    with torch.no_grad():
        target_features = model.encoder(style, STYLE_LAYERS)
        encoded = model.encode(content)
        target = adain(encoded, unbiased_moments(target_features[CONTENT_LAYER]))
        spreads = {layer: _mean_and_std(target_features[layer]) for layer in STYLE_LAYERS}
    output = model.encoder(model.decode(target), STYLE_LAYERS)
    terms = []
    for layer in STYLE_LAYERS:
        distance = F.mse_loss(_mean_and_std(output[layer]), spreads[layer])
        terms.append(distance / spreads[layer].square().mean() if normalize else 2 * distance)
    losses = {
        "content": content_loss(output[CONTENT_LAYER], target, normalize=normalize),
        "style": recipe.style_weight * torch.stack(terms).sum(),
    }
    if recipe.identity_weight:  # on every other photograph and painting
        given_back = model.decode(torch.cat([encoded[::2], target_features[CONTENT_LAYER][::2]]))
        losses["identity"] = recipe.identity_weight * F.mse_loss(given_back, torch.cat([content[::2], style[::2]]))
    return losses


def _mean_and_std(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, 2 C]."""
    mean, variance = unbiased_moments(x)
    return torch.cat([mean, (variance + _EPSILON).sqrt()], 1)


@own_random_state
def train(
    content: str | Path | Sequence[str | Path],
    style: str | Path | Sequence[str | Path],
    recipe: AdaINRecipe = RECIPES["default"],
    *,
    run: Run,
    base: AdaIN | None = None,
) -> Iterator[TrainingStep]:
    """Train a decoder, a step at a time; the model is ``model.safetensors`` in the run's folder.

    Args:
        content: folders or zips of photographs.
        style: folders or zips of style images; each of them is as likely as another.
        recipe: see :class:`AdaINRecipe`.
        run: folder, license, hardware, and whether to resume.
        base: start from this trained decoder, and its encoder, instead of from noise.

    Yields:
        :class:`~styleloom.loops.task.TrainingStep` after each step.

    Raises:
        StyleLoomError: folders without images, or what :func:`~styleloom.loops.fit.fit` refuses.
    """
    fabric = run.hardware.launch()
    torch.manual_seed(recipe.seed)
    if base is None:
        model = AdaIN(load_features(recipe.encoder), source=recipe.encoder if recipe.encoder == EMBEDDED else None)
    else:
        model = AdaIN(copy.deepcopy(base.encoder), source=base.source)
        model.decoder.load_state_dict(base.decoder.state_dict())
    model = model.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    yield from fit(AdaINTask(content, style, recipe, model, run.license), recipe, run, fabric)


@final
class AdaINTask(Task):
    """Training of a decoder: a photograph and a style in, the loss of what it paints out.

    Args:
        content: folders or zips of photographs.
        style: folders or zips of style images; each is as likely as another.
        recipe: see :class:`AdaINRecipe`.
        model: encoder, and the decoder to train.
        license: noted in the model file.
    """

    def __init__(
        self,
        content: str | Path | Sequence[str | Path],
        style: str | Path | Sequence[str | Path],
        recipe: AdaINRecipe,
        model: AdaIN,
        license: str,
    ) -> None:
        self.recipe, self.model, self.license = recipe, model, license
        self.photographs = ImageFiles(content, shorter=round(1.6 * recipe.size))
        sources = [style] if isinstance(style, str | Path) else style
        self.paintings = [ImageFiles(source, shorter=round(1.6 * recipe.size)) for source in sources]
        optimizer = OPTIMIZERS[recipe.optimizer](model.decoder.parameters(), recipe.lr)
        self.networks = {"decoder": model.decoder}
        self.phases = {"decoder": Phase(optimizer, lambda content, style: loss(model, content, style, recipe))}
        self.count = len(self.photographs)
        self.damaged = [self.photographs.damaged, *(gallery.damaged for gallery in self.paintings)]
        self.averages = {"decoder": warmed(recipe.ema_decay)} if recipe.ema_decay else {}
        self.settings = asdict(recipe) | dict(method=KIND)
        examples = [self.item(index, RandomState([recipe.seed, index])) for index in range(SHOWN)]
        self.shown = [part.to(next(model.parameters()).device) for part in stacked(examples)]

    def item(self, index: int, rng: RandomState) -> tuple[Tensor, Tensor]:
        gallery = self.paintings[rng.randint(len(self.paintings))]
        painting = random_crop(gallery.find(rng.randint(len(gallery)), rng)[1], self.recipe.size, rng)
        painting = recolored(painting, rng) if rng.uniform() < self.recipe.recolor else painting
        return random_crop(self.photographs.find(index, rng)[1], self.recipe.size, rng), painting

    def schedule(self, step: int) -> float:
        return DECAYS[self.recipe.decay](step, self.recipe.num_steps)

    def sheet(self, networks: Mapping[str, Any]) -> Tensor:
        return images.grid([*self.shown, _with(self.model, networks["decoder"])(*self.shown)])

    def export(self, networks: Mapping[str, Any], path: Path) -> None:
        _with(self.model, networks["decoder"]).save(path, self.license)


def _with(model: AdaIN, decoder: nn.Module) -> AdaIN:
    """The same encoder beside another decoder."""
    other = AdaIN(model.encoder, source=model.source)
    other.decoder = decoder  # type: ignore[assignment]
    return other


_EPSILON = 1e-5
