"""Isola, Zhu, Zhou and Efros, "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017.

Johnson's network learns one image's style from a loss that somebody wrote. Here the loss is learned too: a discriminator
sees the input beside the output and tells made pairs from real ones, patch by patch, while an L1 term keeps the output near
the truth. A U-Net carries the input's lines past the bottleneck.

Differs from the paper:
    - other generators, norms, GAN losses and a pool are options, as in the authors' PyTorch code;
    - images are scaled by their shorter side, not squeezed to a square.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from styleloom.core.errors import StyleLoomError
from styleloom.core.progress import Losses
from styleloom.core.random import own_random_state
from styleloom.core.run import Run
from styleloom.core.settings import Weight
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
from styleloom.nn.losses import gan_loss
from styleloom.nn.translation import (
    ImagePool,
)
from styleloom.nn.translator import Translator, load_translator, save_translator

KIND = "pix2pix"


@dataclass(frozen=True)
class Pix2PixRecipe(GeneratorRecipe):
    """Settings for training a network on pairs.

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
    "paper": Pix2PixRecipe(),
    # A network of 4 MB in half precision for squares of 128 px.
    "128-small": Pix2PixRecipe(
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
    "authors-resnet": Pix2PixRecipe(network="resnet", norm="instance", dropout=False),
}


def phases_of(G: nn.Module, D: nn.Module, pool: ImagePool, recipe: Pix2PixRecipe) -> dict[str, Phase]:
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
    recipe: Pix2PixRecipe = RECIPES["paper"],
    *,
    run: Run,
    base: Translator | None = None,
) -> Iterator[TrainingStep]:
    """Train a network on pairs, a step at a time, into ``model.safetensors`` of the run's folder.

    Args:
        data: aligned pairs from :func:`~styleloom.data.pairs.open_domains`, or folders or zips of them, side by side.
        recipe: see :class:`Pix2PixRecipe`.
        run: folder, license, hardware, and whether to resume.
        base: a trained model to start from, of the recipe's shape.

    Yields:
        :class:`~styleloom.loops.task.TrainingStep` after each step.

    Raises:
        StyleLoomError: what ``open_domains`` or :func:`~styleloom.loops.fit.fit` refuses.
    """
    fabric = run.hardware.launch()
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
    phases = phases_of(networks["G"], networks["D"], networks["pool"], recipe)  # type: ignore[arg-type]
    task = Pix2PixTask(recipe, domains, networks, phases, models={"B": "G"}, kind=KIND, base=base, license=run.license)
    yield from fit(task, task.training(), run, fabric)


@final
class Pix2PixTask(TranslationTask):
    """Training of a generator from A to B."""

    @override
    def rows(self, networks: Mapping[str, Any], x: Tensor, y: Tensor, *instances: Tensor) -> list[Tensor]:
        return [x, networks["G"](x), y]

    @override
    def export(self, networks: Mapping[str, Any], path: Path) -> None:
        domains = self.domains
        described: dict[str, Any] = dict(derive=domains.derive, labels=domains.labels, size=self.recipe.size)
        save(Translator({"B": networks["G"]}, {"B": networks["D"]}, **described), path, self.license)


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
