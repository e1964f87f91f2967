"""Wang, Liu, Zhu, Tao, Kautz and Catanzaro, "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs",
CVPR 2018.

pix2pix blurs and breaks above 256 px. Here a global generator works at half the size, a local enhancer is put around it, and
discriminators look at several sizes. Their own features and those of a perceptual network replace the L1 term. Boundaries of
instances keep neighbors apart, and a code for each instance gives many outputs.

Differs from the paper:
    - the perceptual network is the bundled ``vgg19-lite`` unless another is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import torch
import torch.nn.functional as F
from numpy.random import RandomState
from torch import Tensor, nn

from styleloom.core.errors import StyleLoomError
from styleloom.core.progress import Losses
from styleloom.core.random import own_random_state
from styleloom.core.run import Run
from styleloom.core.settings import Count, CountOrNone, OneOf, Weight
from styleloom.data.pairs import Domains
from styleloom.loops.adversarial import only
from styleloom.loops.fit import MODEL, fit
from styleloom.loops.task import Phase, TrainingStep
from styleloom.loops.translation import TranslationRecipe, TranslationTask, adam, begin_with, domains_of, pool_random
from styleloom.nn.layers import Conv
from styleloom.nn.losses import GAN_MODES, gan_loss
from styleloom.nn.translation import (
    NORMS,
    ImagePool,
    PatchGAN,
    ResidualBlock,
    ResNetGenerator,
    generator_config,
    initialize,
    made_generator,
    normalization,
)
from styleloom.nn.translator import CODES, Translator, load_translator, save_translator
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import EMBEDDED, load_features

KIND = "pix2pixhd"
VGG_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
VGG_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
MOST_WIDTH = 512  # channels of a discriminator
MOST_READ = 500  # images whose instances' codes are clustered
LLOYD_STEPS = 30


def halved(image: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, H / 2, W / 2], by means of 3 x 3 pixels."""
    return F.avg_pool2d(image, 3, stride=2, padding=1, count_include_pad=False)


class LocalEnhancer(nn.Module):
    """A generator for twice the size around another one (Section 3.2): what both see is added before the residual blocks.

    Args:
        in_channels, out_channels: of the images.
        width: channels of its first convolution; the global generator's has twice as many, at half the size.
        blocks: residual blocks of the global generator.
        local_blocks: of its own.
        downsamplings: halvings of the global generator.
        norm: ``"batch"``, ``"instance"`` or ``"none"``.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        *,
        width: int = 32,
        blocks: int = 9,
        local_blocks: int = 3,
        downsamplings: int = 4,
        norm: str = "instance",
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = dict(
            in_channels=in_channels,
            out_channels=out_channels,
            width=width,
            blocks=blocks,
            local_blocks=local_blocks,
            downsamplings=downsamplings,
            norm=norm,
        )
        self.in_channels, self.out_channels, self.multiple = in_channels, out_channels, 2 ** (downsamplings + 1)
        self.smallest = 2 * max(4, self.multiple)
        self.inner = ResNetGenerator(
            in_channels, out_channels, width=2 * width, blocks=blocks, downsamplings=downsamplings, norm=norm, always_bias=True
        )
        del self.inner.head  # what it would draw is not asked for
        self.reach = 2 * (self.inner.reach or 0) + 8 * (2 + 2 * local_blocks)
        self.stem, self.stem_norm = Conv(in_channels, width, 7), normalization(norm, width)
        self.down, self.down_norm = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), normalization(norm, 2 * width)
        self.blocks = nn.ModuleList([ResidualBlock(2 * width, norm, False, True) for _ in range(local_blocks)])
        self.up = nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1)
        self.up_norm = normalization(norm, width)
        self.head = Conv(width, out_channels, 7)

    def forward(self, image: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, H, W] in [-1, 1]."""
        x = F.relu(self.stem_norm(self.stem(image.contiguous(memory_format=torch.channels_last))), inplace=True)
        x = F.relu(self.down_norm(self.down(x)), inplace=True) + self.inner.features(halved(image))
        for block in self.blocks:
            x = block(x)
        x = F.relu(self.up_norm(self.up(x)), inplace=True)
        return torch.tanh(self.head(x).float())


class MultiScale(nn.Module):
    """Discriminators of an image, its half, its quarter (Section 3.2).

    Args:
        in_channels: of what they see.
        width: channels of the first convolution.
        layers: strided convolutions of each.
        num: how many there are; the first sees the whole size.
        norm: ``"batch"``, ``"instance"`` or ``"none"``.
    """

    def __init__(self, in_channels: int = 3, *, width: int = 64, layers: int = 3, num: int = 2, norm: str = "instance") -> None:
        super().__init__()
        self.config: dict[str, Any] = dict(in_channels=in_channels, width=width, layers=layers, num=num, norm=norm)
        options: dict[str, Any] = dict(width=width, layers=layers, norm=norm, padding=2, max_width=MOST_WIDTH, always_bias=True)
        self.scales = nn.ModuleList([PatchGAN(in_channels, **options) for _ in range(num)])

    def features(self, image: Tensor) -> list[list[Tensor]]:
        """Activations of each layer at each scale, the logits last."""
        outputs = []
        for index, scale in enumerate(self.scales):
            image = halved(image) if index else image
            outputs.append(scale.features(image))  # type: ignore[operator]
        return outputs

    def forward(self, image: Tensor) -> list[Tensor]:
        """[N, in_channels, H, W] -> logits [N, 1, h, w] of each scale."""
        return [each[-1] for each in self.features(image)]


class InstanceEncoder(nn.Module):
    """A code for each instance, from the image of it: features, averaged over the instance (Section 3.4).

    Without an image, codes are drawn from those that were usual in training, class by class.

    Args:
        in_channels: of images.
        codes: numbers of a code.
        width: channels of the first convolution.
        downsamplings: halvings.
        norm: ``"batch"``, ``"instance"`` or ``"none"``.
        usual: classes, and codes of each that may be drawn; see :meth:`find_usual`.
    """

    usual: Tensor

    def __init__(
        self,
        in_channels: int = 3,
        codes: int = 3,
        *,
        width: int = 16,
        downsamplings: int = 4,
        norm: str = "instance",
        usual: Sequence[int] = (0, 0),
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = dict(
            in_channels=in_channels, codes=codes, width=width, downsamplings=downsamplings, norm=norm
        )
        self.register_buffer("usual", torch.zeros(*usual, codes), persistent=bool(usual[0]))
        if usual[0]:
            self.config["usual"] = list(usual)
        self.network = ResNetGenerator(
            in_channels, codes, width=width, blocks=0, downsamplings=downsamplings, norm=norm, always_bias=True
        )
        self.in_channels, self.multiple, self.smallest = in_channels, self.network.multiple, self.network.smallest
        self.reach = None

    def forward(self, image: Tensor, instances: Tensor) -> Tensor:
        """Image [N, C, H, W] in [-1, 1] and numbers of instances [N, 1, H, W] -> codes [N, codes, H, W]."""
        features: Tensor = self.network(image)
        result = []
        for feature, numbers in zip(features, instances.round().long(), strict=True):
            names, inverse = numbers.flatten().unique(return_inverse=True)
            sums = feature.new_zeros(len(feature), len(names)).index_add(1, inverse, feature.flatten(1))
            counts = torch.bincount(inverse, minlength=len(names))
            result.append((sums / counts)[:, inverse].view_as(feature))
        return torch.stack(result)

    @torch.inference_mode()
    def find_usual(self, examples: Iterable[tuple[Tensor, Tensor, Tensor]], classes: int, count: int) -> InstanceEncoder:
        """A copy that knows the usual codes: the centers of clusters of each class's instances.

        Args:
            examples: inputs [1, A, H, W], whose first channels are 1 where a class is, images [1, C, H, W] in [-1, 1], and
                numbers of instances [1, 1, H, W].
            classes: how many; 1 where inputs are no label maps.
            count: codes of each class.
        """
        found: list[list[Tensor]] = [[] for _ in range(classes)]
        for x, image, instances in examples:
            codes = self(image, instances)[0]
            for inside in _insides(instances):
                found[_class_of(x, inside, classes)].append(codes[:, inside].mean(1))
        every = torch.stack([code for codes in found for code in codes])
        centers = [_centers(torch.stack(codes) if codes else every, count) for codes in found]
        copy = InstanceEncoder(**self.config | dict(usual=(classes, count)))
        copy.load_state_dict(self.state_dict() | dict(usual=torch.stack(centers)))
        return copy.to(every.device)

    def drawn(self, x: Tensor, instances: Tensor, seed: int) -> Tensor:
        """One of the usual codes for each instance: inputs [1, A, H, W], numbers [1, 1, H, W] -> codes [1, codes, H, W].

        Raises:
            StyleLoomError: none are known.
        """
        if not len(self.usual):
            raise StyleLoomError("this model knows no usual codes; give codes_of, an image to read codes off")
        random = torch.Generator().manual_seed(seed)
        codes = x.new_empty(1, self.usual.shape[2], *x.shape[2:])
        for inside in _insides(instances):
            choice = int(torch.randint(self.usual.shape[1], (), generator=random))
            codes[0, :, inside] = self.usual[_class_of(x, inside, len(self.usual)), choice][:, None].to(x)
        return codes


def _insides(instances: Tensor) -> Iterator[Tensor]:
    """Positions of each instance of a map [1, 1, H, W]: [H, W] of bools."""
    numbers = instances[0, 0].round().long()
    for number in numbers.unique():
        yield numbers == number


def _class_of(x: Tensor, inside: Tensor, classes: int) -> int:
    """The class of an instance: the channel of x that is largest there."""
    return int(x[0, :classes, inside].mean(1).argmax())


def _centers(points: Tensor, count: int) -> Tensor:
    """Centers of clusters (Lloyd 1982): [N, D] -> [count, D]; points themselves, some twice, where there are not so many."""
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(0))
    centers = points[order.repeat(-(-count // len(points)))[:count]]
    for _ in range(LLOYD_STEPS if len(points) > count else 0):
        nearest = torch.cdist(points, centers).argmin(1)
        sums = torch.zeros_like(centers).index_add(0, nearest, points)
        sizes = torch.bincount(nearest, minlength=count)[:, None]
        centers = torch.where(sizes > 0, sums / sizes.clamp_min(1), centers)
    return centers


def boundaries(instances: Tensor) -> Tensor:
    """1 where a neighbor belongs to another instance: numbers [N, 1, H, W] -> [N, 1, H, W] (Section 3.3)."""
    edge = torch.zeros_like(instances, dtype=torch.bool)
    across, down = instances[..., 1:] != instances[..., :-1], instances[..., 1:, :] != instances[..., :-1, :]
    edge[..., 1:] |= across
    edge[..., :-1] |= across
    edge[..., 1:, :] |= down
    edge[..., :-1, :] |= down
    return edge.float()


@dataclass(frozen=True)
class Pix2PixHDRecipe(TranslationRecipe):
    """Settings for training a network on pairs of a large size.

    Args:
        enhancer: put a local enhancer around the global generator, which is then at half the size.
        local_blocks: residual blocks of the enhancer.
        downsamplings: halvings of the global generator.
        fix_global_epochs: epochs at the start in which the global generator keeps the weights of the base.
        scales: discriminators, each at half the size of the one before.
        feature_weight: of the difference of the discriminators' features.
        perceptual_weight: of that of a perceptual network's.
        features: the perceptual network.
        codes: numbers of each instance's code, for many outputs; 0: none.
        usual_codes: codes of each class that may be drawn at use: centers of clusters over the training images.
        encoder_width: channels of the encoder's first convolution.
    """

    size: Count = 512
    load_size: CountOrNone = 0
    norm: Annotated[str, OneOf(NORMS)] = "instance"
    gan_mode: Annotated[str, OneOf(GAN_MODES)] = "lsgan"
    enhancer: bool = False
    local_blocks: Count = 3
    downsamplings: Count = 4
    fix_global_epochs: CountOrNone = 0
    scales: Count = 2
    feature_weight: Weight = 10.0
    perceptual_weight: Weight = 10.0
    features: str = EMBEDDED
    codes: CountOrNone = 0
    usual_codes: Count = 10
    encoder_width: Count = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_size(2 ** (self.downsamplings + self.enhancer), "downsamplings")
        if not self.enhancer:
            self.check_idle(("local_blocks", "fix_global_epochs"), "that is of the enhancer: leave it out, or ask for one")
        if not self.codes:
            self.check_idle(("encoder_width", "usual_codes"), "that is of the codes' encoder: leave it out, or ask for codes")
        if not self.perceptual_weight:
            self.check_idle(("features",), "perceptual_weight is 0: leave one of them out")


RECIPES = {
    "paper": Pix2PixHDRecipe(),  # the global generator, at half of the final size
    "paper-enhancer": Pix2PixHDRecipe(size=1024, width=32, enhancer=True, fix_global_epochs=10),
    "128-small": Pix2PixHDRecipe(
        size=128, load_size=136, width=16, blocks=4, downsamplings=3, discriminator_width=24, num_steps=20_000
    ),
}


def made(config: dict[str, Any]) -> nn.Module:
    """The generator, enhancer or encoder of a model file's config."""
    options = dict(config)
    kinds: dict[str, type[nn.Module]] = {"enhancer": LocalEnhancer, "encoder": InstanceEncoder}
    if options["network"] not in kinds:
        return made_generator(options)
    return kinds[options.pop("network")](**options)


def config_of(network: nn.Module) -> dict[str, Any]:
    """Config from which :func:`made` makes the network."""
    for name, kind in {"enhancer": LocalEnhancer, "encoder": InstanceEncoder}.items():
        if isinstance(network, kind):
            return dict(network=name) | dict(network.config)  # type: ignore[arg-type]
    return generator_config(network)


def networks_of(recipe: Pix2PixHDRecipe, x_channels: int, y_channels: int, instances: bool) -> dict[str, nn.Module]:
    """Generator, discriminators and, where instances have codes, their encoder, with new weights."""
    if recipe.codes and not instances:
        raise StyleLoomError("codes are of instances; give their maps (instances), or set codes to 0")
    inputs = x_channels + instances
    shape: dict[str, Any] = dict(blocks=recipe.blocks, downsamplings=recipe.downsamplings, norm=recipe.norm, width=recipe.width)
    G: nn.Module
    if recipe.enhancer:
        G = LocalEnhancer(inputs + recipe.codes, y_channels, local_blocks=recipe.local_blocks, **shape)
    else:
        G = ResNetGenerator(inputs + recipe.codes, y_channels, always_bias=True, **shape)
    D = MultiScale(
        inputs + y_channels,
        width=recipe.discriminator_width,
        layers=recipe.discriminator_layers,
        num=recipe.scales,
        norm=recipe.norm,
    )
    networks: dict[str, nn.Module] = {"G": G, "D": D}
    if recipe.codes:
        networks["E"] = InstanceEncoder(y_channels, recipe.codes, width=recipe.encoder_width, norm=recipe.norm)
    for network in networks.values():
        initialize(network)
    return networks


def feature_matching(made: list[list[Tensor]], real: list[list[Tensor]]) -> Tensor:
    """Eq. 3: mean absolute differences of the discriminators' features, without its weight."""
    share = 4 / (len(made[0]) - 1) / len(made)  # 4 / (layers + 1), and 1 / num_D; a discriminator has layers + 2 outputs
    terms = [
        F.l1_loss(one.float(), other.detach().float())
        for scale, true in zip(made, real, strict=True)
        for one, other in zip(scale[:-1], true[:-1], strict=True)
    ]
    return share * torch.stack(terms).sum()


def perceptual_loss(features: Features, made: Tensor, real: Tensor) -> Tensor:
    """Weighted absolute differences at five layers; images [N, 3, H, W] in [-1, 1]."""
    outputs = features(made.add(1).div(2), VGG_LAYERS)
    with torch.no_grad():
        targets = features(real.add(1).div(2), VGG_LAYERS)
    terms = [weight * F.l1_loss(outputs[layer], targets[layer]) for layer, weight in zip(VGG_LAYERS, VGG_WEIGHTS, strict=True)]
    return torch.stack(terms).sum()


def outputs_of(networks: Mapping[str, nn.Module], x: Tensor, y: Tensor, instances: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """X with the boundaries of instances, where they are known, and what G makes of it, with codes of y where there is E."""
    x = torch.cat([x, boundaries(instances[0])], 1) if instances else x
    codes = [networks["E"](y, instances[0])] if "E" in networks else []
    return x, networks["G"](torch.cat([x, *codes], 1))


def phases_of(
    networks: Mapping[str, nn.Module], pool: ImagePool, features: Features | None, recipe: Pix2PixHDRecipe
) -> dict[str, Phase]:
    """The updates of a step: D's, then G's and E's."""
    D = networks["D"]
    kept: list[tuple[Tensor, Tensor]] = []
    once = recipe.accumulate == 1

    def discriminate(x: Tensor, y: Tensor, *instances: Tensor) -> Losses:
        only(D.parameters(), D)
        x, output = outputs_of(networks, x, y, instances)
        if once:
            kept[:] = [(x, output)]
        seen = pool.query(torch.cat([x, output.detach()], 1), pool_random())
        made, real = D(seen), D(torch.cat([x, y], 1))
        return {
            "D_made": 0.5 * torch.stack([gan_loss(each, False, recipe.gan_mode) for each in made]).sum(),
            "D_real": 0.5 * torch.stack([gan_loss(each, True, recipe.gan_mode) for each in real]).sum(),
        }

    def generate(x: Tensor, y: Tensor, *instances: Tensor) -> Losses:
        only((), D)
        x, output = kept.pop() if kept else outputs_of(networks, x, y, instances)
        losses: Losses = {}
        made = D.features(torch.cat([x, output], 1))  # type: ignore[operator]
        losses["G"] = recipe.gan_weight * torch.stack([gan_loss(each[-1], True, recipe.gan_mode) for each in made]).sum()
        if recipe.feature_weight:
            with torch.no_grad():
                real = D.features(torch.cat([x, y], 1))  # type: ignore[operator]
            losses["features"] = recipe.feature_weight * feature_matching(made, real)
        if features is not None:
            losses["perceptual"] = recipe.perceptual_weight * perceptual_loss(features, output, y)
        return losses

    trained = [network for name, network in networks.items() if name in "GE"]
    return {"D": Phase(adam(recipe, D), discriminate), "G": Phase(adam(recipe, *trained), generate)}


@own_random_state
def train(
    data: Domains | str | Path | Sequence[str | Path],
    recipe: Pix2PixHDRecipe = RECIPES["paper"],
    *,
    run: Run,
    base: Translator | None = None,
) -> Iterator[TrainingStep]:
    """Train a network on pairs, a step at a time, into ``model.safetensors`` of the run's folder.

    Args:
        data: aligned pairs, with instance maps or without, from :func:`~styleloom.data.pairs.open_domains`.
        recipe: see :class:`Pix2PixHDRecipe`.
        run: folder, license, hardware, and whether to resume.
        base: a trained model to start from; for an enhancer the global generator.

    Yields:
        :class:`~styleloom.loops.task.TrainingStep` after each step.

    Raises:
        StyleLoomError: what ``open_domains`` or :func:`~styleloom.loops.fit.fit` refuses.
    """
    fabric = run.hardware.launch()
    domains = domains_of(data, recipe, aligned=True)
    if recipe.fix_global_epochs and (base is None or not recipe.enhancer):
        raise StyleLoomError("fix_global_epochs keeps a trained global generator as it is; give it as the base of an enhancer")
    torch.manual_seed(recipe.seed)
    x_channels, y_channels = domains.channels
    features = None
    if recipe.perceptual_weight:
        if y_channels != 3:
            raise StyleLoomError(f"the perceptual term takes RGB images, and B has {y_channels} channels; set its weight to 0")
        features = load_features(recipe.features).prepare(fabric.device, torch.float32)
    networks = networks_of(recipe, x_channels, y_channels, domains.has_instances)
    if base is not None and recipe.enhancer and isinstance(base.networks["B"], ResNetGenerator):
        _surround(networks["G"], base.networks["B"])
    else:
        begin_with(networks, base, {"G": ("networks", "B"), "D": ("discriminators", "B")})
    seen = x_channels + domains.has_instances + y_channels
    pool = ImagePool(recipe.pool_size, (seen, recipe.size, recipe.size))
    for network in networks.values():
        network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    pool.to(fabric.device)
    phases = phases_of(networks, pool, features, recipe)

    networks |= {"pool": pool}
    task = Pix2PixHDTask(recipe, domains, networks, phases, models={"B": "G"}, kind=KIND, base=base, license=run.license)
    yield from fit(task, task.training(), run, fabric)
    if recipe.codes and fabric.is_global_zero:
        _note_usual_codes(run.folder / MODEL, domains, recipe, run.license)


@final
class Pix2PixHDTask(TranslationTask):
    """Training of a generator from label maps or images, with its encoder of instances where it has one."""

    recipe: Pix2PixHDRecipe

    def rows(self, networks: Mapping[str, Any], x: Tensor, y: Tensor, *instances: Tensor) -> list[Tensor]:
        return [x, outputs_of(networks, x, y, instances)[1], y]

    def before_step(self, step: int) -> dict[str, float]:
        """Leave the inner generator of an enhancer as it is in the recipe's first epochs."""
        recipe = self.recipe
        if recipe.fix_global_epochs:
            enhancer: Any = self.networks["G"]
            epochs = recipe.epochs + recipe.decay_epochs
            enhancer.inner.requires_grad_(step >= recipe.fix_global_epochs * self.num_steps // epochs)
        return {}

    def export(self, networks: Mapping[str, Any], path: Path) -> None:
        domains = self.domains
        parts = {"B": networks["G"]} | ({CODES: networks["E"]} if "E" in networks else {})
        described: dict[str, Any] = dict(labels=domains.labels, derive=domains.derive, size=self.recipe.size)
        model = Translator(parts, {"B": networks["D"]}, **described, instances=domains.has_instances)
        save(model, path, self.license)


def _note_usual_codes(path: Path, domains: Domains, recipe: Pix2PixHDRecipe, license: str) -> None:
    """Let a model know what codes instances of the training images have."""
    model = load(path)
    item = domains.example(recipe.size, recipe.size, flip=False)
    examples = (item(index, RandomState([recipe.seed, index])) for index in range(min(len(domains), MOST_READ)))
    encoder = model.networks[CODES]
    assert isinstance(encoder, InstanceEncoder)
    batches = ((x[None], y[None], instances[None]) for x, y, instances in examples)
    model.networks[CODES] = encoder.find_usual(batches, len(domains.labels) or 1, recipe.usual_codes)
    save(model, path, license)


def _surround(enhancer: nn.Module, inner: nn.Module) -> None:
    """Put a trained global generator into an enhancer."""
    own = enhancer.inner.state_dict()  # type: ignore[union-attr]
    theirs = {name: value for name, value in inner.state_dict().items() if not name.startswith("head.")}
    if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in theirs.items()}:
        raise StyleLoomError("the global generator has another shape: an enhancer of width n goes around one of width 2 n")
    enhancer.inner.load_state_dict(theirs)  # type: ignore[union-attr]


def save(model: Translator, path: Path, license: str = "unknown") -> None:
    """Write a model file.

    Args:
        model: to write, with its discriminators where it has any.
        path: a ``.safetensors``.
        license: what the model may be used for, noted in it.
    """
    save_translator(model, path, KIND, license, config_of)


def load(name: str | Path) -> Translator:
    """A model from a name in the zoo, a path or ``hf://owner/repo/file``, in fp32.

    Raises:
        StyleLoomError: no such model, one of another kind, or a damaged one.
    """
    return load_translator(name, KIND, made, lambda config: MultiScale(**config))
