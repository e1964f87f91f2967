"""Zhu, Park, Isola and Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", ICCV 2017.

pix2pix needs the truth for each input; here there are only two piles of images. A second generator F undoes the first, and
what comes back has to be what went in: x -> G(x) -> F(G(x)) = x. Two discriminators see outputs alone, since there is no
pair to show.

Differs from the paper:
    - D_X and D_Y are updated by one optimizer, as in the authors' PyTorch code;
    - where norms are each image's own, G sees x and y in one batch, and F y and x: the same numbers in fewer passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import torch
import torch.nn.functional as F_
from torch import Tensor, nn
from typing_extensions import override

from styleloom.core.errors import StyleLoomError
from styleloom.core.progress import Losses
from styleloom.core.random import own_random_state
from styleloom.core.run import Run
from styleloom.core.settings import CountOrNone, OneOf, Weight
from styleloom.data.pairs import Domains
from styleloom.loops.adversarial import only
from styleloom.loops.fit import fit
from styleloom.loops.task import Phase, TrainingStep
from styleloom.loops.translation import (
    GeneratorRecipe,
    TranslationTask,
    adam,
    begin_with,
    discriminator_losses,
    domains_of,
    made_discriminator,
    made_network,
    pool_random,
)
from styleloom.nn.losses import GAN_MODES, gan_loss
from styleloom.nn.translation import GENERATORS, NORMS, ImagePool
from styleloom.nn.translator import Translator, load_translator, save_translator

KIND = "cyclegan"


@dataclass(frozen=True)
class CycleGANRecipe(GeneratorRecipe):
    """Settings for training two networks between two sets of images.

    Args:
        cycle_weight_x, cycle_weight_y: lambda, of x coming back as x, and of y.
        identity_weight: weight of G leaving y, and F leaving x, as they are, as a share of the cycle's.
    """

    network: Annotated[str, OneOf(GENERATORS)] = "resnet"
    norm: Annotated[str, OneOf(NORMS)] = "instance"
    dropout: bool = False
    gan_mode: Annotated[str, OneOf(GAN_MODES)] = "lsgan"
    pool_size: CountOrNone = 50
    cycle_weight_x: Weight = 10.0
    cycle_weight_y: Weight = 10.0
    identity_weight: Weight = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.gan_weight and not self.cycle_weight_x + self.cycle_weight_y:
            raise StyleLoomError("gan_weight and the weights of the cycle are all 0; nothing would be learned")


RECIPES = {
    "paper": CycleGANRecipe(),
    # Two networks of 2 MB each in half precision.
    "128-small": CycleGANRecipe(
        size=128, load_size=143, width=24, blocks=6, upsample="nearest", discriminator_width=24, num_steps=40_000, ema_decay=0.999
    ),
}


def phases_of(
    G: nn.Module, F: nn.Module, D_X: nn.Module, D_Y: nn.Module, pool_X: ImagePool, pool_Y: ImagePool, recipe: CycleGANRecipe
) -> dict[str, Phase]:
    """The updates of a step: G's and F's, then D_X's and D_Y's."""
    made: list[tuple[Tensor, Tensor]] = []  # G(x) and F(y) of the step, for the discriminators
    together = recipe.norm != "batch"  # norms of an image, not of a batch

    def both(network: nn.Module, one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        if together and one.shape == other.shape:
            first, second = network(torch.cat([one, other])).chunk(2)
            return first, second
        return network(one), network(other)

    def generate(x: Tensor, y: Tensor) -> Losses:
        only((), D_X, D_Y)
        # 1. There: G(x) and F(y); with them what the identity term asks for, G(y) and F(x).
        if recipe.identity_weight:
            (made_y, same_y), (made_x, same_x) = both(G, x, y), both(F, y, x)
        else:
            made_y, made_x = G(x), F(y)
        # 2. And back: F(G(x)) and G(F(y)).
        losses: Losses = {}
        if recipe.cycle_weight_x:
            losses["cycle_x"] = recipe.cycle_weight_x * F_.l1_loss(F(made_y), x)  # Eq. 2
        if recipe.cycle_weight_y:
            losses["cycle_y"] = recipe.cycle_weight_y * F_.l1_loss(G(made_x), y)
        if recipe.identity_weight:  # Section 5.2
            losses["identity_y"] = recipe.identity_weight * recipe.cycle_weight_y * F_.l1_loss(same_y, y)
            losses["identity_x"] = recipe.identity_weight * recipe.cycle_weight_x * F_.l1_loss(same_x, x)
        # 3. What the discriminators say of both.
        if recipe.gan_weight:
            losses["G"] = recipe.gan_weight * gan_loss(D_Y(made_y), True, recipe.gan_mode)  # Eq. 1
            losses["F"] = recipe.gan_weight * gan_loss(D_X(made_x), True, recipe.gan_mode)
            made.append((made_x.detach(), made_y.detach()))
        return losses

    def discriminate(x: Tensor, y: Tensor) -> Losses:
        only([*D_X.parameters(), *D_Y.parameters()], D_X, D_Y)
        made_x, made_y = made.pop(0)
        # 4. Earlier images in the place of half of the new ones; 5. D_Y; 6. D_X.
        old_y, old_x = pool_Y.query(made_y, pool_random()), pool_X.query(made_x, pool_random())
        return discriminator_losses(D_Y, y, old_y, recipe.gan_mode, "D_Y") | discriminator_losses(
            D_X, x, old_x, recipe.gan_mode, "D_X"
        )

    phases = {"G, F": Phase(adam(recipe, G, F), generate)}
    if recipe.gan_weight:
        phases["D_X, D_Y"] = Phase(adam(recipe, D_X, D_Y), discriminate)
    return phases


@own_random_state
def train(
    data: Domains | str | Path | Sequence[str | Path],
    recipe: CycleGANRecipe = RECIPES["paper"],
    *,
    run: Run,
    base: Translator | None = None,
) -> Iterator[TrainingStep]:
    """Train networks between two sets of images, a step at a time; the model is ``model.safetensors`` in the run's folder.

    Args:
        data: two sets from :func:`~styleloom.data.pairs.open_domains`, or a folder that holds both.
        recipe: see :class:`CycleGANRecipe`.
        run: folder, license, hardware, and whether to resume.
        base: a trained model to start from, of the recipe's shape.

    Yields:
        :class:`~styleloom.loops.task.TrainingStep` after each step.

    Raises:
        StyleLoomError: what ``open_domains`` or :func:`~styleloom.loops.fit.fit` refuses.
    """
    fabric = run.hardware.launch()
    domains = domains_of(data, recipe, aligned=False)
    torch.manual_seed(recipe.seed)
    x_channels, y_channels = domains.channels
    if x_channels != y_channels and recipe.identity_weight:
        raise StyleLoomError(
            f"the domains have {x_channels} and {y_channels} channels; the identity term needs as many: set its weight to 0"
        )
    side = (recipe.size, recipe.size)
    networks: dict[str, nn.Module] = {
        "G": made_network(recipe, x_channels, y_channels),
        "F": made_network(recipe, y_channels, x_channels),
        "D_X": made_discriminator(recipe, x_channels),
        "D_Y": made_discriminator(recipe, y_channels),
        "pool_X": ImagePool(recipe.pool_size, (x_channels, *side)),
        "pool_Y": ImagePool(recipe.pool_size, (y_channels, *side)),
    }
    begin_with(
        networks,
        base,
        dict(G=("networks", "B"), F=("networks", "A"), D_X=("discriminators", "A"), D_Y=("discriminators", "B")),
    )
    for network in networks.values():
        network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    phases = phases_of(**networks, recipe=recipe)  # type: ignore[arg-type]
    models = {"B": "G", "A": "F"}
    task = CycleGANTask(recipe, domains, networks, phases, models=models, kind=KIND, base=base, license=run.license)
    yield from fit(task, task.training(), run, fabric)


@final
class CycleGANTask(TranslationTask):
    """Training of a generator each way."""

    @override
    def rows(self, networks: Mapping[str, Any], x: Tensor, y: Tensor, *instances: Tensor) -> list[Tensor]:
        made, back = networks["G"](x), networks["F"](y)
        return [x, made, networks["F"](made), y, back, networks["G"](back)]

    @override
    def export(self, networks: Mapping[str, Any], path: Path) -> None:
        generators = {"B": networks["G"], "A": networks["F"]}
        discriminators = {"A": networks["D_X"], "B": networks["D_Y"]}
        save(Translator(generators, discriminators, size=self.recipe.size), path, self.license)


def save(model: Translator, path: Path, license: str = "unknown") -> None:
    """Write a model file.

    Args:
        model: to write, with its discriminators where it has any.
        path: a ``.safetensors``.
        license: what the model may be used for, noted in it.
    """
    save_translator(model, path, KIND, license)


def load(name: str | Path) -> Translator:
    """A model from a name in the zoo, a path or ``hf://owner/repo/file``, in fp32.

    Raises:
        StyleLoomError: no such model, one of another kind, or a damaged one.
    """
    return load_translator(name, KIND)
