"""pix2pixHD: images of label maps at high resolution.

Wang, Liu, Zhu, Tao, Kautz and Catanzaro, "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs", CVPR
2018.

pix2pix blurs and breaks above 256 px. Here a global generator works at half the size, a local enhancer is put around it, and
discriminators look at several sizes. Their own features and those of a perceptual network replace the L1 term. Boundaries of
instances keep neighbors apart, and a code for each instance gives many outputs.

Differs from the paper:
    - the perceptual network is the bundled ``vgg19-lite`` unless another is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from styleloom.core.settings import Count, CountOrNone, OneOf, Weight
from styleloom.data.pairs import Domains
from styleloom.loops.adversarial import only
from styleloom.loops.fit import MODEL, fit
from styleloom.loops.task import Phase, TrainingStep
from styleloom.loops.translation import TranslationRecipe, TranslationTask, adam, begin_with, domains_of, pool_random
from styleloom.nn.losses import GAN_MODES, gan_loss
from styleloom.nn.translation import (
    NORMS,
    ImagePool,
    ResNetGenerator,
    generator_config,
    initialize,
    made_generator,
)
from styleloom.nn.translator import CODES, Translator, load_translator, save_translator
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import EMBEDDED, load_features

from .architecture import LLOYD_STEPS as LLOYD_STEPS
from .architecture import MOST_WIDTH as MOST_WIDTH
from .architecture import InstanceEncoder as InstanceEncoder
from .architecture import LocalEnhancer as LocalEnhancer
from .architecture import MultiScale as MultiScale
from .architecture import boundaries as boundaries
from .architecture import halved as halved

KIND = "pix2pixhd"
VGG_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
VGG_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
MOST_READ = 500  # images whose instances' codes are clustered


@dataclass(frozen=True)
class Pix2PixHDRecipe(TranslationRecipe):
    """Settings for training a network on pairs of a large size.

    Args:
        enhancer: put a local enhancer around the global generator, which is then at half the size.
        local_blocks: residual blocks of the enhancer.
        downsamplings: halvings of the global generator.
        fix_global_epochs: epochs at the start in which the global generator keeps the weights of the base.
        scales: discriminators, each at half the size of the one before.
        feature_weight: weight of the difference of the discriminators' features.
        perceptual_weight: weight of the difference of a perceptual network's features.
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

    @override
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

    @override
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
