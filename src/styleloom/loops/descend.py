"""The loop over a tensor: what Gatys, and every inversion after him, has in common."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.progress import Losses, Progress


def descend(
    loss: Callable[[], Losses],
    optimizer: torch.optim.Optimizer,
    num_steps: int,
    *,
    first: int = 0,
) -> Iterator[Progress]:
    """Minimize ``sum(loss().values())`` with any torch optimizer, a step at a time.

    ``loss`` is evaluated, with its gradient, whenever the optimizer calls its closure; L-BFGS may do so several times a
    step. Leaving the loop is all it takes to cancel.

    Args:
        loss: computes the named terms at the optimizer's present parameters.
        optimizer: over the tensor that is optimized.
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
                raise StyleLoomError(f"the loss is {losses['total']} at the first step; check the images and the weights")
            return  # diverged: whoever kept the best so far has it
        yield Progress(index, num_steps, losses, time.perf_counter() - start)


def carry_over(old: torch.optim.Optimizer, new: torch.optim.Optimizer, old_size: Sequence[int], size: Sequence[int]) -> None:
    """Hand Adam's memory to one of a finer canvas, [1, 3, *old_size] -> [1, 3, *size].

    The losses are means over positions, so a pixel's gradient shrinks with the number of pixels: by ``ratio``.
    L-BFGS starts anew: the curvature of the coarser image slows it down (``benchmarks/gatys.py time-to-loss``).
    """
    if not isinstance(old, torch.optim.Adam):
        return
    ratio = (size[0] * size[1]) / (old_size[0] * old_size[1])

    def grow(tensor: Tensor, mode: str) -> Tensor:
        return F.interpolate(tensor, size, mode=mode, align_corners=False)

    moved = dict(old.state_dict()["state"][0])
    moved["exp_avg"] = grow(moved["exp_avg"], "bicubic") / ratio
    moved["exp_avg_sq"] = grow(moved["exp_avg_sq"], "bilinear") / ratio**2
    new.load_state_dict(new.state_dict() | {"state": {0: moved}})
