"""Isola, Zhu, Zhou and Efros, "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017.

Johnson's network learns one image's style from a loss that somebody wrote. Here the loss is learned too: a discriminator
sees the input beside the output and tells made pairs from real ones, patch by patch, while an L1 term keeps the output near
the truth. A U-Net carries the input's lines past the bottleneck.

Differs from the paper:
    - other generators, norms, GAN losses and a pool are options, as in the authors' PyTorch code;
    - images are scaled by their shorter side, not squeezed to a square.

It is long because what all papers of image translation share stands with the first.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from numpy.random import RandomState
from torch import Tensor, nn

from styleloom.core.errors import StyleLoomError
from styleloom.core.progress import Losses
from styleloom.core.random import own_random_state
from styleloom.core.settings import Count, CountOrNone, Decay, LearningRate, OneOf, Range, Weight
from styleloom.data import images
from styleloom.data.datasets import stacked
from styleloom.data.derive import DERIVATIONS
from styleloom.data.pairs import Domains, open_domains
from styleloom.loops.adversarial import only
from styleloom.loops.fit import ONE_PROCESS, Hardware, Phase, Task, Tick, Training, fit, warmed
from styleloom.nn.losses import GAN_MODES, gan_loss, gradient_penalty
from styleloom.nn.translation import (
    GENERATORS,
    NORMS,
    UPSAMPLES,
    ImagePool,
    PatchGAN,
    ResNetGenerator,
    UNet,
    inference_mode_of,
    initialize,
)
from styleloom.nn.translator import Translator, load_translator, save_translator

KIND = "pix2pix"
SCHEDULES = ("linear", "step", "cosine", "constant")
DIRECTIONS = ("AtoB", "BtoA")
STEP_EPOCHS = 50  # after which "step" divides the learning rate by ten
SHOWN = 6
GP_WEIGHT = 10.0  # of the gradient penalty (Gulrajani et al. 2017)


@dataclass(frozen=True)
class TranslationRecipe(Training):
    """What the recipes of image translation share.

    Args:
        size: side of the squares that it is trained on.
        load_size: shorter side that images are brought to before a square is cut out; 0: their own.
        flip: turn half of the images.
        direction: AtoB, or BtoA to exchange the domains.
        width: channels of the generator's first convolution.
        blocks: residual blocks of a resnet.
        norm: batch, instance or none.
        discriminator_width: channels of the discriminator's first convolution.
        discriminator_layers: its strided convolutions: patches of 16, 34, 70, 142 and 286 px for 1 to 5, one pixel for 0.
        gan_mode: vanilla, lsgan or wgangp.
        gan_weight: of what the discriminator says; 0: there is none.
        pool_size: images made so far that the discriminator may see again.
        lr: step size of Adam.
        beta1: of Adam.
        schedule: how the step size falls: linear, step, cosine or constant.
        epochs: with the whole step size.
        decay_epochs: in which it falls, where schedule is linear.
        num_steps: updates in all; 0: as many as the epochs take. Fewer or more stretch the epochs.
        ema_decay: decay of a moving average of the weights, which is what is kept; 0: none.
    """

    num_steps: CountOrNone = 0
    batch: Count = 1
    size: Count = 256
    load_size: CountOrNone = 286
    flip: bool = True
    direction: Annotated[str, OneOf(DIRECTIONS)] = "AtoB"
    width: Count = 64
    blocks: Count = 9
    norm: Annotated[str, OneOf(NORMS)] = "batch"
    discriminator_width: Count = 64
    discriminator_layers: Annotated[int, Range(0, 8)] = 3
    gan_mode: Annotated[str, OneOf(GAN_MODES)] = "vanilla"
    gan_weight: Weight = 1.0
    pool_size: CountOrNone = 0
    lr: LearningRate = 2e-4
    beta1: Decay = 0.5
    schedule: Annotated[str, OneOf(SCHEDULES)] = "linear"
    epochs: Count = 100
    decay_epochs: CountOrNone = 100
    ema_decay: Decay = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        layers = self.discriminator_layers
        if layers and self.size < 3 * 2**layers:
            raise StyleLoomError(
                f"size is {self.size}; a discriminator of {layers} layers needs {3 * 2**layers} or more: use fewer"
            )

    def check_size(self, multiple: int, what: str) -> None:
        """Raise StyleLoomError unless the size is a multiple of what the network takes; ``what`` to change."""
        if self.size % multiple:
            raise StyleLoomError(f"size is {self.size}; this network takes a multiple of {multiple}: change size or {what}")

    def check_idle(self, fields: Sequence[str], reason: str) -> None:
        """Raise StyleLoomError where fields that do nothing here were set."""
        for name in fields:
            if getattr(self, name) != getattr(type(self), name):
                raise StyleLoomError(f"{name} is {getattr(self, name)}; {reason}")


@dataclass(frozen=True)
class GeneratorRecipe(TranslationRecipe):
    """What those have in common whose generator is a U-Net or a residual one.

    Args:
        network: generator: unet or resnet.
        max_width: most channels of a U-Net's level; 0: eight times the first one's.
        depth: levels of a U-Net; sizes are multiples of 2 ** depth.
        dropout: the noise z.
        upsample: transpose, or nearest for no checkerboard.
        residual: add the generator's output to its input, for domains that differ little.
    """

    network: Annotated[str, OneOf(GENERATORS)] = "unet"
    max_width: CountOrNone = 0
    depth: Annotated[int, Range(2, 12)] = 8
    dropout: bool = True
    upsample: Annotated[str, OneOf(UPSAMPLES)] = "transpose"
    residual: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.network == "unet":
            self.check_size(2**self.depth, "depth")
            self.check_idle(("blocks",), "a unet has none: leave it out, or use network resnet")
        else:
            self.check_size(4, "network")
            self.check_idle(("depth", "max_width"), "that is of network unet: leave it out")


@dataclass(frozen=True)
class Recipe(GeneratorRecipe):
    """How a network is trained on pairs.

    Args:
        l1_weight: of the mean difference to the truth.
        conditional: show the discriminator the input beside the output, the paper's cGAN.
    """

    l1_weight: Weight = 100.0
    conditional: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.gan_weight and not self.l1_weight:
            raise StyleLoomError("gan_weight and l1_weight are both 0; nothing would be learned")


RECIPES = {
    "paper": Recipe(),
    # A network of 4 MB in half precision for squares of 128 px.
    "128-small": Recipe(
        size=128,
        load_size=136,
        width=32,
        max_width=128,
        upsample="nearest",
        depth=7,
        discriminator_width=32,
        batch=4,
        num_steps=20_000,
        ema_decay=0.999,
    ),
    "authors-resnet": Recipe(network="resnet", norm="instance", dropout=False),
}


def learning_rate(schedule: str, epoch: int, epochs: int, decay_epochs: int) -> float:
    """Factor of the step size in an epoch, counted from 0, as the authors' PyTorch code has it."""
    if schedule == "linear":
        return 1 - max(0, epoch + 1 - epochs) / (decay_epochs + 1)
    if schedule == "step":
        return 0.1 ** (epoch // STEP_EPOCHS)
    return 0.5 + 0.5 * math.cos(math.pi * epoch / epochs) if schedule == "cosine" else 1.0


def cadence(recipe: TranslationRecipe, count: int) -> tuple[int, Callable[[int], float]]:
    """Steps in all on so many examples, and the factor of the step size at each."""
    total = recipe.epochs + recipe.decay_epochs
    steps = recipe.num_steps or -(-total * count // recipe.batch)

    def factor(step: int) -> float:
        epoch = step * total // steps if recipe.num_steps else step * recipe.batch // count
        return learning_rate(recipe.schedule, epoch, recipe.epochs, recipe.decay_epochs)

    return steps, factor


def made_network(recipe: GeneratorRecipe, in_channels: int, out_channels: int) -> UNet | ResNetGenerator:
    """A generator with new weights."""
    shared: dict[str, Any] = dict(width=recipe.width, norm=recipe.norm, dropout=recipe.dropout, upsample=recipe.upsample)
    shared["residual"] = recipe.residual
    network: UNet | ResNetGenerator
    if recipe.network == "unet":
        network = UNet(in_channels, out_channels, depth=recipe.depth, max_width=recipe.max_width or None, **shared)
    else:
        network = ResNetGenerator(in_channels, out_channels, blocks=recipe.blocks, **shared)
    initialize(network)
    return network


def made_discriminator(recipe: TranslationRecipe, in_channels: int) -> PatchGAN:
    """A discriminator with new weights."""
    network = PatchGAN(in_channels, width=recipe.discriminator_width, layers=recipe.discriminator_layers, norm=recipe.norm)
    initialize(network)
    return network


def domains_of(data: Domains | str | Path | Sequence[str | Path], recipe: TranslationRecipe, aligned: bool) -> Domains:
    """The images of a recipe's direction.

    Raises:
        StyleLoomError: images that are aligned and must not be, or the other way, or what ``open_domains`` refuses.
    """
    domains = data if isinstance(data, Domains) else open_domains(data, aligned=aligned)
    if domains.aligned != aligned:
        raise StyleLoomError(f"these images are {'un' if aligned else ''}aligned; wanted {'pairs' if aligned else 'two sets'}")
    return domains if recipe.direction == "AtoB" else domains.turned()


def begin_with(networks: Mapping[str, nn.Module], base: Translator | None, names: Mapping[str, tuple[str, str]]) -> None:
    """Take over a model's weights.

    Args:
        networks: to train.
        base: the model, or none.
        names: of each network, where it is in the model: ``("networks", "B")``, ``("discriminators", "B")``.

    Raises:
        StyleLoomError: a network of another shape.
    """
    for name, (part, domain) in names.items() if base is not None else ():
        held = getattr(base, part)
        if domain not in held and part == "discriminators":
            continue  # a model without: it begins anew
        try:
            networks[name].load_state_dict(held[domain].state_dict())
        except (KeyError, RuntimeError) as error:
            raise StyleLoomError(
                f"the model to start from has another {name}; use its recipe, or start without a base"
            ) from error


def discriminator_losses(D: nn.Module, real: Tensor, made: Tensor, mode: str, name: str = "D") -> Losses:
    """Eq. 1 for the discriminator, halved to slow it down (Section 3.3); real and made [N, C, H, W]."""
    losses = {f"{name}_made": 0.5 * gan_loss(D(made), False, mode), f"{name}_real": 0.5 * gan_loss(D(real), True, mode)}
    if mode == "wgangp":
        share = torch.rand(len(real), 1, 1, 1, device=real.device)
        between = torch.lerp(real, made, share).detach().requires_grad_(True)
        losses[f"{name}_penalty"] = GP_WEIGHT * gradient_penalty(D(between), between).mean()
    return losses


def adam(recipe: TranslationRecipe, *networks: nn.Module) -> torch.optim.Adam:
    """The papers' optimizer of some networks."""
    parameters = [parameter for network in networks for parameter in network.parameters()]
    return torch.optim.Adam(parameters, recipe.lr, betas=(recipe.beta1, 0.999))


def pool_random() -> random.Random:
    """What decides on a pool's images in this step; it follows from torch's random state, which each step has anew."""
    return random.Random(int(torch.randint(2**31, ())))


def phases_of(G: nn.Module, D: nn.Module, pool: ImagePool, recipe: Recipe) -> dict[str, Phase]:
    """The updates of a step: D's, then G's."""
    made: list[Tensor] = []  # the output of G that both phases look at
    once = recipe.accumulate == 1

    def seen(x: Tensor, y: Tensor) -> Tensor:
        return torch.cat([x, y], 1) if recipe.conditional else y

    def discriminate(x: Tensor, y: Tensor) -> Losses:
        only(D.parameters(), D)
        output = G(x)
        if once:
            made[:] = [output]
        return discriminator_losses(D, seen(x, y), pool.query(seen(x, output.detach()), pool_random()), recipe.gan_mode)

    def generate(x: Tensor, y: Tensor) -> Losses:
        only((), D)
        output = made.pop() if made else G(x)  # x and G are the same as for D
        losses: Losses = {}
        if recipe.gan_weight:
            losses["G"] = recipe.gan_weight * gan_loss(D(seen(x, output)), True, recipe.gan_mode)  # Eq. 1
        if recipe.l1_weight:
            losses["L1"] = recipe.l1_weight * F.l1_loss(output, y)  # Eq. 3
        return losses

    phases = {"D": Phase(adam(recipe, D), discriminate)} if recipe.gan_weight else {}
    return phases | {"G": Phase(adam(recipe, G), generate)}


@own_random_state
def train(
    data: Domains | str | Path | Sequence[str | Path],
    recipe: Recipe = RECIPES["paper"],
    *,
    out: str | Path,
    base: Translator | None = None,
    licence: str = "unknown",
    hardware: Hardware = ONE_PROCESS,
    resume: bool = False,
) -> Iterator[Tick]:
    """Train a network on pairs, a step at a time; the model, with its discriminator, is ``out/model.safetensors``.

    Args:
        data: aligned pairs from :func:`~styleloom.data.pairs.open_domains`, or folders or zips of them, side by side.
        recipe: see :class:`Recipe`.
        out: folder of the run.
        base: a trained model to start from, of the recipe's shape.
        licence: what the model may be used for, noted in it.
        hardware: what it is computed on.
        resume: go on from the state in ``out``.

    Yields:
        :class:`~styleloom.loops.fit.Tick` after each step.

    Raises:
        StyleLoomError: what ``open_domains`` or :func:`~styleloom.loops.fit.fit` refuses.
    """
    fabric = hardware.launch()
    domains = domains_of(data, recipe, aligned=True)
    torch.manual_seed(recipe.seed)
    x_channels, y_channels = domains.channels
    seen = x_channels * recipe.conditional + y_channels
    networks: dict[str, nn.Module] = {
        "G": made_network(recipe, x_channels, y_channels),
        "D": made_discriminator(recipe, seen),
        "pool": ImagePool(recipe.pool_size, (seen, recipe.size, recipe.size)),
    }
    begin_with(networks, base, {"G": ("networks", "B"), "D": ("discriminators", "B")})
    for network in networks.values():
        network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    task, training = translation_task(
        recipe,
        domains,
        networks,
        phases_of(networks["G"], networks["D"], networks["pool"], recipe),  # type: ignore[arg-type]
        models={"B": "G"},
        sheet=lambda shown, x, y: [x, shown["G"](x), y],
        export=lambda shown, path: save(
            Translator({"B": shown["G"]}, {"B": shown["D"]}, derive=domains.derive, labels=domains.labels, size=recipe.size),
            path,
            licence,
        ),
        kind=KIND,
        base=base,
    )
    yield from fit(task, training, out=Path(out), fabric=fabric, resume=resume)


def translation_task(
    recipe: TranslationRecipe,
    domains: Domains,
    networks: Mapping[str, nn.Module],
    phases: Mapping[str, Phase],
    *,
    models: Mapping[str, str],
    sheet: Callable[..., list[Tensor]],
    export: Callable[[Mapping[str, nn.Module], Path], None],
    kind: str,
    base: Translator | None,
) -> tuple[Task, Training]:
    """A training of networks between two domains as the loop over networks takes it.

    Args:
        models: by domain, which of the networks makes its images; these are averaged.
        sheet: rows of images of the networks and a few examples' x and y, of their own number of channels.
    """
    device = next(next(iter(networks.values())).parameters()).device
    item = domains.example(recipe.size, recipe.load_size, flip=recipe.flip)
    still = domains.example(recipe.size, recipe.size, flip=False)
    steps, factor = cadence(recipe, len(domains))

    def sample(shown: Mapping[str, nn.Module]) -> Tensor:
        x, y, *more = (part.to(device) for part in stacked(still(index, RandomState([index])) for index in range(SHOWN)))
        with _own_statistics(shown):
            rows = sheet(shown, x, y, *more)
        return images.grid([visible(row, y, domains.derive) for row in rows])

    task = Task(
        networks=networks,
        phases=phases,
        item=item,
        count=len(domains),
        averages={name: warmed(recipe.ema_decay) for name in models.values()} if recipe.ema_decay else {},
        schedule=factor,
        sample=sample,
        export=export,
        settings=asdict(recipe) | dict(method=kind, derive=domains.derive, labels=len(domains.labels), base=base is not None),
        damaged=domains.damaged,
    )
    return task, replace(recipe, num_steps=steps)


def _own_statistics(shown: Mapping[str, nn.Module]) -> Any:
    """Look at networks as they are trained, each image normalized by itself."""
    return inference_mode_of(nn.ModuleList(shown.values()), batch_statistics=True)


def visible(image: Tensor, answer: Tensor, derive: str = "") -> Tensor:
    """An image of any number of channels in [-1, 1] as RGB [N, 3, H, W] in [0, 1].

    ``answer`` [N, B, H, W] tells what colorized images are completed from.
    """
    image = image.float().add(1).div(2).clamp(0, 1)
    if derive == "grey" and image.shape[1] == DERIVATIONS[derive].out_channels:
        return DERIVATIONS[derive].finish(torch.full_like(image[:, :1], 0.6).expand(-1, 3, -1, -1), image)
    if image.shape[1] in (3, 4):
        return image[:, :3]
    if image.shape[1] == 1:
        return image.expand(-1, 3, -1, -1)
    classes = image.argmax(1, keepdim=True).float() / max(1, image.shape[1] - 1)
    return torch.cat([classes, (classes * 7) % 1, (classes * 3) % 1], 1)


def save(model: Translator, path: Path, licence: str = "unknown") -> None:
    """Write a model file.

    Args:
        model: to write, with its discriminators where it has any.
        path: a ``.safetensors``.
        licence: what the model may be used for, noted in it.
    """
    save_translator(model, path, KIND, licence)


def load(name: str | Path) -> Translator:
    """A model from a name in the zoo, a path or ``hf://owner/repo/file``, in fp32.

    Raises:
        StyleLoomError: no such model, one of another kind, or a damaged one.
    """
    return load_translator(name, KIND)
