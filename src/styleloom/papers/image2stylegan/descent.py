"""Latents, or noise maps, of several pictures that descend at once: each until it is done, the best of each remembered."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from styleloom.core.progress import Losses

from .objective import Objective

UNJUDGED = "regulariser"  # a term that latents are not judged by


class Descent:
    """What descends, for several pictures at once, and the best of it so far.

    Args:
        objective: that lets pictures go.
        first: tensors [N, ...] to start from; each row of each is a parameter.
        terms: of such tensors, the terms of the loss, [N] each.
        patience: steps without an improvement after which a picture is done; 0: never.
        tolerance: the share of its loss by which a picture has to be better.
    """

    def __init__(
        self,
        objective: Objective,
        first: Sequence[Tensor],
        terms: Callable[[Sequence[Tensor]], Losses],
        *,
        patience: int = 0,
        tolerance: float = 0.0,
    ) -> None:
        self.objective, self.terms, self.patience, self.tolerance = objective, terms, patience, tolerance
        count, device = len(first[0]), first[0].device
        self.places = list(range(count))
        self.rows = [[part[row].clone().requires_grad_(True) for part in first] for row in self.places]
        self.best = [part.clone() for part in first]
        self.lowest = torch.full((count,), math.inf, device=device)
        self.each, self.mark = self.lowest.clone(), self.lowest.clone()
        self.since = torch.zeros(count, dtype=torch.long)
        self.seen: tuple[list[Tensor], Tensor] = self.best, self.each

    @property
    def params(self) -> list[Tensor]:
        """All that descend."""
        return [part for row in self.rows for part in row]

    def __call__(self) -> Losses:
        """The terms summed over pictures; one that is no longer finite counts for nothing."""
        parts = [torch.stack(part) for part in zip(*self.rows, strict=True)]
        terms = self.terms(parts)
        total = torch.stack([term for name, term in terms.items() if name != UNJUDGED]).sum(0)
        self.seen = [part.detach() for part in parts], total.detach()
        return {name: torch.where(total.isfinite(), term, 0).sum() for name, term in terms.items()}

    def remember(self) -> None:
        """Take note of what the last evaluation found."""
        parts, total = self.seen
        places = torch.tensor(self.places, device=total.device)
        self.each[places] = total
        better = total < self.lowest[places]
        self.lowest[places[better]] = total[better]
        for best, part in zip(self.best, parts, strict=True):
            best[places[better]] = part[better]

    def finished(self) -> list[bool]:
        """Which of the pictures that descend diverged, or came to rest."""
        found = []
        for place in self.places:
            if self.lowest[place] < (1 - self.tolerance) * self.mark[place]:
                self.mark[place], self.since[place] = self.lowest[place], 0
            self.since[place] += 1
            rests = self.patience and self.since[place] > self.patience
            found.append(bool(rests) or not bool(self.each[place].isfinite()))
        return found

    def drop(self, finished: Sequence[bool], optimizer: torch.optim.Optimizer) -> None:
        """Let pictures leave the batch."""
        kept = [row for row, done in enumerate(finished) if not done]
        for row, done in enumerate(finished):
            if done:
                self.each[self.places[row]] = self.lowest[self.places[row]]
                for part in self.rows[row]:
                    optimizer.state.pop(part, None)
        self.places, self.rows = [self.places[row] for row in kept], [self.rows[row] for row in kept]
        optimizer.param_groups[0]["params"] = self.params
        self.objective.kept(kept)

    def state(self) -> dict[str, Any]:
        """All that is needed to go on."""
        tensors = dict(lowest=self.lowest, each=self.each, mark=self.mark, since=self.since)
        rows = [[part.detach() for part in row] for row in self.rows]
        return tensors | dict(best=self.best, places=self.places, rows=rows)

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from :meth:`state`."""
        for name in ("lowest", "each", "mark", "since"):
            getattr(self, name).copy_(saved[name])
        for best, part in zip(self.best, saved["best"], strict=True):
            best.copy_(part)
        self.places = saved["places"]
        self.objective.kept(self.places)
        self.rows = [[part.to(self.lowest.device).requires_grad_(True) for part in row] for row in saved["rows"]]
