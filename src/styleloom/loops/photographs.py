"""Training of a network on squares of photographs: what the one-pass papers of fixed styles and the upscaler share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from numpy.random import RandomState
from torch import Tensor, nn
from typing_extensions import override

from styleloom.core.progress import Losses
from styleloom.data.datasets import ImageFiles, random_crop
from styleloom.loops.optimizers import OPTIMIZERS
from styleloom.loops.task import Phase, Task, cosine, warmed


class PhotographTask(Task):
    """Training of one network on random squares of photographs; a paper's class adds what is shown and written.

    Args:
        content: folders or zips of photographs.
        recipe: the paper's, with ``size``, ``optimizer``, ``lr``, ``ema_decay`` and ``num_steps``.
        network: the one to train.
        loss: the loss of a batch of what :meth:`item` makes.
        license: noted in the model file.
        settings: plain values, besides the recipe's, that a resumed run must share.
        margin: shorter side that photographs are reduced to, as a multiple of the squares' side.
        num_shown: squares on a sheet of the log.
        parameters: those that are trained; all of the network's by default.
    """

    def __init__(
        self,
        content: str | Path | Sequence[str | Path],
        recipe: Any,
        network: nn.Module,
        loss: Callable[..., Losses],
        license: str,
        settings: dict[str, Any],
        *,
        margin: float,
        num_shown: int,
        parameters: Iterable[nn.Parameter] | None = None,
    ) -> None:
        self.recipe, self.license = recipe, license
        self.photographs = ImageFiles(content, shorter=round(margin * recipe.size))
        optimizer = OPTIMIZERS[recipe.optimizer](network.parameters() if parameters is None else parameters, recipe.lr)
        self.networks, self.phases = {"network": network}, {"network": Phase(optimizer, loss)}
        self.count, self.damaged = len(self.photographs), [self.photographs.damaged]
        self.averages = {"network": warmed(recipe.ema_decay)} if recipe.ema_decay else {}
        self.settings = asdict(recipe) | settings
        squares = [self.square(index, RandomState([index])) for index in range(num_shown)]
        self.shown = torch.stack(squares).to(next(network.parameters()).device)

    def square(self, index: int, rng: RandomState) -> Tensor:
        """A random square of a photograph [3, S, S]."""
        return random_crop(self.photographs.find(index, rng)[1], self.recipe.size, rng)

    @override
    def item(self, index: int, rng: RandomState) -> tuple[Tensor, ...]:
        return (self.square(index, rng),)

    @override
    def schedule(self, step: int) -> float:
        return cosine(step, self.recipe.num_steps)
