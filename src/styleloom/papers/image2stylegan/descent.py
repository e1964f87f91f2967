"""Latents, or noise maps, of several images that descend at once, each until it is done. The best of each are kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from styleloom.core.progress import Losses

from .objective import Objective, Observation

NOISE_REGULARIZER = "noise_regularizer"  # a term that is no part of an image's own loss


class Descent:
    """A descent of several images at once, and the best latents of each so far.

    Args:
        objective: what it minimizes.
        first: tensors [N, ...] to start from; each row of each is a parameter.
        evaluate: such tensors to images and the terms of the loss, [N] each.
        patience: steps without an improvement after which an image is done; 0: never.
        tolerance: the share of its loss by which an image has to improve.

    Attributes:
        active: indices of the images that are not done.
        losses, lowest: [N], of the latest step and so far.
        best: tensors like ``first``.
    """

    def __init__(
        self,
        objective: Objective,
        first: Sequence[Tensor],
        evaluate: Callable[[Sequence[Tensor]], tuple[Tensor, Losses]],
        *,
        patience: int = 0,
        tolerance: float = 0.0,
    ) -> None:
        self.objective, self.evaluate, self.patience, self.tolerance = objective, evaluate, patience, tolerance
        count, device = len(first[0]), first[0].device
        self.active = list(range(count))
        self.rows = [[part[row].clone().requires_grad_(True) for part in first] for row in self.active]
        self.best = [part.clone() for part in first]
        self.lowest = torch.full((count,), math.inf, device=device)
        self.losses, self.mark = self.lowest.clone(), self.lowest.clone()
        self.stalled = torch.zeros(count, dtype=torch.long)
        self._evaluated: tuple[list[Tensor], Tensor, Tensor] = self.best, self.losses, self.losses

    @property
    def params(self) -> list[Tensor]:
        """All tensors that descend."""
        return [part for row in self.rows for part in row]

    @property
    def observation(self) -> Observation:
        """The latest evaluation, as an optimizer may see it."""
        _, losses, image = self._evaluated
        return self.objective.observe(image, losses)

    def __call__(self) -> Losses:
        """The terms, summed over the images. One whose loss is not finite counts for nothing."""
        parts = [torch.stack(part) for part in zip(*self.rows, strict=True)]
        image, terms = self.evaluate(parts)
        losses = torch.stack([term for name, term in terms.items() if name != NOISE_REGULARIZER]).sum(0)
        self._evaluated = [part.detach() for part in parts], losses.detach(), image.detach()
        return {name: torch.where(losses.isfinite(), term, 0).sum() for name, term in terms.items()}

    def keep_best(self) -> None:
        """Record the latest evaluation, and keep what is better than before."""
        parts, losses, _ = self._evaluated
        active = torch.tensor(self.active, device=losses.device)
        self.losses[active] = losses
        better = losses < self.lowest[active]
        self.lowest[active[better]] = losses[better]
        for best, part in zip(self.best, parts, strict=True):
            best[active[better]] = part[better]

    def finished(self) -> list[bool]:
        """Whether each active image diverged or stopped improving."""
        finished = []
        for index in self.active:
            if self.lowest[index] < (1 - self.tolerance) * self.mark[index]:
                self.mark[index], self.stalled[index] = self.lowest[index], 0
            self.stalled[index] += 1
            out_of_patience = self.patience and self.stalled[index] > self.patience
            finished.append(bool(out_of_patience) or not bool(self.losses[index].isfinite()))
        return finished

    def drop(self, finished: Sequence[bool], optimizer: torch.optim.Optimizer) -> None:
        """Let images leave the batch."""
        kept = [row for row, done in enumerate(finished) if not done]
        for row, done in enumerate(finished):
            if done:
                self.losses[self.active[row]] = self.lowest[self.active[row]]
                for part in self.rows[row]:
                    optimizer.state.pop(part, None)
        self.active, self.rows = [self.active[row] for row in kept], [self.rows[row] for row in kept]
        optimizer.param_groups[0]["params"] = self.params
        self.objective.keep(kept)

    def state(self) -> dict[str, Any]:
        """All that is needed to go on."""
        tensors = dict(lowest=self.lowest, losses=self.losses, mark=self.mark, stalled=self.stalled)
        rows = [[part.detach() for part in row] for row in self.rows]
        return tensors | dict(best=self.best, active=self.active, rows=rows)

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from :meth:`state`."""
        for name in ("lowest", "losses", "mark", "stalled"):
            getattr(self, name).copy_(saved[name])
        for best, part in zip(self.best, saved["best"], strict=True):
            best.copy_(part)
        self.active = saved["active"]
        self.objective.keep(self.active)
        self.rows = [[part.to(self.lowest.device).requires_grad_(True) for part in row] for row in saved["rows"]]
