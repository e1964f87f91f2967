"""Train image translation: the parts that pix2pix, CycleGAN and pix2pixHD share."""

from __future__ import annotations

import math
import random
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from numpy.random import RandomState
from torch import Tensor, nn
from typing_extensions import override

from styleloom.core.errors import StyleLoomError
from styleloom.core.progress import Losses
from styleloom.core.settings import Count, CountOrNone, Decay, LearningRate, OneOf, Range, Weight
from styleloom.data import images
from styleloom.data.datasets import stacked
from styleloom.data.derive import DERIVATIONS
from styleloom.data.pairs import Domains, open_domains
from styleloom.loops.task import Phase, Task, Training, warmed
from styleloom.nn.losses import GAN_MODES, gan_loss, gradient_penalty
from styleloom.nn.translation import (
    GENERATORS,
    NORMS,
    UPSAMPLES,
    PatchGAN,
    ResNetGenerator,
    UNet,
    inference_mode_of,
    initialize,
)
from styleloom.nn.translator import Translator

SCHEDULES = ("linear", "step", "cosine", "constant")


DIRECTIONS = ("AtoB", "BtoA")


STEP_EPOCHS = 50  # after which "step" divides the learning rate by ten


SHOWN = 6


GP_WEIGHT = 10.0  # of the gradient penalty (Gulrajani et al. 2017)


@dataclass(frozen=True)
class TranslationRecipe(Training):
    """Fields that the recipes of image translation share.

    Args:
        size: side of the squares that it is trained on.
        load_size: shorter side that images are brought to before a square is cut out; 0: their own.
        flip: turn half of the images.
        direction: AtoB, or BtoA to exchange the domains.
        width: channels of the generator's first convolution.
        blocks: residual blocks of a resnet.
        norm: batch, instance or none.
        discriminator_width: channels of the discriminator's first convolution.
        discriminator_layers: strided convolutions of the discriminator: patches of 16, 34, 70, 142 and 286 px for 1 to 5, one
            pixel for 0.
        gan_mode: vanilla, lsgan or wgangp.
        gan_weight: weight of what the discriminator says; 0: there is none.
        pool_size: images made so far that the discriminator may see again.
        lr: step size of Adam.
        beta1: of Adam.
        schedule: how the step size falls: linear, step, cosine or constant.
        epochs: with the whole step size.
        decay_epochs: epochs after these; the step size falls in them where schedule is linear.
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
    """Fields of recipes whose generator is a U-Net or a residual network.

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


def learning_rate(schedule: str, epoch: int, epochs: int, decay_epochs: int) -> float:
    """Factor of the step size in an epoch, counted from 0, as the authors' PyTorch code has it."""
    if schedule == "linear":
        return 1 - max(0, epoch + 1 - epochs) / (decay_epochs + 1)
    if schedule == "step":
        return 0.1 ** (epoch // STEP_EPOCHS)
    return 0.5 + 0.5 * math.cos(math.pi * epoch / epochs) if schedule == "cosine" else 1.0


def steps_and_schedule(recipe: TranslationRecipe, count: int) -> tuple[int, Callable[[int], float]]:
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
        names: names of each network, where it is in the model: ``("networks", "B")``, ``("discriminators", "B")``.

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
    """Random choices of a pool's images in this step. They follow from torch's random state, which each step seeds."""
    return random.Random(int(torch.randint(2**31, ())))


class TranslationTask(Task):
    """Training of networks between two domains.

    Args:
        recipe: the paper's.
        domains: the images.
        networks: trained ones, by name, on their device.
        phases: the updates of a step.
        models: by domain, which of the networks makes its images; these are averaged.
        kind: kind of the model file.
        base: the model that was started from.
        license: noted in the model file.
    """

    def __init__(
        self,
        recipe: TranslationRecipe,
        domains: Domains,
        networks: Mapping[str, nn.Module],
        phases: Mapping[str, Phase],
        *,
        models: Mapping[str, str],
        kind: str,
        base: Translator | None,
        license: str,
    ) -> None:
        self.recipe, self.domains, self.license = recipe, domains, license
        self.networks, self.phases = networks, phases
        self.example = domains.example(recipe.size, recipe.load_size, flip=recipe.flip)
        self.count, self.damaged = len(domains), domains.damaged
        self.averages = {name: warmed(recipe.ema_decay) for name in models.values()} if recipe.ema_decay else {}
        identity = dict(method=kind, derive=domains.derive, labels=len(domains.labels), base=base is not None)
        self.settings = asdict(recipe) | identity
        self.num_steps, self.factor = steps_and_schedule(recipe, len(domains))

    @abstractmethod
    def rows(self, networks: Mapping[str, Any], x: Tensor, y: Tensor, *instances: Tensor) -> list[Tensor]:
        """Rows of a sheet, of a few examples: given, made and true images, of their own number of channels, in [-1, 1]."""

    def training(self) -> Training:
        """The recipe with the number of steps that its epochs make."""
        return replace(self.recipe, num_steps=self.num_steps)

    @override
    def item(self, index: int, rng: RandomState) -> tuple[Tensor, ...]:
        return self.example(index, rng)

    @override
    def schedule(self, step: int) -> float:
        return self.factor(step)

    @override
    def sheet(self, networks: Mapping[str, Any]) -> Tensor:
        still = self.domains.example(self.recipe.size, self.recipe.size, flip=False)
        device = next(next(iter(self.networks.values())).parameters()).device
        x, y, *instances = (part.to(device) for part in stacked(still(index, RandomState([index])) for index in range(SHOWN)))
        with _own_statistics(networks):
            rows = self.rows(networks, x, y, *instances)
        return images.grid([visible(row, y, self.domains.derive) for row in rows])


def visible(image: Tensor, answer: Tensor, derive: str = "") -> Tensor:
    """An image of any number of channels in [-1, 1] as RGB [N, 3, H, W] in [0, 1].

    ``answer`` [N, B, H, W] tells what colorized images are completed from.
    """
    image = image.float().add(1).div(2).clamp(0, 1)
    if derive == "gray" and image.shape[1] == DERIVATIONS[derive].out_channels:
        return DERIVATIONS[derive].finish(torch.full_like(image[:, :1], 0.6).expand(-1, 3, -1, -1), image)
    if image.shape[1] in (3, 4):
        return image[:, :3]
    if image.shape[1] == 1:
        return image.expand(-1, 3, -1, -1)
    classes = image.argmax(1, keepdim=True).float() / max(1, image.shape[1] - 1)
    return torch.cat([classes, (classes * 7) % 1, (classes * 3) % 1], 1)


def _own_statistics(shown: Mapping[str, nn.Module]) -> Any:
    """Look at networks as they are trained, each image normalized by itself."""
    return inference_mode_of(nn.ModuleList(shown.values()), batch_statistics=True)
