"""A training task: settings, updates, examples and progress."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from numpy.random import RandomState
from torch import Tensor, nn

from styleloom.core.progress import Losses, Progress
from styleloom.core.settings import Checked, Count, CountOrNone, Seed, Weight
from styleloom.data import datasets as data


@dataclass(frozen=True)
class LoopSettings(Checked):
    """Fields that every recipe has, generators' included.

    Args:
        accumulate: parts that a process works through its share of a batch in: less memory, the same update.
        seed: seed of weights, of the order of the images and of all that is random.
        log_every: steps between two lines of the log.
        sample_every: steps between two sheets of samples.
        save_every: steps between two checkpoints.
        keep_snapshots: how many of the last model files are kept in ``snapshots``, besides the latest; 0: none.
    """

    accumulate: Count = 1
    seed: Seed = 0
    log_every: Count = 50
    sample_every: Count = 500
    save_every: Count = 500
    keep_snapshots: CountOrNone = 3


@dataclass(frozen=True)
class Training(LoopSettings):
    """Fields that every recipe has, except generators'.

    Args:
        num_steps: updates in all.
        batch: examples an update, of all processes together.
        clip: longest gradient, by its L2 norm; longer ones are scaled down. 0: none.
    """

    num_steps: Count = 40_000
    batch: Count = 4
    clip: Weight = 0.0


@dataclass(frozen=True)
class Phase:
    """One of the updates that make up a step, such as a discriminator's.

    Attributes:
        optimizer: over the parameters that are updated; several updates may share one.
        loss: weighted, named terms of a batch's fields; their sum is descended on.
        every: take this update each so many steps.
    """

    optimizer: torch.optim.Optimizer
    loss: Callable[..., Losses]
    every: int = 1


class Task(ABC):
    """A training task: networks, updates, examples, and what is shown and written of them. Each paper has a class of its own.

    Attributes:
        networks: trained networks, by name, on their device.
        phases: the updates of a step, by name, in their order.
        count: how many images there are.
        averages: ``{name of a network: decay at a step}`` of exponential moving averages of weights, see :func:`warmed`.
        measure_every: steps between two calls of :meth:`measure`; 0: none.
        settings: plain values that a resumed run must share.
        free: names of settings that it need not share.
        damaged: for each set, the images that could not be read so far, with reasons.
    """

    networks: Mapping[str, nn.Module]
    phases: Mapping[str, Phase]
    count: int
    averages: Mapping[str, Callable[[int], float]] = MappingProxyType({})
    measure_every: int = 0
    settings: Mapping[str, Any] = MappingProxyType({})
    free: Sequence[str] = ()
    damaged: Sequence[Mapping[str, str]] = ()

    @abstractmethod
    def item(self, index: int, rng: RandomState) -> tuple[Tensor, ...]:
        """Make an example of image ``index``, with a random state of its own."""

    def items(self, indices: Sequence[int], rngs: Sequence[RandomState]) -> tuple[Tensor, ...]:
        """Make a batch of the very examples that :meth:`item` makes: their fields, stacked."""
        return data.stacked(map(self.item, indices, rngs))

    def sample_indices(self, step: int, batch: int) -> range:
        """Numbers of a step's examples in the endless row of them."""
        return range(step * batch, (step + 1) * batch)

    def schedule(self, step: int) -> float:
        """Factor of every learning rate at a step, counted from 0."""
        return 1.0

    def before_step(self, step: int) -> dict[str, float]:
        """Prepare a step, and return figures for the log.

        What it decides must be in the networks' buffers, which are saved and, of several processes, averaged after each step.
        """
        return {}

    def measure(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        """Named figures of quality of the networks, averaged where they are; the first decides which are best, the lower."""
        return {}

    def sheet(self, networks: Mapping[str, Any]) -> Tensor | None:
        """Samples [1, 3, H, W] in [0, 1] of the networks, averaged where they are, for the log."""
        return None

    def export(self, networks: Mapping[str, Any], path: Path) -> None:
        """Write a model file of the networks, averaged where they are."""
        return None


@dataclass(frozen=True)
class TrainingStep(Progress):
    """Progress of a training.

    Attributes:
        rate: examples a second, of all processes together.
        images: examples seen, since the run's beginning.
        skipped: updates passed over since this process's start because a loss or gradient was not finite.
        damaged: names of images passed over so far.
        stopped: the run was asked to stop, has saved its state, and this is its last tick.
    """

    rate: float = 0.0
    images: int = 0
    skipped: int = 0
    damaged: tuple[str, ...] = ()
    stopped: bool = False


def cosine(step: int, steps: int) -> float:
    """A schedule from 1 to 0.02 over a run."""
    return 0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * step / steps))


def warmed(decay: float) -> Callable[[int], float]:
    """A moving average's decay at a step: shorter at the start, so that the first weights are forgotten."""
    return lambda step: min(decay, (1 + step) / (10 + step))
