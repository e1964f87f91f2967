"""Effects of directions: the disentanglement matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from styleloom.nn.generators import Generator, to_image

from .base import Directions, edited

BATCH = 16
Labels = Callable[[Tensor], Tensor]
"""Images [N, 3, R, R] in [0, 1] to attributes [N, K], differentiable."""


@dataclass(frozen=True)
class Effects:
    """Measured effects of directions.

    Attributes:
        directions: their names.
        attributes: names of what was measured.
        mean: [D, A], the mean change of each attribute for strength 1, in its standard deviations.
        size: [D, A], the mean absolute change.
        correlation: [D, A], between strength and change, over images and strengths.
    """

    directions: tuple[str, ...]
    attributes: tuple[str, ...]
    mean: Tensor
    size: Tensor
    correlation: Tensor

    def spill(self, direction: str, attribute: str) -> dict[str, float]:
        """Spill of a direction into the other attributes.

        Their mean change, and its mean size, are both given as shares of the change of the direction's own attribute.
        """
        row, own = self.directions.index(direction), self.attributes.index(attribute)
        others = [index for index in range(len(self.attributes)) if index != own]
        return dict(
            mean=float(self.mean[row, others].abs().mean() / self.mean[row, own].abs()),
            size=float(self.size[row, others].mean() / self.size[row, own]),
        )


@torch.no_grad()
def labels_of(generator: Generator, label: Labels, ws: Tensor) -> Tensor:
    """Attributes of the images of ws [N, num_ws, w_dim]: [N, K], on the CPU."""
    parts = [label(to_image(generator.synthesis(part, noise_mode="const"))) for part in ws.split(BATCH)]
    return torch.cat(parts).cpu()


@torch.no_grad()
def effects(
    generator: Generator,
    directions: Directions,
    label: Labels,
    names: Sequence[str],
    *,
    strengths: Sequence[float] = (-1.0, 1.0),
    samples: int = 100,
    seed: int = 50_000,
) -> Effects:
    """Measure what directions change, on images that they were not fitted to: the disentanglement matrix.

    Args:
        generator: the generator whose latent space is examined.
        directions: to measure.
        label: tells attributes; ``names`` are theirs.
        strengths: strengths that are tried.
        samples: images.
        seed: seed of the first of these.
    """
    ws = generator.map(range(seed, seed + samples))
    before = labels_of(generator, label, ws)
    spread = before.std(0).clamp(min=1e-6)
    mean, size, correlation = [], [], []
    asked = torch.tensor(strengths).repeat_interleave(samples)[:, None]  # [S * N, 1]
    for direction in directions.values():
        changes = torch.cat(
            [(labels_of(generator, label, edited(ws, [(direction, s)])) - before) / spread for s in strengths]
        )  # [S * N, A]
        mean.append((changes / asked).mean(0))
        size.append((changes / asked).abs().mean(0))
        both = torch.corrcoef(torch.cat([asked, changes], 1).T)[0, 1:]
        correlation.append(both.nan_to_num())
    return Effects(tuple(directions), tuple(names), *(torch.stack(each) for each in (mean, size, correlation)))
