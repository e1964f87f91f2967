"""The loop over a tensor: what Gatys, and every inversion after him, has in common."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .errors import StyleLoomError

Losses = dict[str, Tensor]
"""Named scalar terms, already weighted; the objective is their sum."""


@dataclass(frozen=True)
class Progress:
    """Where a loop stands: what progress bars, logs and web pages show.

    Attributes:
        index: steps done, from 1.
        total: steps in all.
        losses: each weighted term of the objective and their sum under ``"total"``, before this step.
        seconds: since the loop began.
    """

    index: int
    total: int
    losses: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


def descend(
    loss: Callable[[], Losses],
    optimizer: torch.optim.Optimizer,
    num_steps: int,
    *,
    first: int = 0,
) -> Iterator[Progress]:
    """Minimise ``sum(loss().values())`` with any torch optimizer, a step at a time.

    ``loss`` is evaluated, with its gradient, whenever the optimizer calls its closure; L-BFGS may do so several times a
    step. Leaving the loop is all it takes to cancel.

    Args:
        loss: computes the named terms at the optimizer's present parameters.
        optimizer: over the tensor that is optimised.
        num_steps: how many steps to take in all.
        first: steps already taken, when a run is resumed.

    Yields:
        :class:`Progress` after each step; its losses are those that the step began with.

    Raises:
        StyleLoomError: the objective is not a finite number at the first step.
    """
    start = time.perf_counter()
    for index in range(first + 1, num_steps + 1):
        evaluations: list[dict[str, float]] = []

        def closure(evaluations: list[dict[str, float]] = evaluations) -> Tensor:
            optimizer.zero_grad()
            terms = loss()
            total = torch.stack(list(terms.values())).sum()
            total.backward()
            evaluations.append({name: term.item() for name, term in terms.items()} | {"total": total.item()})
            return total

        optimizer.step(closure)  # type: ignore[arg-type]
        losses = evaluations[0]
        if not math.isfinite(losses["total"]):
            if index == 1:
                raise StyleLoomError(f"the loss is {losses['total']} at the first step; check the pictures and the weights")
            return  # diverged: whoever kept the best so far has it
        yield Progress(index, num_steps, losses, time.perf_counter() - start)
