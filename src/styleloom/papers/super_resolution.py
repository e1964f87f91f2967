"""Johnson, Alahi and Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", ECCV 2016: the other half.

Of all images that a small one may come from, the mean has the least squared error and looks blurred. Measure the error
between features of a network instead, and a network that enlarges four times in one pass learns to draw detail.

Differs from the paper:
    - the network adds to a bicubic enlargement, and has no normalization: colors stay without matching histograms;
    - nearest-neighbor upsampling with a convolution, not a transposed one: no checkerboard;
    - features after two convolutions of two blocks instead of one, and a share of the squared error
      (``RECIPES["paper"]`` has the paper's terms, ``RECIPES["mse"]`` the network that it compares with);
    - fine texture that the true image does not have costs something, else smooth places are hatched;
    - small images are made by bicubic reduction alone, without the blur before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from styleloom.core import checkpoint
from styleloom.core.errors import StyleLoomError
from styleloom.core.progress import Losses
from styleloom.core.random import own_random_state
from styleloom.core.run import Run
from styleloom.core.settings import Count, CountOrNone, Decay, LearningRate, OneOf, Weight
from styleloom.data import images
from styleloom.data.images import floats
from styleloom.data.tiles import by_tiles
from styleloom.loops.fit import fit
from styleloom.loops.optimizers import OPTIMIZERS
from styleloom.loops.photographs import PhotographTask
from styleloom.loops.task import Training, TrainingStep
from styleloom.nn.layers import Conv, placed
from styleloom.nn.losses import content_loss
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import EMBEDDED, load_features

KIND = "super-resolution"
SHOWN = 6  # examples on a sheet of the log
SCALE = 4
SMALLEST = 8  # pixels a side: the first convolution reflects four of them


class Upscaler(nn.Module):
    """Residual blocks on the small image, two upsampling convolutions, and a bicubic enlargement that they add to.

    Args:
        width: channels.
        blocks: residual blocks of two convolutions.
    """

    def __init__(self, *, width: int = 32, blocks: int = 4) -> None:
        super().__init__()
        self.config = dict(width=width, blocks=blocks)
        self.first = Conv(3, width, 9)
        self.residual = nn.ModuleList([Conv(width, width, 3) for _ in range(2 * blocks)])
        self.up = nn.ModuleList([Conv(width, width, 3, up=2) for _ in range(2)])
        self.last = Conv(width, 3, 9)
        nn.init.zeros_(self.last.weight)  # it begins as the bicubic enlargement
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    @property
    def reach(self) -> int:
        """Receptive radius of a pixel of the large image, in pixels of the small one."""
        return 4 + len(self.residual) + 4

    def forward(self, image: Tensor) -> Tensor:
        """[N, 3, H, W] in [0, 1], at least 8 pixels a side -> [N, 3, 4 H, 4 W], nominally in [0, 1]."""
        x = F.relu(self.first(image.contiguous(memory_format=torch.channels_last)))
        for first, second in zip(self.residual[::2], self.residual[1::2], strict=True):
            x = x + second(F.relu(first(x)))
        for conv in self.up:
            x = F.relu(conv(x))
        return F.interpolate(image, scale_factor=SCALE, mode="bicubic") + self.last(x)


@dataclass(frozen=True)
class UpscalerRecipe(Training):
    """Settings for training a network that enlarges.

    Args:
        features: perceptual network: vgg19-lite, vgg16 (the paper's), vgg19 or a file of weights.
        layers: layers of the network whose difference is measured.
        size: side of the large squares that it is trained on.
        feature_weight: weight of the mean over layers of the difference of features, each as a share of the true ones.
        pixel_weight: weight of the squared error of pixels.
        texture_weight: weight of fine texture beyond that of the true image.
        width: channels.
        blocks: residual blocks.
        optimizer: "muon" or "adam".
        lr: step size at the start; it falls by a cosine to 2%.
        ema_decay: decay of the moving average of the weights, which is what is kept; 0: none.
    """

    num_steps: Count = 3_000
    batch: Count = 8
    features: str = EMBEDDED
    layers: tuple[str, ...] = ("relu1_2", "relu2_2")
    size: Count = 128
    feature_weight: Weight = 1.0
    pixel_weight: Weight = 10.0
    texture_weight: Weight = 20.0
    width: Count = 32
    blocks: CountOrNone = 4
    optimizer: Annotated[str, OneOf(OPTIMIZERS)] = "muon"
    lr: LearningRate = 3e-3
    ema_decay: Decay = 0.995


RECIPES = {
    "default": UpscalerRecipe(),
    "mse": UpscalerRecipe(feature_weight=0, pixel_weight=100, texture_weight=0),
    # Section 4.2: VGG-16 at relu2_2, 288 px in batches of 4, 200,000 updates at 1e-3; 64 channels.
    "paper": UpscalerRecipe(
        num_steps=200_000,
        batch=4,
        features="vgg16",
        layers=("relu2_2",),
        size=288,
        pixel_weight=0,
        texture_weight=0,
        width=64,
        optimizer="adam",
        lr=1e-3,
        ema_decay=0,
    ),
}


def reduced(image: Tensor) -> Tensor:
    """The small image of a large one, rounded to 8 bits as a file is: [N, 3, 4 H, 4 W] in [0, 1] -> [N, 3, H, W]."""
    height, width = image.shape[-2:]
    return (images.resize(image, (height // SCALE, width // SCALE)) * 255).round() / 255


def objective(features: Features, enlarged: Tensor, truth: Tensor, recipe: UpscalerRecipe) -> Losses:
    """Feature reconstruction (Eq. 2) and the squared error of pixels, between [N, 3, H, W] in [0, 1]."""
    losses: Losses = {}
    if recipe.feature_weight:
        with torch.no_grad():
            target = features(truth, recipe.layers)
        output = features(enlarged, recipe.layers)
        terms = [content_loss(output[layer], target[layer]) for layer in recipe.layers]
        losses["features"] = recipe.feature_weight * torch.stack(terms).mean()
    if recipe.pixel_weight:
        losses["pixels"] = recipe.pixel_weight * F.mse_loss(enlarged, truth)
    if recipe.texture_weight:
        losses["texture"] = recipe.texture_weight * F.relu(fine_texture(enlarged) - fine_texture(truth)).mean()
    return losses


def fine_texture(image: Tensor) -> Tensor:
    """Local amplitude of what is finer than a blur of 5 pixels: [N, 3, H, W] -> [N, 3, H / 4, W / 4]."""
    fine = image - F.avg_pool2d(F.pad(image, (2, 2, 2, 2), mode="reflect"), 5, 1)
    return (F.avg_pool2d(fine.square(), 8, 4) + 1e-6).sqrt()


@own_random_state
def train(
    content: str | Path | Sequence[str | Path],
    recipe: UpscalerRecipe = RECIPES["default"],
    *,
    run: Run,
) -> Iterator[TrainingStep]:
    """Train a network that enlarges four times, a step at a time; the model is ``model.safetensors`` in the run's folder.

    Args:
        content: folders or zips of photographs.
        recipe: see :class:`UpscalerRecipe`.
        run: folder, license, hardware, and whether to resume.

    Yields:
        :class:`~styleloom.loops.task.TrainingStep` after each step.

    Raises:
        StyleLoomError: folders without images, a recipe that measures nothing or a size that is no multiple of 4, or
            what :func:`~styleloom.loops.fit.fit` refuses.
    """
    if recipe.size % SCALE or recipe.size < SCALE * SMALLEST:
        raise StyleLoomError(f"size is {recipe.size}; it must be a multiple of {SCALE} and at least {SCALE * SMALLEST}")
    if not recipe.feature_weight and not recipe.pixel_weight:
        raise StyleLoomError("feature_weight and pixel_weight are both 0; nothing would be learned")
    fabric = run.hardware.launch()
    torch.manual_seed(recipe.seed)
    features = load_features(recipe.features).prepare(fabric.device, torch.float32)
    features.check_layers(recipe.layers)
    network = Upscaler(width=recipe.width, blocks=recipe.blocks)
    network = network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    yield from fit(UpscalerTask(content, recipe, network, features, run.license), recipe, run, fabric)


@final
class UpscalerTask(PhotographTask):
    """Training of an upscaler: photographs and their reductions.

    Args:
        content: folders or zips of photographs.
        recipe: see :class:`UpscalerRecipe`.
        network: the one to train.
        features: perceptual network of the loss.
        license: noted in the model file.
    """

    def __init__(
        self,
        content: str | Path | Sequence[str | Path],
        recipe: UpscalerRecipe,
        network: Upscaler,
        features: Features,
        license: str,
    ) -> None:
        def loss(truth: Tensor) -> Losses:
            return objective(features, network(reduced(truth)), truth, recipe)

        super().__init__(content, recipe, network, loss, license, dict(method=KIND), margin=2, num_shown=SHOWN)

    @override
    def sheet(self, networks: Mapping[str, Any]) -> Tensor:
        small = reduced(self.shown)
        enlarged = images.resize(small, (self.recipe.size, self.recipe.size))
        return images.grid([enlarged, networks["network"](small), self.shown])

    @override
    def export(self, networks: Mapping[str, Any], path: Path) -> None:
        save(networks["network"], path, self.license)


def save(network: Upscaler, path: Path, license: str = "unknown") -> None:
    """Write a model file; ``license``: what it may be used for, noted in it."""
    tensors = {name: value.half() for name, value in network.state_dict().items()}
    checkpoint.save_model(path, tensors, kind=KIND, config=network.config, license=license)


def load(name: str | Path = "upscale-x4") -> Upscaler:
    """A model from a name in the zoo, a path or ``hf://owner/repo/file``, in fp32.

    Raises:
        StyleLoomError: no such model, one of another kind, or a damaged one.
    """
    return checkpoint.rebuilt(name, KIND, lambda config: Upscaler(**config))


@torch.inference_mode()
def upscale(image: images.ImageLike, model: Upscaler | str | Path = "upscale-x4", *, tile: int = 256) -> Tensor:
    """Enlarge images four times in one pass.

    Args:
        image: [N, 3, H, W] in [0, 1], or of 8-bit numbers, at least 8 pixels a side; or a file, a PIL image or an array.
        model: a network, or the name or file of one.
        tile: larger images are enlarged in squares of so many pixels, which changes nothing in the result; 0: never.

    Returns:
        [N, 3, 4 H, 4 W], as ``image``.

    Raises:
        StyleLoomError: no such model, one of another kind, images that are too small, or a negative tile.
    """
    image = image if isinstance(image, Tensor) else images.as_images(image)
    if min(image.shape[-2:]) < SMALLEST:
        height, width = image.shape[-2:]
        raise StyleLoomError(f"an image of {width} x {height} is too small to enlarge; it needs {SMALLEST} px a side")
    if tile < 0:
        raise StyleLoomError(f"tile is {tile}; it must be a number of pixels, or 0 for none")
    network = model if isinstance(model, Upscaler) else load(model)
    network = placed(network, image.device)
    enlarged = [
        by_tiles(lambda window, one=one: network(floats(window.cut(one))), one, tile, network.reach, SCALE)  # type: ignore[misc]
        for one in image.split(1)
    ]
    return torch.cat(enlarged)
