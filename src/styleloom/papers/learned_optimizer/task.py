"""Training of learned optimizers as a task: descents on the images of one generator, or of several in turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from numpy.random import RandomState
from torch import Tensor, nn
from typing_extensions import override

from styleloom.core.progress import Losses
from styleloom.data import images
from styleloom.data.datasets import SquareImages, stacked
from styleloom.loops.task import Phase, Task, cosine, warmed
from styleloom.nn.generators import mixing_layer
from styleloom.papers.image2stylegan.objective import COMPARED_SIDE, Objective, render

from .base import Network
from .gate import Gate
from .losses import DescentLosses, OpenDescents
from .optimizer import save
from .recipe import OptimizerRecipe

MIXING = 0.5  # share of the generated images that mix two w
SHOWN = 8  # images of a sheet
EPOCH = 10_000  # images of an epoch, where all are generated; the next epoch has other latents


@dataclass(frozen=True)
class TrainingGenerator:
    """A generator that an optimizer is trained on.

    Attributes:
        generator: frozen, on its device.
        losses: losses of descents on it.
        photos: real images of its kind, where not all are generated.
    """

    generator: Any
    losses: DescentLosses
    photos: SquareImages | None = None


@final
class OptimizerTask(Task):
    """Training of an optimizer: a photograph in, the loss of a descent to it out. A batch is of one generator, drawn by chance.

    Args:
        generators: one generator, or several.
        recipe: see :class:`OptimizerRecipe`.
        network: the one to train.
        license: noted in the model file.
    """

    def __init__(self, generators: Sequence[TrainingGenerator], recipe: OptimizerRecipe, network: Network, license: str) -> None:
        self.generators, self.recipe, self.license = generators, recipe, license
        self.networks: dict[str, nn.Module] = {"optimizer": network}
        first, loss = generators[0], self.whole_descent
        if isinstance(network, Gate):  # its descents go on from step to step
            side = min(first.generator.resolution, COMPARED_SIDE)
            first.losses.open_descents = OpenDescents(network, recipe.batch, (3, side, side)).to(first.generator.device)
            self.networks["descents"], loss = first.losses.open_descents, self.next_step
        self.phases = {"optimizer": Phase(torch.optim.Adam(network.parameters(), recipe.lr, (0.9, 0.99)), loss)}
        self.averages = {} if isinstance(network, Gate) else {"optimizer": warmed(0.98)}
        sets = [each.photos for each in generators if each.photos is not None]
        self.count = len(sets[0]) if sets and len(generators) == 1 else EPOCH
        self.damaged = [each.damaged for each in sets]
        if first.photos is None:
            self.shown = first.generator.generate(range(SHOWN))
        else:
            kept = [first.photos[index] for index in range(min(SHOWN, len(first.photos)))]
            self.shown = torch.stack(kept).to(first.generator.device)

    @override
    def items(self, indices: Sequence[int], rngs: Sequence[RandomState]) -> tuple[Tensor, ...]:
        number = int(rngs[0].randint(len(self.generators))) if len(self.generators) > 1 else 0
        return stacked(self.item(index, rng, number) for index, rng in zip(indices, rngs, strict=True))

    def item(self, index: int, rng: RandomState, number: int = 0) -> tuple[Tensor, ...]:
        """A photograph, three z, whether a generated image is used instead, the layer where its two w change, the generator."""
        generator, photos = self.generators[number].generator, self.generators[number].photos
        z = torch.from_numpy(rng.randn(3, generator.z_dim)).float()
        is_synthetic, cutoff = rng.rand() < self.recipe.synthetic, mixing_layer(rng, generator.num_ws, MIXING)
        if photos is None:
            is_synthetic, photo = True, torch.zeros(3, generator.resolution, generator.resolution)
        else:
            photo = photos[index if len(self.generators) == 1 else rng.randint(len(photos))]
        return photo, z, torch.tensor(is_synthetic), torch.tensor(cutoff), torch.tensor(number)

    @override
    def sample_indices(self, step: int, batch: int) -> range:
        first = step // self.recipe.batch_steps * batch
        return range(first, first + batch)

    @override
    def schedule(self, step: int) -> float:
        return cosine(step, self.recipe.num_steps)

    @override
    def before_step(self, step: int) -> dict[str, float]:
        for each in self.generators:
            noted = each.losses.before_step(step)
        return noted

    def whole_descent(self, image: Tensor, z: Tensor, is_synthetic: Tensor, cutoff: Tensor, number: Tensor) -> Losses:
        """The loss of a descent to each image of a batch, all of one generator."""
        return self.generators[int(number[0])].losses.whole_descent(image, z, is_synthetic, cutoff)

    def next_step(self, image: Tensor, z: Tensor, is_synthetic: Tensor, cutoff: Tensor, number: Tensor) -> Losses:
        """The loss of the next step of the descents that are open."""
        return self.generators[int(number[0])].losses.next_step(image, z, is_synthetic, cutoff)

    def sheet(self, networks: Mapping[str, Any]) -> Tensor:
        """Targets of the first generator, and the images of descents from the mean w."""
        generator, losses = self.generators[0].generator, self.generators[0].losses
        optimizer = losses.for_this_generator(networks["optimizer"])
        objective = Objective(generator, self.shown, losses.features, self.recipe.weights)
        ws = generator.w_avg.expand(len(self.shown), generator.num_ws, -1)
        state = optimizer.init_state(len(self.shown))
        for _ in range(self.recipe.unroll_length):
            update, state = optimizer(ws, *losses.gradient(objective, ws), state)
            ws = ws + update
        return images.grid([self.shown, render(generator, ws)])

    @override
    def export(self, networks: Mapping[str, Any], path: Path) -> None:
        save(networks["optimizer"], path, self.license)
