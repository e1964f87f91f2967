"""Dumoulin, Shlens and Kudlur, "A Learned Representation for Artistic Style", ICLR 2017.

Johnson needs a network for each style. But the convolutions of such networks can be shared: a style is then nothing but
the scale and the shift after each normalization, some 3,000 numbers, and mixtures of those numbers are mixtures of
styles. A style is added to a trained network by fitting only its own numbers.

Differs from the paper:
    - the features are those of any network, by default vgg19-lite, and layer terms are shares of their targets;
    - weights are averaged over training (``ema_decay=0`` is the paper).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, final

import torch
import torch.nn.functional as F
from numpy.random import RandomState
from torch import Tensor, nn

from styleloom.core import checkpoint
from styleloom.core.errors import StyleLoomError
from styleloom.core.progress import Losses
from styleloom.core.random import own_random_state
from styleloom.core.run import Run
from styleloom.core.settings import Count, CountOrNone, Decay, LearningRate, OneOf, Weight, configured
from styleloom.data import images
from styleloom.data.checks import check_masks, shares_of
from styleloom.data.datasets import ImageFiles, random_crop
from styleloom.loops.fit import MODEL, fit
from styleloom.loops.one_pass import OnePass, Painter, check_batch, overlaid, paint
from styleloom.loops.optimizers import OPTIMIZERS
from styleloom.loops.task import Phase, Task, Training, TrainingStep, cosine, warmed
from styleloom.nn import transform_net
from styleloom.nn.layers import Moment
from styleloom.nn.losses import Moments
from styleloom.nn.vgg import POOLINGS
from styleloom.nn.vgg_files import EMBEDDED, load_features

from . import johnson

KIND = "dumoulin"
SHOWN = 4  # examples on a sheet of the log
JOINED = "joined.safetensors"
CONTENT_LAYER = "relu3_3"


class StyleNet(nn.Module):
    """One transformation network and, for each style, a scale and a shift of every normalized channel.

    Args:
        styles: names of the styles.
        width, blocks, deep_blocks, deep_width: see :class:`~styleloom.nn.transform_net.TransformNet`.
    """

    def __init__(
        self, styles: Sequence[str], *, width: int = 32, blocks: int = 5, deep_blocks: int = 0, deep_width: int = 128
    ) -> None:
        super().__init__()
        if not styles or len(set(styles)) < len(styles):
            raise StyleLoomError(f"styles {list(styles)} must be at least one, of different names")
        self.styles = tuple(styles)
        # Convolutions without bias, N(0, .01); the last one normalized too, then a sigmoid (Table 1 and 5).
        self.network = transform_net.TransformNet(
            width=width,
            blocks=blocks,
            output="sigmoid",
            own_norms=False,
            bias=False,
            deep_blocks=deep_blocks,
            deep_width=deep_width,
        )
        for module in self.network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
        self.gamma = nn.ParameterList([torch.ones(len(styles), channels) for channels in self.network.channels])
        self.beta = nn.ParameterList([torch.zeros(len(styles), channels) for channels in self.network.channels])

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes of a network with the same convolutions."""
        names = ("width", "blocks", "deep_blocks", "deep_width")
        return {name: int(self.network.config[name]) for name in names if name in self.network.config}  # type: ignore[call-overload]

    @property
    def parameters_per_style(self) -> int:
        """Numbers that make a style."""
        return 2 * sum(self.network.channels)

    def norms(self, shares: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Scales and shifts of mixtures of styles (Section 3.3): shares [N, styles] -> pairs of [N, C]."""
        return [(shares @ gamma, shares @ beta) for gamma, beta in zip(self.gamma, self.beta, strict=True)]

    def forward(self, image: Tensor, shares: Tensor, statistics: Sequence[Moment] | None = None) -> Tensor:
        """[N, 3, H, W] in [0, 1] and shares [N, styles] that sum to 1 -> [N, 3, H, W] in [0, 1]."""
        return self.network(image, self.norms(shares), statistics)

    def network_of(self, style: str) -> transform_net.TransformNet:
        """Johnson's network for one of the styles, which paints as this one does.

        Raises:
            StyleLoomError: a style that this network lacks.
        """
        return self.network.with_norms(self.norms(self.shares_of({style: 1.0})))

    def shares_of(self, weights: Mapping[str, float]) -> Tensor:
        """``{style: weight}`` -> [1, styles], scaled to sum to 1.

        Raises:
            StyleLoomError: a style that this network lacks, or weights that are negative or all 0.
        """
        unknown = [name for name in weights if name not in self.styles]
        if unknown:
            raise StyleLoomError(f"unknown styles {unknown}; this network has {', '.join(self.styles)}")
        row = torch.tensor([[float(weights.get(name, 0)) for name in self.styles]])
        if not (row >= 0).all() or not 0 < row.sum() < float("inf"):
            raise StyleLoomError(f"weights {dict(weights)} must be 0 or above, and not all 0")
        return row / row.sum()


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
class DumoulinTask(Task):
    """Training of a network for several styles: a photograph and the number of a style in, the loss of what it paints out.

    Args:
        content: folders or zips of photographs.
        styles: images [1, 3, H, W] in [0, 1], by name.
        recipe: see :class:`DumoulinRecipe`.
        network: the one to train.
        learned: its parameters that are trained.
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

        self.recipe, self.license, self.num_styles = recipe, license, len(styles)
        self.photographs = ImageFiles(content, shorter=round(1.2 * recipe.size))
        self.networks = {"network": network}
        self.phases = {"network": Phase(OPTIMIZERS[recipe.optimizer](learned, recipe.lr), loss)}
        self.count, self.damaged = len(self.photographs), [self.photographs.damaged]
        self.averages = {"network": warmed(recipe.ema_decay)} if recipe.ema_decay else {}
        identity = dict(styles=list(styles), images=checkpoint.fingerprint(None, list(styles.values())))
        self.settings = asdict(recipe) | dict(method=KIND) | identity
        examples = [self.item(index, RandomState([index]))[0] for index in range(SHOWN)]
        self.shown = torch.stack(examples).to(next(network.parameters()).device)

    def item(self, index: int, rng: RandomState) -> tuple[Tensor, Tensor]:
        cut = random_crop(self.photographs.find(index, rng)[1], self.recipe.size, rng)
        return cut, torch.tensor(rng.randint(self.num_styles))

    def schedule(self, step: int) -> float:
        return cosine(step, self.recipe.num_steps)

    def sheet(self, networks: Mapping[str, Any]) -> Tensor:
        rows = torch.eye(self.num_styles, device=self.shown.device)
        return images.grid([self.shown, *(networks["network"](self.shown, row.expand(len(self.shown), -1)) for row in rows)])

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


def join(*networks: StyleNet) -> StyleNet:
    """One network with the styles of several that share their convolutions, as a base and those added to it do.

    Raises:
        StyleLoomError: their convolutions differ, or two styles have one name.
    """
    first = networks[0].network
    for other in networks[1:]:
        if any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.network.parameters(), strict=True)):
            raise StyleLoomError("these networks have different convolutions; only styles added to one base can be joined")
    joined = StyleNet(
        [name for network in networks for name in network.styles],
        **networks[0].sizes,
    )
    joined.network.load_state_dict(first.state_dict())
    for index in range(len(first.channels)):
        joined.gamma[index].data = torch.cat([network.gamma[index].data for network in networks])
        joined.beta[index].data = torch.cat([network.beta[index].data for network in networks])
    return joined


def save(network: StyleNet, path: Path, license: str = "unknown") -> None:
    """Write a model file; ``license``: what it may be used for, noted in it."""
    tensors = {name: value.half() for name, value in network.state_dict().items()}
    config = dict(styles=list(network.styles)) | network.sizes
    checkpoint.save_model(path, tensors, kind=KIND, config=config, license=license)


def load(name: str | Path = "pastiche-16") -> StyleNet:
    """A model from a name in the zoo, a path or ``hf://owner/repo/file``, in fp32.

    Raises:
        StyleLoomError: no such model, one of another kind, or a damaged one.
    """
    return checkpoint.rebuilt(name, KIND, lambda config: StyleNet(**config))


@dataclass(frozen=True)
class DumoulinConfig(OnePass):
    """Settings for painting with a network of several styles.

    Args:
        model: pastiche-16 or a model file.
    """

    model: str = "pastiche-16"


PRESETS = {"best": DumoulinConfig()}


def configure(preset: str = "best", **settings: Any) -> DumoulinConfig:
    """A preset with some settings changed.

    Raises:
        StyleLoomError: an unknown preset or setting, or a value that :class:`DumoulinConfig` refuses.
    """
    return configured(PRESETS, preset, settings)


class DumoulinPainter(Painter):
    """A network with the shares of its styles, ready to paint; see :func:`painter`."""

    def __init__(
        self,
        network: StyleNet,
        styles: Sequence[str],
        config: DumoulinConfig,
        shares: Sequence[float],
        masks: Sequence[Tensor] | None,
    ) -> None:
        self.network, self.shares, self.masks = network, shares, masks
        self.config: DumoulinConfig = config
        self.styles = [network.shares_of({style: 1.0}) for style in styles]
        mixture: dict[str, float] = {}
        for style, share in zip(styles, shares, strict=True):
            mixture[style] = mixture.get(style, 0) + share
        self.mixture = network.shares_of(mixture)

    def __call__(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] -> [N, 3, H', W']."""
        check_batch(images)
        regions = check_masks(self.masks, len(self.styles), images)
        if regions is None:
            return self._painted(images, self.mixture)
        return overlaid([self._painted(images, each) for each in self.styles], regions, self.shares, images)

    def _painted(self, images: Tensor, shares: Tensor) -> Tensor:
        shares = shares.to(images.device)
        network = self.network

        def prepared(image: Tensor) -> Callable[[Tensor], Tensor]:
            statistics = network.network.statistics(image, network.norms(shares))
            return lambda part: network(part, shares, statistics)

        return paint(images, self.config, network.network.reach, lambda part: network(part, shares), prepared)


def painter(
    config: DumoulinConfig,
    styles: Sequence[str],
    weights: Sequence[float] | None = None,
    masks: Sequence[Tensor] | None = None,
    *,
    model: StyleNet | None = None,
    device: str | torch.device = "cpu",
) -> DumoulinPainter:
    """Make the network ready for a device and a mixture of its styles.

    Args:
        config: see :class:`DumoulinConfig`.
        styles: names of the network's styles.
        weights: share of each style, scaled to sum to 1; equal by default.
        masks: a mask [1, 1, H, W] in [0, 1] for each style, of the content's size. Each style is painted whole, and the
            results are laid over one another. One mask serves two styles.
        model: network to use instead of ``config.model``.
        device: device of the network and the images.

    Returns:
        What repaints images [N, 3, H, W] in [0, 1] or of 8-bit numbers.

    Raises:
        StyleLoomError: no such model or style, or weights that do not fit.
    """
    shares = shares_of(weights if weights is not None else [1.0] * len(styles), "weights", count=len(styles))
    network = config.ready(model if model is not None else load(config.model), torch.device(device))
    return DumoulinPainter(network, styles, config, shares, masks)


def stylize(
    content: Tensor,
    style: str | Sequence[str],
    config: DumoulinConfig = PRESETS["best"],
    *,
    weights: Sequence[float] | None = None,
    masks: Sequence[Tensor] | None = None,
    model: StyleNet | None = None,
) -> Tensor:
    """Repaint images in one pass each, in any mixture of the network's styles.

    Args:
        content: [N, 3, H, W] in [0, 1], or of 8-bit numbers; each image is painted by itself.
        style: one or several names of the network's styles.
        config, weights, masks, model: see :func:`painter`, also for errors.

    Returns:
        [N, 3, H', W'], as ``content``.
    """
    check_batch(content)
    styles = [style] if isinstance(style, str) else list(style)
    return painter(config, styles, weights, masks, model=model, device=content.device)(content)
