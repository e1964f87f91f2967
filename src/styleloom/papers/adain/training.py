"""Training of the decoder."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, final

import torch
import torch.nn.functional as F
from numpy.random import RandomState
from torch import Tensor, nn
from typing_extensions import override

from styleloom.core.progress import Losses
from styleloom.core.random import own_random_state
from styleloom.core.run import Run
from styleloom.core.settings import Count, Decay, LearningRate, OneOf, Share, Weight
from styleloom.data import images
from styleloom.data.datasets import ImageFiles, random_crop, recolored, stacked
from styleloom.loops.fit import fit
from styleloom.loops.optimizers import OPTIMIZERS
from styleloom.loops.task import Phase, Task, Training, TrainingStep, cosine, warmed
from styleloom.nn.losses import content_loss
from styleloom.nn.vgg_files import EMBEDDED, load_features

from .architecture import _EPSILON, CONTENT_LAYER, KIND, STYLE_LAYERS, AdaIN, adain, unbiased_moments

SHOWN = 6  # examples on a sheet of the log


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

    @override
    def item(self, index: int, rng: RandomState) -> tuple[Tensor, Tensor]:
        gallery = self.paintings[rng.randint(len(self.paintings))]
        painting = random_crop(gallery.find(rng.randint(len(gallery)), rng)[1], self.recipe.size, rng)
        painting = recolored(painting, rng) if rng.uniform() < self.recipe.recolor else painting
        return random_crop(self.photographs.find(index, rng)[1], self.recipe.size, rng), painting

    @override
    def schedule(self, step: int) -> float:
        return DECAYS[self.recipe.decay](step, self.recipe.num_steps)

    @override
    def sheet(self, networks: Mapping[str, Any]) -> Tensor:
        return images.grid([*self.shown, _with(self.model, networks["decoder"])(*self.shown)])

    @override
    def export(self, networks: Mapping[str, Any], path: Path) -> None:
        _with(self.model, networks["decoder"]).save(path, self.license)


def _with(model: AdaIN, decoder: nn.Module) -> AdaIN:
    """The same encoder beside another decoder."""
    other = AdaIN(model.encoder, source=model.source)
    other.decoder = decoder  # type: ignore[assignment]
    return other
